//! The same search whatever runs beside what and ends when.

use serde_json::json;

use crate::fixture::Fixture;

#[test]
fn parallelism_and_the_order_of_endings_change_nothing() {
    let report = |parallel: usize| {
        let mut fixture = Fixture::new();
        fixture.delayed().set("/execution/parallelTrials", json!(parallel));
        let ended = fixture.run();
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        assert_eq!(fixture.repeated(), [""; 0]);
        fixture.report()
    };
    let alone = report(1);
    assert_eq!(alone["progress"]["phase"], "ended");
    assert!(alone["comparison"]["test"]["value"].as_f64().unwrap() > 0.0);
    for parallel in [2, 5] {
        assert_eq!(report(parallel), alone, "{parallel} at a time");
    }
}

#[test]
fn without_a_barrier_the_journal_gives_the_same_state() {
    let mut fixture = Fixture::new();
    fixture.delayed().set("/search/barrier", json!(false)).set("/execution/parallelTrials", json!(5));
    assert_eq!(fixture.run().code, 0);
    let written: serde_json::Value =
        serde_json::from_slice(&std::fs::read(fixture.path("tiny.mergesearch/report.json")).unwrap())
            .unwrap();
    let mut shown = fixture.report();
    // The report is kept before anything is published from it, and the fixture cuts its own places out.
    for field in ["progress", "generations", "objectives", "best", "comparison"] {
        assert_eq!(shown[field].take(), written[field], "{field}");
    }
}
