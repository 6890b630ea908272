//! Scores of single items from an evaluator's kept results.

use std::fs;
use std::path::Path;

use mergesearch_merger::samples;
use mergesearch_search::results::{ItemScores, MetricName};

/// The metric's score of each item; `None` when the evaluator keeps none that can be read.
pub(super) fn item_scores(folder: &Path, metric: &MetricName) -> Option<ItemScores> {
    let task = metric.task()?;
    let file = samples(folder).into_iter().find(|path| {
        path.file_name().and_then(|name| name.to_str()).is_some_and(|name| is_of_task(name, task))
    })?;
    ItemScores::parse(&fs::read_to_string(file).ok()?, metric).ok()
}

/// Whether `samples_TASK_TIME.jsonl` is that task's: a time begins with a digit, so `arc` is not `arc_easy`.
fn is_of_task(file: &str, task: &str) -> bool {
    file.strip_prefix("samples_")
        .and_then(|rest| rest.strip_prefix(task))
        .and_then(|rest| rest.strip_suffix(".jsonl"))
        .is_some_and(|time| {
            time.is_empty()
                || time
                    .strip_prefix('_')
                    .is_some_and(|time| time.starts_with(|digit: char| digit.is_ascii_digit()))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_belongs_to_the_task_it_names() {
        assert!(is_of_task("samples_arc_2026-01-01T00-00-00.000.jsonl", "arc"));
        assert!(is_of_task("samples_arc.jsonl", "arc"));
        assert!(!is_of_task("samples_arc_easy_2026-01-01T00-00-00.000.jsonl", "arc"));
        assert!(!is_of_task("results_arc_2026.jsonl", "arc"));
    }
}
