//! Good manifests parse and survive a round trip; bad ones get every sentence they deserve.

use crate::mistakes;
use mergesearch_crds::{Manifest, MergeSearch, Method, Place};

const FULL: &str = include_str!("../../examples/full.yaml");
const SMALL: &str = include_str!("../../examples/small.yaml");

/// What is said about a manifest that is refused.
fn errors(text: &str, place: Place) -> Vec<String> {
    Manifest::parse(text, place).unwrap_err().0.iter().map(ToString::to_string).collect()
}

/// The small manifest with one text in place of another.
fn small(old: &str, new: &str) -> String {
    assert!(SMALL.contains(old), "{old:?} is not in the manifest");
    SMALL.replacen(old, new, 1)
}

#[test]
fn the_full_example_parses_without_warnings_and_survives_a_round_trip() {
    let manifest = Manifest::parse(FULL, Place::Cluster).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(manifest.warnings, []);
    let text = serde_saphyr::to_string(&manifest.resource).unwrap();
    assert_eq!(Manifest::parse(&text, Place::Cluster).unwrap(), manifest);
}

#[test]
fn the_full_example_has_every_field() {
    let example: serde_json::Value = serde_saphyr::from_str(FULL).unwrap();
    let documents: Vec<serde_json::Value> =
        serde_saphyr::from_multiple(&mergesearch_crds::yaml().unwrap()).unwrap();
    let schema = &documents[0]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    let mut missing = Vec::new();
    absent(&example["spec"], schema, "spec", &mut missing);
    // Each excludes another field that is there.
    let alternatives = [
        "spec.execution.handoff.claimName",
        "spec.execution.poolCache.claimName",
        "spec.execution.scratch.medium",
        "spec.merge.granularity.patterns",
        "spec.merge.parameters.lambda.value",
    ];
    assert_eq!(missing, alternatives);
}

/// The fields of a schema that no object of an example has, embedded Kubernetes types aside.
fn absent(example: &serde_json::Value, schema: &serde_json::Value, path: &str, missing: &mut Vec<String>) {
    const EMBEDDED: [&str; 5] = ["template", "env", "resources", "tolerations", "volumeClaimTemplate"];
    const ONE_SIDED: [&str; 2] = ["min", "max"];
    if let Some(items) = example.as_array() {
        for (field, schema) in schema["items"]["properties"].as_object().into_iter().flatten() {
            match items.iter().find_map(|item| item.get(field)) {
                Some(value) => absent(value, schema, &format!("{path}[].{field}"), missing),
                None => missing.push(format!("{path}[].{field}")),
            }
        }
        return;
    }
    for (field, schema) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{field}");
        match example.get(field) {
            Some(_) if EMBEDDED.contains(&field.as_str()) => {}
            Some(value) => absent(value, schema, &path, missing),
            None if path.contains("constraint") && ONE_SIDED.contains(&field.as_str()) => {}
            None => missing.push(path),
        }
    }
}

#[test]
fn the_small_example_has_all_defaults() {
    let manifest = Manifest::parse(SMALL, Place::Local).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(manifest.warnings, []);
    let spec = &manifest.resource.spec;
    assert_eq!((spec.merge.method, spec.merge.max_shard_size.0.as_str()), (Method::Linear, "5G"));
    assert_eq!((spec.search.finalists, spec.search.greedy.max_steps, spec.search.barrier), (8, 15, true));
    assert_eq!((spec.objectives[0].weight, spec.objectives[0].scale), (1.0, 1.0));
    assert_eq!((spec.execution.parallel_trials, spec.evaluation.backoff_limit, spec.publish.top), (1, 1, 1));
}

/// The API server fills in the schema's defaults, we serde's: they have to agree.
#[test]
fn defaults_of_the_schema_are_those_of_the_types() {
    let typed = serde_json::to_value(Manifest::parse(SMALL, Place::Local).unwrap().resource).unwrap();
    let documents: Vec<serde_json::Value> =
        serde_saphyr::from_multiple(&mergesearch_crds::yaml().unwrap()).unwrap();
    let schema = &documents[0]["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    let raw: serde_json::Value = serde_saphyr::from_str(SMALL).unwrap();
    let served = kube::core::cel::apply_defaults(schema, &raw);
    let read: MergeSearch = serde_json::from_value(served.clone()).unwrap();
    assert_eq!(serde_json::to_value(read).unwrap(), typed);
    assert_eq!(served["spec"]["search"], typed["spec"]["search"]);
    assert_eq!(served["spec"]["merge"], typed["spec"]["merge"]);
}

#[test]
fn every_mistake_of_shape_is_named_with_its_path() {
    for (old, new, expected) in mistakes::SHAPE {
        let found = errors(&small(old, new), Place::Local);
        assert!(
            found.iter().any(|error| error.contains(expected)),
            "{new}\nexpected {expected}\nfound {found:#?}"
        );
    }
}

#[test]
fn every_rule_that_does_not_hold_is_named_with_its_path() {
    for (old, new, expected) in mistakes::RULES {
        assert_eq!(errors(&small(old, new), Place::Local), [*expected], "{new}");
    }
}

#[test]
fn what_only_a_cluster_needs_is_said_for_a_cluster() {
    let found = errors(&small("image: a", "imagePullPolicy: Always"), Place::Cluster);
    assert_eq!(
        found,
        [
            "spec.pool.checkpoints[0].uri: file:// exists only in local runs; expected s3:// or pvc://, found \"file:///pool/a\"",
            "spec.pool.checkpoints[1].uri: file:// exists only in local runs; expected s3:// or pvc://, found \"file:///pool/b\"",
            "spec.pool.checkpoints[2].uri: file:// exists only in local runs; expected s3:// or pvc://, found \"file:///pool/c\"",
            "spec.storage.output: file:// exists only in local runs; expected s3://, found \"file://./out\"",
            "spec.evaluation.template.spec.containers[0].image: required in a cluster, but missing",
        ]
    );
    let claim = errors(&FULL.replace("output: s3://models/searches", "output: pvc://a/b"), Place::Cluster);
    assert_eq!(
        claim,
        ["spec.storage.output: results go to object storage; expected s3://, found \"pvc://a/b\""]
    );
    let account = FULL
        .replace("        nodeSelector:\n          accelerator: h100", "        serviceAccountName: other");
    assert_eq!(
        errors(&account, Place::Cluster),
        [
            "spec.storage.serviceAccountName: expected \"other\" as in spec.evaluation.template.spec.serviceAccountName, or one of the two left out, found \"mergesearch-trials\""
        ]
    );
}

#[test]
fn what_is_probably_not_meant_is_a_warning() {
    let warnings = |text: &str| -> Vec<String> {
        let manifest = Manifest::parse(text, Place::Local).unwrap_or_else(|errors| panic!("{errors}"));
        manifest.warnings.iter().map(ToString::to_string).collect()
    };
    assert_eq!(
        warnings(
            &small("spec:\n", "spec:\n  merge: {granularity: {blocks: 2}}\n")
                .replace("maxTrials: 60", "maxTrials: 55")
        ),
        ["spec.budget.maxTrials: 55 trials are few for 6 dimensions; 60 would be better"]
    );
    assert_eq!(
        warnings(&small("storage:", "execution: {parallelTrials: 9}\n  storage:")),
        [
            "spec.execution.parallelTrials: 9 trials at a time are more than the 6 of a generation; the rest stays idle"
        ]
    );
    assert_eq!(
        warnings(&small("file:///pool/b", "file:///pool/a")),
        [
            "spec.pool.checkpoints[1].uri: the same folder as spec.pool.checkpoints[0]: one checkpoint counts twice"
        ]
    );
    let from =
        "command: [evaluate]\n            env: [{name: TOKEN, valueFrom: {secretKeyRef: {name: a, key: b}}}]";
    assert_eq!(
        warnings(&small("command: [evaluate]", from)),
        [
            "spec.evaluation.template.spec.containers[0].env[0].valueFrom: a local run can't read it; give the value with --env TOKEN=..."
        ]
    );
    assert_eq!(
        warnings(&format!("{SMALL}---\napiVersion: v1\nkind: Secret\n")),
        ["passed over a document of kind \"Secret\""]
    );
}

#[test]
fn a_text_with_no_or_two_searches_is_refused() {
    assert_eq!(errors("", Place::Local), ["expected a MergeSearch, found an empty text"]);
    assert_eq!(errors(&format!("{SMALL}---\n{SMALL}"), Place::Local), ["expected one MergeSearch, found 2"]);
    let others = errors("kind: Secret\n---\nkind: ConfigMap\n", Place::Local);
    assert_eq!(others, ["expected one MergeSearch among 2 documents, found none"]);
    assert!(errors("a: [", Place::Local)[0].starts_with("not valid YAML: "));
}

#[test]
fn all_mistakes_are_reported_together() {
    let text = small("maxTrials: 60", "maxTrials: 1")
        .replace("file:///pool/a", "gs://a")
        .replace("task/acc", "task/");
    let paths: Vec<String> =
        Manifest::parse(&text, Place::Local).unwrap_err().0.into_iter().map(|error| error.path).collect();
    assert_eq!(paths, ["spec.pool.checkpoints[0].uri", "spec.objectives[0].metric", "spec.budget.maxTrials"]);
}

#[test]
fn a_null_is_as_good_as_nothing() {
    let text = small("spec:\n", "spec:\n  heldOut:\n  merge:\n  search: {sigma: null}\n");
    assert_eq!(Manifest::parse(&text, Place::Local), Manifest::parse(SMALL, Place::Local));
}
