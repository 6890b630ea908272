//! Report and collect: scores reach the operator by one of two ways, whatever storage does.

use std::fs;

use assert_cmd::assert::OutputAssertExt;
use mergesearch_search::contract::{CollectRequest, FaultClass, Message, Request, TrialReport, TrialRequest};
use mergesearch_search::{Stage, StageScores};
use rstest::rstest;

use super::{Pods, search, stage, trial};

fn report(request: &TrialRequest) -> Request {
    Request::Trial(Box::new(request.clone()))
}

fn collect(request: &TrialRequest) -> CollectRequest {
    CollectRequest {
        search: search(),
        storage: request.storage.clone(),
        trial: trial(),
        recipe_hash: request.recipe_hash.clone(),
        stages: request.stages.clone(),
        output: request.output.clone(),
    }
}

/// The scores of an answer, and whether they are in storage too.
#[track_caller]
fn scores(answer: Option<Message>, request: &TrialRequest) -> (Vec<StageScores>, Option<bool>) {
    match answer {
        Some(Message::Scores { trial: of, attempt, recipe_hash, scores, uploaded }) => {
            assert_eq!((of, attempt, recipe_hash), (trial(), request.attempt, request.recipe_hash.clone()));
            (scores.unpack(&request.stages).unwrap(), uploaded)
        }
        other => panic!("no scores: {other:?}"),
    }
}

fn values(stages: &[StageScores]) -> Vec<(Stage, Vec<f64>)> {
    stages.iter().map(|stage| (stage.stage, stage.scores.iter().map(|score| score.value).collect())).collect()
}

#[test]
fn scores_are_answered_and_stored_with_everything_the_evaluator_left() {
    let pods = Pods::new();
    let request = pods.trial_request();
    pods.evaluate(&request.stages);
    fs::create_dir(pods.folder.path("results/test/samples")).unwrap();
    fs::write(pods.folder.path("results/test/samples/one.jsonl"), "{}\n").unwrap();
    std::os::unix::fs::symlink("/etc/passwd", pods.folder.path("results/test/link")).unwrap();

    let (answered, uploaded) = scores(pods.run("report", &report(&request), 0), &request);
    assert_eq!(values(&answered), [(Stage::Test, vec![0.1, 1.1]), (Stage::HeldOut, vec![0.1])]);
    assert_eq!(uploaded, Some(true));
    let stored: TrialReport = serde_json::from_slice(&fs::read(pods.stored("report.json")).unwrap()).unwrap();
    assert_eq!((stored.search, stored.trial, stored.attempt), (search(), trial(), 1));
    assert_eq!((stored.recipe, &stored.stages), (request.recipe.clone(), &answered));
    assert_eq!(fs::read_to_string(pods.stored("results/test/samples/one.jsonl")).unwrap(), "{}\n");
    assert!(pods.stored("results/heldout/results.json").exists());
    assert!(!pods.stored("results/test/link").exists());

    let collected = scores(pods.run("collect", &Request::Collect(collect(&request)), 0), &request);
    assert_eq!(collected, (answered, Some(true)));
}

#[rstest]
#[case::nothing("", "wrote no results")]
#[case::no_json("not JSON", "results.json")]
#[case::another_metric(r#"{"metric-0": 0.5}"#, "metric-1")]
#[case::not_finite(r#"{"metric-0": 0.5, "metric-1": NaN}"#, "finite")]
fn an_evaluator_without_usable_results_is_told_apart(#[case] results: &str, #[case] expected: &str) {
    let pods = Pods::new();
    let request = pods.trial_request();
    pods.evaluate(&request.stages);
    let file = pods.folder.path("results/test/results.json");
    if results.is_empty() {
        fs::remove_file(file).unwrap();
    } else {
        fs::write(file, results).unwrap();
    }
    let (class, message) = pods.fault("report", &report(&request), 65);
    assert_eq!(class, FaultClass::Results);
    assert!(message.contains(expected) && message.contains("in stage test"), "{message}");
    assert!(!pods.stored("report.json").exists());
}

#[test]
fn storage_that_fails_costs_no_scores() {
    let pods = Pods::new();
    let request = pods.trial_request();
    pods.evaluate(&request.stages);
    // A file stands where the trial's folder should be.
    fs::create_dir_all(pods.stored("").parent().unwrap()).unwrap();
    fs::write(pods.stored("").as_os_str().to_str().unwrap().trim_end_matches('/'), "").unwrap();
    let (answered, uploaded) = scores(pods.run("report", &report(&request), 0), &request);
    assert_eq!(answered.len(), 2);
    assert_eq!(uploaded, Some(false));
}

#[test]
fn scores_too_many_for_a_message_are_collected_from_the_report() {
    let pods = Pods::new();
    let mut request = pods.trial_request();
    request.stages = vec![stage(Stage::Test, 60), stage(Stage::HeldOut, 40)];
    pods.evaluate(&request.stages);
    assert_eq!(pods.run("report", &report(&request), 0), Some(Message::InReport { trial: trial() }));
    let (collected, _) = scores(pods.run("collect", &Request::Collect(collect(&request)), 0), &request);
    assert_eq!(collected[0].scores.len(), 60);

    // Nowhere but in the pod: another attempt is needed.
    request.output = "s3://nowhere/trial".to_owned();
    request.storage.endpoint = Some(closed_port());
    pods.command("report", &report(&request)).args(["--upload-seconds", "1"]).assert().code(75);
    let answer = pods.answer();
    assert!(matches!(answer, Some(Message::Fault { class: FaultClass::Storage, .. })), "{answer:?}");
}

#[test]
fn a_report_that_is_absent_or_of_something_else_is_no_answer() {
    let pods = Pods::new();
    let request = pods.trial_request();
    assert_eq!(pods.run("collect", &Request::Collect(collect(&request)), 0), Some(Message::Absent));
    pods.evaluate(&request.stages);
    pods.run("report", &report(&request), 0);
    let refused = |change: fn(&mut CollectRequest), expected: &str| {
        let mut collect = collect(&request);
        change(&mut collect);
        let (class, message) = pods.fault("collect", &Request::Collect(collect), 65);
        assert_eq!(class, FaultClass::Input);
        assert!(message.contains("report.json") && message.contains(expected), "{message}");
    };
    refused(|collect| collect.search.uid = "9-9".to_owned(), "another search");
    refused(|collect| collect.trial = "uniform".parse().unwrap(), "another trial");
    refused(|collect| collect.recipe_hash = "f".repeat(16), "another recipe");
    refused(|collect| collect.stages.truncate(1), "other stages");
    fs::write(pods.stored("report.json"), "{").unwrap();
    refused(|_| {}, "expected a trial's report");
}

/// The URL of a server that was there a moment ago.
fn closed_port() -> String {
    format!("http://{}", std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap())
}
