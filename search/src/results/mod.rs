//! What an evaluator reports: metrics with their errors, scores of single items, and honest differences between two
//! trials. Pure: texts in, numbers out.
//!
//! An evaluator writes either what lm-evaluation-harness writes, `results_TIME.json` and one `samples_TASK_TIME.jsonl`
//! per task in any folder below its results folder, or a flat JSON object `{"METRIC": number}` or
//! `{"METRIC": {"value": number, "stderr": number, "items": count}}`. Which file is read is the caller's choice: the
//! newest `**/*.json` that [`parse`] takes, since a retried evaluator leaves two.
//!
//! ```
//! use mergesearch_search::results::{MetricName, parse};
//!
//! let text = r#"{"results": {"gsm8k": {"exact_match,strict-match": 0.53, "exact_match_stderr,strict-match": 0.01}}}"#;
//! let name = MetricName::try_from("gsm8k/exact_match")?;
//! let measurement = parse(text)?.select(&name)?;
//! assert_eq!((measurement.value, measurement.stderr), (0.53, Some(0.01)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod difference;
mod items;
mod metrics;
mod name;
mod number;

pub use difference::{Difference, UnmatchedItems, difference_from_errors, paired_difference, rank_agreement};
pub use items::{ItemError, ItemScores};
pub use metrics::{Measurement, Metrics, ResultsError, SelectError, parse};
pub use name::{MetricName, MetricNameError};
