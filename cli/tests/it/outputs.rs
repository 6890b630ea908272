//! What the commands beside `run` print and write.

use std::fs;
use std::path::Path;

use mergesearch_recipe::Recipe;
use serde_json::{Value, json};

use crate::fixture::Fixture;

#[test]
fn a_finished_search_is_shown_exported_and_published() {
    let fixture = Fixture::new();
    let ended = fixture.run();
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(
        ended.stdout.contains(
            " points over the best baseline (greedy soup, greedy-02) on 40 unseen items; held-out "
        ),
        "{}",
        ended.stdout
    );

    // Found by the only state folder here, by name, and by manifest.
    for arguments in [&["show"][..], &["show", "tiny.mergesearch"], &["show", "-f", "mergesearch.yaml"]] {
        let shown = fixture.mergesearch(arguments);
        assert_eq!((shown.code, shown.stdout.contains("best single, c")), (0, true), "{}", shown.stderr);
    }

    let report = fixture.report();
    let best = report["best"].as_str().unwrap();
    assert_eq!(report["published"][0]["trial"], best);
    let published = fixture.path(&format!("out/tiny/published/{best}"));
    let card = fs::read_to_string(published.join("README.md")).unwrap();
    assert!(
        card.contains("| left (search) | left (test) |") && card.contains("over the best baseline"),
        "{card}"
    );

    // The recipe as exported makes the very bytes that were published.
    let exported = fixture.mergesearch(&["export", best, "--format", "recipe"]);
    assert_eq!(exported.code, 0, "{}", exported.stderr);
    let recipe = Recipe::from_yaml(&exported.stdout).unwrap();
    assert!((recipe.groups[0].weights.iter().sum::<f64>() - 1.0).abs() < 1e-9);
    let again = fixture.mergesearch(&["publish", "best", "elsewhere"]);
    assert_eq!(again.code, 0, "{}", again.stderr);
    let model = |folder: &std::path::Path| fs::read(folder.join("model.safetensors")).unwrap();
    assert_eq!(model(&fixture.path("elsewhere")), model(&published));

    let mergekit = fixture.mergesearch(&["export", best]).stdout;
    assert!(mergekit.contains("merge_method: linear") && mergekit.contains("dtype: float32"), "{mergekit}");

    let twice = fixture.mergesearch(&["publish", "best", "elsewhere"]);
    assert_eq!(twice.code, 2);
    assert!(twice.stderr.contains("there is a model already"), "{}", twice.stderr);
    let unknown = fixture.mergesearch(&["export", "g0099-c000"]);
    assert_eq!(unknown.code, 2);
    assert!(unknown.stderr.contains("trial g0099-c000: this search has no such trial"), "{}", unknown.stderr);
}

/// What the page shows, as it holds it.
fn contents(page: &Path) -> Value {
    let page = fs::read_to_string(page).unwrap();
    let (_, rest) = page.split_once(r#"<script id="data" type="application/json">"#).unwrap();
    serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap()
}

#[test]
fn the_report_shows_what_show_prints() {
    let fixture = Fixture::new();
    let none = fixture.mergesearch(&["report"]);
    assert_eq!((none.code, none.stderr.contains("no search here")), (2, true), "{}", none.stderr);
    let ended = fixture.run();
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let page = fixture.path("tiny.mergesearch/report/report.html");
    assert!(ended.stdout.ends_with(&format!("report {}\n", page.display())), "{}", ended.stdout);
    let left_by_run = contents(&page);

    let reported = fixture.mergesearch(&["report", "-f", "mergesearch.yaml", "--output", "made"]);
    assert_eq!((reported.code, reported.stdout.as_str()), (0, "made/report.html\n"), "{}", reported.stderr);
    assert!(fixture.path("made/convergence.png").is_file() && fixture.path("made/weights.svg").is_file());
    let shown = contents(&fixture.path("made/report.html"));
    assert_eq!(shown, left_by_run);

    let report = fixture.report();
    let trials = shown["trials"].as_array().unwrap();
    let id = |role: &str| trials[shown["roles"][role].as_u64().unwrap() as usize]["id"].clone();
    assert_eq!(id("best"), report["best"]);
    assert_eq!(id("bestSingle"), report["bestSingle"]);
    assert_eq!(id("greedy"), report["greedySoup"]);
    assert_eq!(shown["judgement"]["sentence"], report["comparison"]["sentence"]);
    assert_eq!(shown["roles"]["front"].as_array().unwrap().len(), report["front"].as_array().unwrap().len());
    let best = &trials[shown["roles"]["best"].as_u64().unwrap() as usize];
    let gain = report["comparison"]["test"]["value"].as_f64().unwrap();
    assert!((best["testFitnessGain"]["value"].as_f64().unwrap() - gain).abs() < 1e-6, "{best}");
    assert_eq!(
        shown["generations"].as_array().unwrap().len(),
        report["generations"].as_array().unwrap().len()
    );
}

#[test]
fn results_and_report_say_when_each_trial_ran() {
    let fixture = Fixture::new();
    assert_eq!(fixture.run().code, 0);
    let shown = fixture.shown();
    let timeline = &shown["timeline"];
    let busy = timeline["busy"].as_f64().unwrap();
    assert!(0.0 < busy && busy <= 1.0, "{busy}");
    assert_eq!((&timeline["parallelTrials"], &timeline["interruptions"]), (&json!(2), &json!(0)));
    let spans = timeline["spans"].as_array().unwrap();
    assert_eq!(json!(spans.len()), shown["progress"]["succeeded"]);

    let seconds = |value: &Value| value.as_f64().unwrap();
    for span in spans {
        let trial = span["trial"].as_str().unwrap();
        let kept = fixture.path(&format!("tiny.mergesearch/trials/{trial}/result.json"));
        let result: Value = serde_json::from_slice(&fs::read(kept).unwrap()).unwrap();
        let moments = ["started", "merged", "ended"];
        assert!(moments.map(|moment| seconds(&span[moment])).is_sorted(), "{span}");
        for moment in moments {
            let told = seconds(&timeline["firstStart"]) + seconds(&span[moment]);
            let difference = told - seconds(&result["time"][moment]);
            assert!(difference.abs() < 2e-3, "{trial} {moment}: {difference}");
        }
    }
}

#[test]
fn validation_says_what_a_run_would_do_and_starts_nothing() {
    let fixture = Fixture::new();
    let ended = fixture.mergesearch(&["validate", "-f", "mergesearch.yaml"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(
        ended.stdout.contains("48: 6 baselines, 3 for the greedy soup, 5 generations of 7"),
        "{}",
        ended.stdout
    );
    assert!(fixture.evaluations().is_empty() && !fixture.path("tiny.mergesearch").exists());
}

#[test]
fn the_other_commands_print_what_they_promise() {
    let fixture = Fixture::new();
    assert!(fixture.mergesearch(&["crd"]).stdout.contains("name: mergesearches.mergesearch.dev"));
    for shell in ["bash", "zsh", "fish"] {
        assert!(fixture.mergesearch(&["completions", shell]).stdout.contains("validate"), "{shell}");
    }
    assert_eq!(fixture.mergesearch(&["show"]).code, 2);
    assert_eq!(fixture.mergesearch(&["run"]).code, 2);
}
