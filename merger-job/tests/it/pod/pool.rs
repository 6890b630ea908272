//! Preflight and merge: what the pool is, and that a candidate is made of that very pool or not at all.

use std::collections::BTreeSet;
use std::fs;

use assert_cmd::assert::OutputAssertExt;
use mergesearch_recipe::{LayerRange, MergeMethod};
use mergesearch_search::contract::{FaultClass, Request};
use rstest::rstest;

use super::Pods;
use crate::pools;

#[test]
fn preflight_tells_what_a_candidate_will_be() {
    let pods = Pods::new();
    let facts = pods.facts(pods.preflight_request(2));
    assert_eq!(facts.layers, 1);
    assert_eq!(facts.fingerprints.len(), 2);
    assert_ne!(facts.fingerprints[0], facts.fingerprints[1]);
    assert!(facts.warnings.is_empty(), "{:?}", facts.warnings);
    assert_eq!(fs::read_dir(pods.folder.path("output")).unwrap().count(), 0);

    pods.run("merge", &Request::Trial(Box::new(pods.trial_request())), 0);
    let files = fs::read_dir(pods.folder.path("model")).unwrap();
    let bytes: u64 = files.map(|file| file.unwrap().metadata().unwrap().len()).sum();
    assert_eq!(facts.candidate_bytes, bytes);
}

#[test]
fn the_largest_pool_with_all_its_warnings_fits_a_message() {
    let pods = Pods::with_checkpoints(26);
    let mut request = pods.preflight_request(26);
    // As many as a search may have, at few places.
    request.checkpoints = (0..256)
        .map(|index| {
            let mut checkpoint = request.checkpoints[index % 26].clone();
            checkpoint.name = format!("{}-{index}", "x".repeat(50)).try_into().unwrap();
            checkpoint
        })
        .collect();
    for place in 1..26 {
        let config = pods.folder.path(&pools::name(place)).join("generation_config.json");
        fs::write(config, format!(r#"{{"eos_token_id": {}}}"#, 100 + place)).unwrap();
    }
    let facts = pods.facts(request);
    assert_eq!(facts.fingerprints.len(), 256);
    assert_eq!(facts.fingerprints.iter().collect::<BTreeSet<_>>().len(), 26);
    assert!(!facts.warnings.is_empty() && facts.warnings.len() < 200, "{}", facts.warnings.len());
    assert!(fs::metadata(pods.folder.path("termination")).unwrap().len() <= 4096);
}

#[test]
fn preflight_refuses_what_does_not_fit_and_what_cannot_be_written() {
    let pods = Pods::new();
    let request = || Request::Preflight(pods.preflight_request(2));
    fs::write(pods.folder.path("output"), "a file").unwrap();
    let (class, message) = pods.fault("preflight", &request(), 75);
    assert_eq!(class, FaultClass::Storage);
    assert!(message.contains(&pods.folder.uri("output")), "{message}");

    let mut config = pools::config();
    config["rope_theta"] = 500_000.0.into();
    fs::write(pods.folder.path("b/config.json"), config.to_string()).unwrap();
    let (class, message) = pods.fault("preflight", &request(), 65);
    assert_eq!(class, FaultClass::Input);
    assert!(message.contains("rope_theta") && message.contains("checkpoint b"), "{message}");

    let mut claimed = pods.preflight_request(2);
    claimed.checkpoints[0].uri = "pvc://models/../a".to_owned();
    let (class, message) = pods.fault("preflight", &Request::Preflight(claimed), 65);
    assert_eq!(class, FaultClass::Input);
    assert!(message.contains("pvc://models/../a"), "{message}");
}

#[test]
fn a_candidate_is_the_merge_that_anybody_makes_and_replaces_leftovers() {
    let pods = Pods::new();
    let request = pods.trial_request();
    fs::write(pods.folder.path("recipe.yaml"), request.recipe.to_yaml().unwrap()).unwrap();
    let mut merger = std::process::Command::new(assert_cmd::cargo::cargo_bin!("merger"));
    merger.args(["merge", "--recipe"]).arg(pods.folder.path("recipe.yaml"));
    merger.args(["--output", &pods.folder.uri("by-hand")]).assert().success();

    // A whole model of another attempt, in more files.
    pools::write(&pods.folder.path("model"), &pools::read(&pods.folder.path("a")), 2);
    let answer = pods.run("merge", &Request::Trial(Box::new(request)), 0);
    assert_eq!(answer, None, "a merge that succeeds has nothing to say");
    assert_eq!(pools::read(&pods.folder.path("model")), pools::read(&pods.folder.path("by-hand")));
    assert!(!pods.folder.path("model/model.safetensors.index.json").exists());
}

#[test]
fn checkpoints_on_claims_are_read_where_those_are_mounted() {
    let pods = Pods::new();
    fs::create_dir_all(pods.folder.path("claims/models/sft")).unwrap();
    fs::rename(pods.folder.path("b"), pods.folder.path("claims/models/sft/b")).unwrap();
    let mut preflight = pods.preflight_request(2);
    preflight.checkpoints[1].uri = "pvc://models/sft/b".to_owned();
    let fingerprints = pods.facts(preflight.clone()).fingerprints;
    fs::rename(pods.folder.path("claims/models/sft/b"), pods.folder.path("b")).unwrap();
    let mut trial = pods.trial_request();
    fs::rename(pods.folder.path("b"), pods.folder.path("claims/models/sft/b")).unwrap();
    assert_eq!(trial.fingerprints, fingerprints, "where a checkpoint lies is no part of what it is");
    trial.recipe.checkpoints = preflight.checkpoints;
    pods.run("merge", &Request::Trial(Box::new(trial)), 0);
    assert!(pods.folder.path("model/model.safetensors").exists());
}

#[rstest]
#[case::other_weights("model-00001-of-00002.safetensors", |bytes: &mut Vec<u8>| *bytes.last_mut().unwrap() ^= 1)]
#[case::cut_short("model-00001-of-00002.safetensors", |bytes: &mut Vec<u8>| bytes.truncate(100))]
#[case::other_config("config.json", |bytes: &mut Vec<u8>| *bytes = String::from_utf8_lossy(bytes).replace("10000.0", "500000.0").into())]
fn a_checkpoint_that_changed_is_never_merged(#[case] file: &str, #[case] change: fn(&mut Vec<u8>)) {
    let pods = Pods::new();
    let request = Request::Trial(Box::new(pods.trial_request()));
    let path = pods.folder.path("b").join(file);
    let mut bytes = fs::read(&path).unwrap();
    change(&mut bytes);
    // Another file of that name: its version differs even where the clock is too coarse to tell.
    fs::write(path.with_extension("new"), bytes).unwrap();
    fs::rename(path.with_extension("new"), &path).unwrap();
    let (class, message) = pods.fault("merge", &request, 66);
    assert_eq!(class, FaultClass::PoolChanged);
    assert!(message.contains("checkpoint b"), "{message}");
    assert!(!pods.folder.path("model").exists());
}

#[test]
fn a_recipe_that_cannot_be_merged_is_bad_input() {
    let pods = Pods::new();
    let mut request = pods.trial_request();
    request.recipe.groups[0].weights.pop();
    let (class, message) = pods.fault("merge", &Request::Trial(Box::new(request.clone())), 65);
    assert_eq!(class, FaultClass::Input);
    assert!(message.contains("weights"), "{message}");

    // A layer that the models don't have is only found out with the pool.
    request.recipe = pods.folder.recipe(MergeMethod::Linear, &[0.5, 0.5]);
    request.recipe.stack = vec![LayerRange { start: 0, end: 99 }];
    let (class, message) = pods.fault("merge", &Request::Trial(Box::new(request)), 65);
    assert_eq!(class, FaultClass::Input);
    assert!(message.starts_with("stack: layer"), "{message}");
}

#[test]
fn a_pod_without_its_request_is_nobodys_recipe() {
    let pods = Pods::new();
    let request = Request::Preflight(pods.preflight_request(2));
    let (class, message) = pods.fault("merge", &request, 75);
    assert_eq!(class, FaultClass::Other);
    assert!(message.starts_with("MERGESEARCH_REQUEST: "), "{message}");
    pods.command("merge", &request).env_remove("MERGESEARCH_REQUEST").assert().code(75);
    assert!(format!("{:?}", pods.answer()).contains("MERGESEARCH_REQUEST: not set"));
}
