//! Good manifests parse and survive a round trip; bad ones get every sentence they deserve.

use mergesearch_crds::{Manifest, Place};

const FULL: &str = include_str!("../../examples/full.yaml");

#[test]
fn the_full_example_parses_without_warnings() {
    let manifest = Manifest::parse(FULL, Place::Cluster).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(manifest.warnings, []);
    assert_eq!(manifest.resource.spec.pool.checkpoints.len(), 4);
}
