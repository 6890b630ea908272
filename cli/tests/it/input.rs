//! Input that is wrong before the first trial: exit code 2, one clear sentence, nothing started.

use std::fs;
use std::path::Path;

use rstest::rstest;
use serde_json::{Value, json};

use crate::fixture::{Fixture, checkpoint};

fn refused(fixture: &Fixture, sentence: &str) {
    let ended = fixture.run();
    assert_eq!(ended.code, 2, "{}", ended.stderr);
    assert!(ended.stderr.contains(sentence), "expected {sentence:?} in:\n{}", ended.stderr);
    assert_eq!(
        ended.stderr.lines().filter(|line| line.starts_with("error: ")).count(),
        1,
        "{}",
        ended.stderr
    );
    assert!(fixture.evaluations().is_empty() && !fixture.path("tiny.mergesearch").exists());
}

#[rstest]
#[case::unknown_field("/search/populationsize", json!(8), "spec.search.populationsize: no such field; did you mean `populationSize`?")]
#[case::one_checkpoint("/pool/checkpoints", json!([{"name": "a", "uri": "file://./pool/c0"}]), "spec.pool.checkpoints: expected at least 2 entries, found 1")]
#[case::same_names("/pool/checkpoints/1/name", json!("c0"), "\"c0\" is the name of spec.pool.checkpoints[0] already")]
#[case::unknown_scheme("/pool/checkpoints/1/uri", json!("gs://bucket/c1"), "spec.pool.checkpoints[1].uri: expected a URI of s3://")]
#[case::cluster_only("/pool/checkpoints/1/uri", json!("pvc://claim/c1"), "pvc:// exists only in a cluster")]
#[case::no_such_place("/pool/checkpoints/1/uri", json!("file://./pool/missing"), "checkpoint c1: ")]
#[case::budget_too_small("/budget/maxTrials", json!(20), "spec.budget.maxTrials: expected at least 4")]
#[case::no_command("/evaluation/template/spec/containers/0/command", json!([]), "command")]
#[case::no_program("/evaluation/template/spec/containers/0/command", json!(["no-such-program-7"]), "evaluator command no-such-program-7: not found in PATH")]
#[case::from_a_secret(
    "/evaluation/template/spec/containers/0/env/2",
    json!({"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}),
    "evaluator env TOKEN: its valueFrom can't be read outside a cluster; give it as --env TOKEN=VALUE"
)]
fn wrong_manifests(#[case] pointer: &str, #[case] value: Value, #[case] sentence: &str) {
    let mut fixture = Fixture::new();
    fixture.set(pointer, value);
    refused(&fixture, sentence);
}

/// A safetensors file with any header and so many bytes after it.
fn model(folder: &Path, header: &str, length: u64, bytes: usize) {
    let mut file = length.to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.extend(vec![0; bytes]);
    fs::write(folder.join("model.safetensors"), file).unwrap();
}

#[rstest]
#[case::cut_short(|folder: &Path| {
    let bytes = fs::read(folder.join("model.safetensors")).unwrap();
    fs::write(folder.join("model.safetensors"), &bytes[..bytes.len() - 4]).unwrap();
}, "checkpoint c2: \"model.safetensors\"")]
#[case::header_of_a_tebibyte(|folder: &Path| model(folder, "{}", 1 << 40, 0), "checkpoint c2: \"model.safetensors\"")]
#[case::overlapping(|folder: &Path| {
    let header = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}"#;
    model(folder, header, header.len() as u64, 12);
}, "checkpoint c2: \"model.safetensors\"")]
#[case::unknown_dtype(|folder: &Path| {
    let header = r#"{"model.layers.0.weight":{"dtype":"F17","shape":[4],"data_offsets":[0,16]}}"#;
    model(folder, header, header.len() as u64, 16);
}, "F17")]
#[case::other_shape(|folder: &Path| checkpoint(folder, &[0.0; 5]), "tensor \"model.layers.0.weight\"")]
#[case::missing_tensor(|folder: &Path| {
    let header = r#"{"model.layers.0.other":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}"#;
    model(folder, header, header.len() as u64, 16);
}, "model.layers.0.")]
#[case::missing_shard(|folder: &Path| {
    fs::remove_file(folder.join("model.safetensors")).unwrap();
    let index = json!({"weight_map": {"model.layers.0.weight": "model-00001-of-00001.safetensors"}});
    fs::write(folder.join("model.safetensors.index.json"), index.to_string()).unwrap();
}, "model-00001-of-00001.safetensors")]
#[case::leaves_its_folder(|folder: &Path| {
    fs::rename(folder.join("model.safetensors"), folder.join("../stolen.safetensors")).unwrap();
    let index = json!({"weight_map": {"model.layers.0.weight": "../stolen.safetensors"}});
    fs::write(folder.join("model.safetensors.index.json"), index.to_string()).unwrap();
}, "../stolen.safetensors")]
fn wrong_checkpoints(#[case] damage: fn(&Path), #[case] sentence: &str) {
    let fixture = Fixture::new();
    damage(&fixture.path("pool/c2"));
    refused(&fixture, sentence);
}

#[test]
fn an_output_that_can_not_be_written() {
    let mut fixture = Fixture::new();
    fs::write(fixture.path("file"), "").unwrap();
    fixture.set("/storage/output", json!("file://./file"));
    refused(&fixture, "/file");
}

#[test]
fn every_fault_of_a_manifest_has_a_line_of_its_own() {
    let mut fixture = Fixture::new();
    fixture.set("/budget/maxTrial", json!(1)).set("/objectives/0/direction", json!("Up"));
    let ended = fixture.run();
    assert_eq!(ended.code, 2);
    assert!(
        ended.stderr.contains("error: mergesearch.yaml: spec.budget.maxTrial: no such field"),
        "{}",
        ended.stderr
    );
    assert!(
        ended.stderr.contains("error: mergesearch.yaml: spec.objectives[0].direction: expected one of"),
        "{}",
        ended.stderr
    );
}
