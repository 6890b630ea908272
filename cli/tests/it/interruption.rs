//! Killed, stopped, locked out: nothing finished is lost, nothing finished runs again.

use std::fs;
use std::io::Read;
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::fixture::Fixture;

/// Waits for something that another process does; fails after a time that only a hanging one needs.
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_mins(1), "waited in vain until {what}");
        sleep(Duration::from_millis(2));
    }
}

pub(crate) fn signal(child: &Child, signal: &str) {
    assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
}

fn stderr(mut child: Child) -> (Option<i32>, String) {
    let mut text = String::new();
    child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    (child.wait().unwrap().code(), text)
}

#[test]
fn killed_at_many_moments_a_search_ends_as_if_it_never_had_been() {
    let mut undisturbed = Fixture::new();
    undisturbed.delayed().set("/execution/parallelTrials", json!(3));
    assert_eq!(undisturbed.run().code, 0);

    let mut fixture = Fixture::new();
    fixture.delayed().set("/execution/parallelTrials", json!(3));
    let mut kills = 0;
    loop {
        let mut child = fixture.start();
        // Moments spread over the run: after so many more evaluations began, and a while.
        let begun = fixture.evaluations().len();
        let more = 1 + kills % 4;
        let mut ended = false;
        wait_until("evaluations began", || {
            ended = child.try_wait().unwrap().is_some();
            ended || fixture.evaluations().len() >= begun + more
        });
        sleep(Duration::from_millis(7 * (kills as u64 % 9)));
        if ended {
            assert_eq!(stderr(child).0, Some(0));
            break;
        }
        signal(&child, "-KILL");
        child.wait().unwrap();
        kills += 1;
    }
    assert!(kills >= 15, "only {kills} kills");
    assert_eq!(fixture.repeated(), [""; 0]);
    assert_eq!(fixture.report(), undisturbed.report());
    let shown = fixture.shown();
    let spans = shown["timeline"]["spans"].as_array().unwrap().len();
    assert_eq!(json!(spans), shown["progress"]["succeeded"], "every trial that ended says when it ran");
}

#[test]
fn ctrl_c_leaves_a_state_that_goes_on() {
    let mut fixture = Fixture::new();
    fixture.delayed();
    let child = fixture.start();
    wait_until("trials began", || fixture.evaluations().len() > 8);
    signal(&child, "-INT");
    let (code, text) = stderr(child);
    assert_eq!(code, Some(1));
    assert!(text.contains("error: interrupted by Ctrl-C; run the same command again to go on"), "{text}");
    let ended = fixture.run();
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.stderr.contains("going on after"), "{}", ended.stderr);
    assert_eq!(fixture.repeated(), [""; 0]);
}

#[test]
fn a_second_run_is_kept_out_and_does_no_harm() {
    let mut fixture = Fixture::new();
    fixture.sabotage("while [ ! -e \"$SEEN_DIR/go\" ]; do sleep 0.01; done");
    let child = fixture.start();
    wait_until("a trial began", || !fixture.evaluations().is_empty());
    let second = fixture.run();
    assert_eq!(second.code, 1);
    let expected = format!("tiny.mergesearch: in use by another run (process {})", child.id());
    assert!(second.stderr.contains(&expected), "{}", second.stderr);
    fs::write(fixture.path("seen/go"), "").unwrap();
    assert_eq!(stderr(child).0, Some(0));
}

#[test]
fn a_completed_search_goes_on_with_a_larger_budget_and_otherwise_only_tells_its_result() {
    let mut fixture = Fixture::new();
    let first = fixture.run();
    let evaluations = fixture.evaluations().len();
    let again = fixture.run();
    assert_eq!((again.code, fixture.evaluations().len()), (0, evaluations));
    let table = |text: &str| text.split("\npublished").next().unwrap().to_owned();
    assert_eq!(table(&again.stdout), table(&first.stdout));
    fixture.set("/budget/maxTrials", json!(62));
    assert_eq!(fixture.run().code, 0);
    assert!(fixture.evaluations().len() > evaluations);
    assert_eq!(fixture.repeated(), [""; 0]);
    fixture.set("/search/seed", json!(8));
    let other = fixture.run();
    assert_eq!(other.code, 2);
    assert!(other.stderr.contains("seed differs from the search"), "{}", other.stderr);
}

#[test]
fn a_checkpoint_that_changed_meanwhile_is_refused() {
    let fixture = Fixture::new();
    assert_eq!(fixture.run().code, 0);
    crate::fixture::checkpoint(&fixture.path("pool/c2"), &[0.0, 0.0, 0.5, 0.5]);
    let ended = fixture.run();
    assert_eq!(ended.code, 2);
    assert!(ended.stderr.contains("error: checkpoint c2: file://"), "{}", ended.stderr);
    assert!(ended.stderr.contains("has changed since this search began"), "{}", ended.stderr);
}

#[test]
fn a_time_budget_ends_the_search_and_still_scores_the_finalists() {
    let mut fixture = Fixture::new();
    fixture
        .set("/budget/maxTrials", json!(100_000))
        .set("/budget/maxDuration", json!("3s"))
        .sabotage("sleep 0.05");
    let ended = fixture.run();
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.stdout.starts_with("completed: the time is over"), "{}", ended.stdout);
    assert!(!fixture.report()["comparison"].is_null());
}
