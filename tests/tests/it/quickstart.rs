//! The quickstart as it is shipped: its pool has to show what the README says of it, on items that chose nothing.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use mergesearch_search::results::{Difference, ItemScores, MetricName, paired_difference};
use mergesearch_tests::{mergesearch, workspace};
use rstest::rstest;
use serde_json::Value;

/// A step from one merge to the next better one counts when it is so many of its own standard errors.
const STANDARD_ERRORS: f64 = 3.0;

#[rstest]
#[case::three_objectives("mergesearch.yaml", &["sort_descending", "reverse_increment", "addition"])]
#[case::two_objectives("mergesearch-two.yaml", &["sort_descending", "reverse_increment"])]
fn uniform_is_worse_than_the_best_single_than_the_greedy_soup_than_the_search(
    #[case] manifest: &'static str,
    #[case] tasks: &[&str],
) {
    let state = searched(manifest);
    let shown = mergesearch().args(["show", "--state", state.to_str().unwrap(), "-o", "json"]).run();
    shown.assert_code(0);
    let result: Value = serde_json::from_str(&shown.stdout).unwrap();

    let named = |field: &str| result[field].as_str().unwrap().to_owned();
    let ladder = ["uniform".to_owned(), named("bestSingle"), named("greedySoup"), named("best")];
    for pair in ladder.windows(2) {
        let Difference { value, stderr, paired_items } = difference(&state, tasks, &pair[1], &pair[0]);
        assert_eq!(paired_items, Some(2_000 * tasks.len() as u64));
        let least = STANDARD_ERRORS * stderr.unwrap();
        assert!(value >= least, "{} is {value} better than {}, expected at least {least}", pair[1], pair[0]);
    }
    let sentence = result["comparison"]["sentence"].as_str().unwrap();
    assert!(sentence.contains(" points over the best baseline ("), "{sentence}");
    for held_out in
        result["front"].as_array().unwrap().iter().flat_map(|row| row["heldOut"].as_array().unwrap())
    {
        assert!(held_out["value"].as_f64().unwrap() > 0.9, "an old task was forgotten: {held_out}");
    }
}

/// The state folder of a quickstart search, run to its end once for all tests of this process.
pub(crate) fn searched(manifest: &'static str) -> PathBuf {
    static SEARCHED: Mutex<BTreeSet<&str>> = Mutex::new(BTreeSet::new());
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(manifest.trim_end_matches(".yaml"));
    let state = folder.join("state.mergesearch");
    let mut searched = SEARCHED.lock().unwrap();
    if searched.insert(manifest) {
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let file = published_in(&folder, manifest);
        let arguments = ["run", "--file", file.to_str().unwrap(), "--state", state.to_str().unwrap()];
        mergesearch().args(arguments).run().assert_code(0);
    }
    state
}

/// The shipped manifest, with its pool where it is and its output elsewhere.
fn published_in(folder: &Path, manifest: &str) -> PathBuf {
    let shipped = workspace().join("examples/quickstart");
    let text = fs::read_to_string(shipped.join(manifest)).unwrap();
    let text = text.replace("file://./pool", &format!("file://{}/pool", shipped.display()));
    let path = folder.join(manifest);
    fs::write(&path, text).unwrap();
    path
}

/// By how much the mean over the tasks is better for one finalist than for another, paired by test item.
fn difference(state: &Path, tasks: &[&str], better: &str, worse: &str) -> Difference {
    let scores = |trial: &str| tasks.iter().map(|task| items(state, trial, task)).collect::<Vec<_>>();
    let (better, worse) = (scores(better), scores(worse));
    let factor = 1.0 / tasks.len() as f64;
    let pairs: Vec<_> = better.iter().zip(&worse).map(|(better, worse)| (factor, better, worse)).collect();
    paired_difference(&pairs).unwrap()
}

fn items(state: &Path, trial: &str, task: &str) -> ItemScores {
    let mut folders = vec![state.join(format!("trials/final-{trial}/test"))];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                folders.push(entry);
            } else if entry.file_name().unwrap().to_str().unwrap().starts_with(&format!("samples_{task}_")) {
                let metric = MetricName::try_from(format!("{task}/exact_match")).unwrap();
                return ItemScores::parse(&fs::read_to_string(entry).unwrap(), &metric).unwrap();
            }
        }
    }
    panic!("trial {trial} has no items of {task}");
}
