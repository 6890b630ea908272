//! Evaluators that fail in every way: failed trials, until there are too many.

use rstest::rstest;
use serde_json::json;

use crate::fixture::Fixture;

#[rstest]
#[case::exit(
    "echo 'CUDA out of memory' >&2; exit 1",
    "the evaluator exited with code 1 in stage search: CUDA out of memory (log: trials/"
)]
#[case::signal("kill -SEGV $$", "the evaluator was killed by signal 11 in stage search")]
#[case::hangs("sleep 600", "the evaluator ran past its deadline of 1 s and was killed in stage search")]
#[case::nothing(
    "exit 0",
    "the evaluator succeeded, but wrote no results under MERGESEARCH_RESULTS_DIR, in stage search"
)]
#[case::not_a_number(
    "mkdir -p $MERGESEARCH_RESULTS_DIR; echo '{\"left/acc\": NaN, \"right/acc,none\": 1}' > $MERGESEARCH_RESULTS_DIR/r.json; exit 0",
    "metric left/acc is NaN, expected a finite number"
)]
#[case::other_metrics(
    "mkdir -p $MERGESEARCH_RESULTS_DIR; echo '{\"left/accuracy\": 1}' > $MERGESEARCH_RESULTS_DIR/r.json; exit 0",
    "metric left/acc is not in the results; there are left/accuracy"
)]
fn a_failing_evaluator_ends_the_search_with_its_reason(#[case] sabotage: &str, #[case] reason: &str) {
    let mut fixture = Fixture::new();
    fixture.sabotage(sabotage).set("/budget/maxFailedTrials", json!(1));
    fixture.set("/evaluation/activeDeadlineSeconds", json!(if sabotage.contains("600") { 1 } else { 60 }));
    let ended = fixture.run();
    assert_eq!(ended.code, 1);
    assert!(
        ended.stderr.contains("error: the search failed: 2 trials failed, more than maxFailedTrials (1)"),
        "{}",
        ended.stderr
    );
    assert!(ended.stderr.contains(reason), "{}", ended.stderr);
}

#[test]
fn single_failures_rank_last_and_the_search_goes_on() {
    let mut fixture = Fixture::new();
    fixture.sabotage("case $trial in g0001-c003|g0002-c001) exit 1;; esac");
    let ended = fixture.run();
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(fixture.report()["progress"]["failed"], 2);
}

#[test]
fn an_evaluator_that_fails_is_run_again_as_often_as_the_manifest_says() {
    let mut fixture = Fixture::new();
    fixture.sabotage("if [ ! -e $SEEN_DIR/$trial ]; then touch $SEEN_DIR/$trial; exit 1; fi");
    fixture.set("/evaluation/backoffLimit", json!(1));
    assert_eq!(fixture.run().code, 0);
    assert_eq!(fixture.report()["progress"]["failed"], 0);
    let evaluations = fixture.evaluations();
    assert_eq!(evaluations.iter().filter(|line| *line == "uniform search").count(), 2);
}

#[test]
fn a_full_disk_ends_the_run_and_loses_nothing() {
    let mut fixture = Fixture::new();
    // The state lies behind a link to the device on which every write fails for want of space.
    fixture.sabotage("if [ $trial = g0001-c002 ] && [ ! -e $SEEN_DIR/full ]; then touch $SEEN_DIR/full; ln -s /dev/full $TRIALS_DIR/$trial/result.partial; fi");
    let ended = fixture.run();
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    assert!(ended.stderr.contains("the disk is full; nothing finished is lost"), "{}", ended.stderr);
    std::fs::remove_file(fixture.path("tiny.mergesearch/trials/g0001-c002/result.partial")).unwrap();
    assert_eq!(fixture.run().code, 0);
    assert_eq!(fixture.repeated(), [""; 0]);
    assert_eq!(fixture.report()["progress"]["failed"], 0);
}
