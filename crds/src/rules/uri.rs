//! Rules of locations: schemes that are known, and those that exist where the search runs.

use super::Place;
use crate::manifest::Findings;
use crate::{Location, MergeSearchSpec};

/// What is done with a location.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    Read,
    Write,
}

pub(super) fn check(spec: &MergeSearchSpec, place: Place, findings: &mut Findings) {
    for (index, checkpoint) in spec.pool.checkpoints.iter().enumerate() {
        location(
            &format!("spec.pool.checkpoints[{index}].uri"),
            &checkpoint.uri,
            Access::Read,
            place,
            findings,
        );
    }
    if let Some(base) = &spec.pool.base {
        location("spec.pool.base.uri", &base.uri, Access::Read, place, findings);
    }
    location("spec.storage.output", &spec.storage.output, Access::Write, place, findings);
    if let Some(uri) = &spec.publish.uri {
        location("spec.publish.uri", uri, Access::Write, place, findings);
    }
    if let Some(uri) = spec.execution.handoff.as_ref().and_then(|handoff| handoff.uri.as_ref()) {
        match Location::parse(uri) {
            Ok(Location::S3 { .. }) => {}
            Ok(_) => findings
                .error("spec.execution.handoff.uri", format!("expected s3://bucket/prefix, found {uri:?}")),
            Err(error) => findings.error("spec.execution.handoff.uri", error.to_string()),
        }
    }
    if let Some(endpoint) = &spec.storage.endpoint
        && !(endpoint.starts_with("http://") || endpoint.starts_with("https://"))
    {
        findings.error(
            "spec.storage.endpoint",
            format!("expected a URL of http:// or https://, found {endpoint:?}"),
        );
    }
}

fn location(path: &str, uri: &str, access: Access, place: Place, findings: &mut Findings) {
    match (Location::parse(uri), place) {
        (Err(error), _) => findings.error(path, error.to_string()),
        (Ok(Location::Claim { .. }), Place::Local) => {
            findings.error(
                path,
                format!("pvc:// exists only in a cluster; expected s3:// or file://, found {uri:?}"),
            );
        }
        (Ok(Location::Claim { .. }), Place::Cluster) if access == Access::Write => {
            findings.error(path, format!("results go to object storage; expected s3://, found {uri:?}"));
        }
        (Ok(Location::File(_)), Place::Cluster) => {
            let expected = if access == Access::Read { "s3:// or pvc://" } else { "s3://" };
            findings.error(
                path,
                format!("file:// exists only in local runs; expected {expected}, found {uri:?}"),
            );
        }
        (Ok(_), _) => {}
    }
}
