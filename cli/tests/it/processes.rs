//! No process of an evaluator outlives its trial, and none the run.

use std::fs;
use std::path::Path;

use rstest::rstest;
use serde_json::json;

use crate::fixture::Fixture;
use crate::interruption::{signal, wait_until};

/// Starts a grandchild that ignores what it can, and notes its number.
const GRANDCHILD: &str = "sh -c 'trap \"\" TERM INT HUP; echo $$ > $SEEN_DIR/grandchild.partial; \
    mv $SEEN_DIR/grandchild.partial $SEEN_DIR/grandchild; while true; do sleep 1; done' & ";

/// Whether a process runs; one that has ended and only waits to be reaped does not.
fn lives(pid: &str) -> bool {
    let stat = fs::read_to_string(Path::new("/proc").join(pid).join("stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.trim_start().starts_with(['Z', 'X']) && !rest.is_empty())
}

fn grandchild(fixture: &Fixture) -> String {
    wait_until("the grandchild runs", || fixture.path("seen/grandchild").exists());
    fs::read_to_string(fixture.path("seen/grandchild")).unwrap().trim().to_owned()
}

#[rstest]
#[case::killed("-KILL")]
#[case::interrupted("-INT")]
#[case::terminated("-TERM")]
fn a_run_that_ends_takes_its_evaluators_whole_group_along(#[case] with: &str) {
    let mut fixture = Fixture::new();
    fixture.set("/execution/parallelTrials", json!(1)).sabotage(&format!("{GRANDCHILD} wait"));
    let mut child = fixture.start();
    let pid = grandchild(&fixture);
    assert!(lives(&pid));
    signal(&child, with);
    child.wait().unwrap();
    wait_until("the grandchild is gone", || !lives(&pid));
}

#[test]
fn what_an_evaluator_leaves_running_ends_with_it() {
    let mut fixture = Fixture::new();
    fixture.sabotage(&format!("if [ $trial = uniform ]; then {GRANDCHILD} fi"));
    assert_eq!(fixture.run().code, 0);
    assert!(!lives(&grandchild(&fixture)));
}

#[test]
fn a_deadline_ends_the_whole_group() {
    let mut fixture = Fixture::new();
    fixture.set("/evaluation/activeDeadlineSeconds", json!(1)).set("/budget/maxFailedTrials", json!(0));
    fixture.set("/execution/parallelTrials", json!(1)).sabotage(&format!("{GRANDCHILD} wait"));
    assert_eq!(fixture.run().code, 1);
    assert!(!lives(&grandchild(&fixture)));
}
