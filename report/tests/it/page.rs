//! The page as a file: its size, and that no text gets out of its place.

use mergesearch_report::{Report, page};

use crate::example::example;

const MEGABYTE: usize = 1_000_000;

/// How often the page's own scripts end.
const SCRIPT_ENDS: usize = 3;

fn data(page: &str) -> serde_json::Value {
    let (_, rest) = page.split_once(r#"<script id="data" type="application/json">"#).unwrap();
    serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap()
}

#[test]
fn a_thousand_trials_stay_below_two_megabytes() {
    let report = example(1_000);
    let page = page(&report).unwrap();
    assert!(page.len() < 2 * MEGABYTE, "{} bytes", page.len());
    assert_eq!(data(&page), serde_json::to_value(&report).unwrap());
}

#[test]
fn names_from_outside_stay_texts() {
    let hostile = "</script><script>alert(1)</script><!-- {{script}} {{data}} & \"'";
    let mut report = example(24);
    report.name = hostile.to_owned();
    report.objectives[0].name = hostile.to_owned();
    report.trials[20].failure = Some(hostile.to_owned());
    let page = page(&report).unwrap();
    assert_eq!(page.matches("</script").count(), SCRIPT_ENDS);
    assert_eq!(data(&page)["objectives"][0]["name"], hostile);
    assert!(page.contains("<title>&lt;/script&gt;&lt;script&gt;alert(1)"));
}

#[test]
fn nothing_is_loaded_from_elsewhere() {
    let page = page(&Report::default()).unwrap();
    for loading in ["<link", "<script src", "<iframe", "@import", "url(http"] {
        assert!(!page.contains(loading), "{loading}");
    }
    // And whatever its scripts may try.
    assert!(page.contains(r#"content="default-src 'none'; "#));
}
