//! The rules that the API server checks, evaluated here: those of a new object, and what may change.

use std::sync::LazyLock;

use kube::core::cel::{CompiledSchema, Validator, compile_schema};
use mergesearch_crds::{Manifest, MergeSearch, Place};
use serde_json::{Value, json};

/// The rules as they stand in the CRD.
static SCHEMA: LazyLock<CompiledSchema> = LazyLock::new(|| {
    let documents: Vec<Value> = serde_saphyr::from_multiple(&mergesearch_crds::yaml().unwrap()).unwrap();
    let schema = compile_schema(&documents[0]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]);
    assert!(!schema.has_errors(), "{:?}", schema.compilation_errors());
    schema
});

fn validate_cel(search: &MergeSearch) -> Result<(), String> {
    let search = serde_json::to_value(search).unwrap();
    Validator::new().validate_compiled(&SCHEMA, &search, None).map_err(|errors| errors.to_string())
}

fn validate_cel_update(new: &MergeSearch, old: &MergeSearch) -> Result<(), String> {
    let (new, old) = (serde_json::to_value(new).unwrap(), serde_json::to_value(old).unwrap());
    Validator::new().validate_compiled(&SCHEMA, &new, Some(&old)).map_err(|errors| errors.to_string())
}

fn full() -> MergeSearch {
    Manifest::parse(include_str!("../../examples/full.yaml"), Place::Cluster).unwrap().resource
}

/// The full example with one value set, or removed when it is null; `pointer` is relative to `spec`.
fn with(pointer: &str, value: &Value) -> MergeSearch {
    let mut document = serde_json::to_value(full()).unwrap();
    let (parent, field) = pointer.rsplit_once('/').unwrap();
    let parent = document.pointer_mut(&format!("/spec{parent}")).unwrap();
    match parent {
        Value::Object(parent) if value.is_null() => drop(parent.remove(field)),
        Value::Object(parent) => drop(parent.insert(field.to_owned(), value.clone())),
        Value::Array(parent) => parent[field.parse::<usize>().unwrap()] = value.clone(),
        other => panic!("{pointer} is in {other}"),
    }
    serde_json::from_value(document).unwrap()
}

#[test]
fn the_full_example_keeps_all_rules() {
    validate_cel(&full()).unwrap();
    validate_cel_update(&full(), &full()).unwrap();
}

#[test]
fn each_rule_refuses_what_breaks_it() {
    const POD: &str = "/evaluation/template/spec";
    let probe = json!({ "tcpSocket": { "port": 80 } });
    let container = json!({ "name": "evaluator", "image": "a", "command": ["a"] });
    let cases = [
        ("/merge/method".to_owned(), json!("Ties"), "a search can't use this method"),
        ("/pool/base".to_owned(), Value::Null, "require pool.base"),
        ("/merge/method".to_owned(), json!("Slerp"), "exactly 2 checkpoints"),
        (
            "/evaluation/activeDeadlineSeconds".to_owned(),
            Value::Null,
            "requires evaluation.activeDeadlineSeconds",
        ),
        ("/pool/checkpoints/0/uri".to_owned(), json!("file:///a"), "begins with s3:// or pvc://"),
        ("/pool/base/uri".to_owned(), json!("file:///a"), "begins with s3:// or pvc://"),
        ("/pool/base/name".to_owned(), json!("sft-code"), "has the name of a checkpoint"),
        ("/merge/granularity/patterns".to_owned(), json!(["mlp"]), "blocks or patterns"),
        ("/merge/parameters/lambda/value".to_owned(), json!(1.0), "value, or some of"),
        ("/merge/parameters/lambda/min".to_owned(), json!(2.0), "min below max"),
        ("/objectives/0/weight".to_owned(), json!(0.0), "weight: expected a number above 0"),
        ("/objectives/0/scale".to_owned(), json!(-1.0), "scale: expected a number above 0"),
        ("/search/sigma".to_owned(), json!(0.0), "sigma: expected a number above 0"),
        ("/execution/handoff".to_owned(), Value::Null, "required by strategies"),
        ("/execution/handoff/claimName".to_owned(), json!("a"), "exactly one of uri and claimName"),
        ("/execution/handoff/uri".to_owned(), json!("file:///a"), "uri: expected s3://"),
        ("/execution/poolCache/claimName".to_owned(), json!("a"), "exactly one of hostPath and claimName"),
        ("/execution/poolCache/hostPath".to_owned(), json!("cache"), "an absolute path"),
        ("/execution/scratch/medium".to_owned(), json!("Memory"), "medium or volumeClaimTemplate"),
        ("/storage/output".to_owned(), json!("file:///a"), "expected s3://bucket/prefix"),
        ("/storage/endpoint".to_owned(), json!("minio:9000"), "a URL of http://"),
        ("/publish/uri".to_owned(), json!("file:///a"), "expected s3://bucket/prefix"),
        ("/evaluation/template/spec".to_owned(), Value::Null, "exactly one container"),
        (format!("{POD}/containers"), json!([container, container]), "exactly one container"),
        (format!("{POD}/containers/0/name"), json!("main"), "exactly one container"),
        (format!("{POD}/containers/0/command"), Value::Null, "command is required"),
        (format!("{POD}/containers/0/command"), json!([]), "command is required"),
        (format!("{POD}/containers/0/image"), Value::Null, "image is required"),
        (format!("{POD}/containers/0/readinessProbe"), probe, "no probes"),
        (format!("{POD}/containers/0/lifecycle"), json!({}), "no probes"),
        (format!("{POD}/initContainers"), json!([{ "name": "merge" }]), "are reserved"),
        (format!("{POD}/volumes"), json!([{ "name": "mergesearch-a" }]), "are reserved"),
        (format!("{POD}/restartPolicy"), json!("Always"), "restartPolicy Never"),
        (format!("{POD}/activeDeadlineSeconds"), json!(5), "evaluation.activeDeadlineSeconds"),
    ];
    for (pointer, value, expected) in cases {
        let errors = validate_cel(&with(&pointer, &value)).expect_err(&pointer);
        assert!(errors.contains(expected), "{pointer} = {value}: {errors}");
    }
}

#[test]
fn what_steers_the_search_can_not_change_and_the_rest_can() {
    let immutable = [
        ("/pool/checkpoints/0/uri", json!("s3://other/a")),
        ("/pool/base", json!({ "name": "other", "uri": "s3://models/other" })),
        ("/merge/dtype", Value::Null),
        ("/merge/granularity", Value::Null),
        ("/objectives/0/weight", json!(3.0)),
        ("/objectives/1/metric", json!("other/metric")),
        ("/objectives/2/constraint/max", json!(8.0)),
        ("/heldOut", Value::Null),
        ("/search/seed", json!(1)),
        ("/search/sigma", Value::Null),
        ("/search/stop/tolX", json!(0.1)),
        ("/baselines", Value::Null),
        ("/storage/output", json!("s3://other/a")),
    ];
    for (pointer, value) in immutable {
        let (before, after) = (full(), with(pointer, &value));
        let there = validate_cel_update(&after, &before).expect_err(pointer);
        let back = validate_cel_update(&before, &after).expect_err(pointer);
        assert!(there.contains("is immutable") && back.contains("is immutable"), "{pointer}: {there} {back}");
    }
    let mutable = [
        ("/budget/maxTrials", json!(400)),
        ("/budget/maxDuration", Value::Null),
        ("/suspend", json!(true)),
        ("/search/contribution", json!("g0004-c012")),
        ("/search/contribution", Value::Null),
        ("/publish/top", json!(3)),
        ("/execution/parallelTrials", json!(2)),
        ("/execution/queueName", Value::Null),
        ("/evaluation/activeDeadlineSeconds", json!(7200)),
        ("/evaluation/template/spec/nodeSelector", Value::Null),
        ("/storage/credentialsSecret", json!("other")),
    ];
    for (pointer, value) in mutable {
        validate_cel_update(&with(pointer, &value), &full())
            .unwrap_or_else(|errors| panic!("{pointer}: {errors}"));
    }
}
