//! A results file as metrics, and finding the one that an objective names.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::MetricName;
use super::number::{number, strict_json};

/// How many of the names that are there an error lists.
const LISTED: usize = 12;

/// A metric's value with what is known of its precision, in the metric's own unit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measurement {
    /// The value. Finite when it comes from [`Metrics::select`].
    pub value: f64,
    /// The standard error of the value; `None` when the evaluator gives none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stderr: Option<f64>,
    /// How many items the value is made of; `None` when the evaluator doesn't say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items: Option<u64>,
}

/// Everything that a results file measures.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metrics {
    measurements: BTreeMap<MetricName, Measurement>,
    /// By task and metric, from files that say it.
    larger_is_better: BTreeMap<(String, String), bool>,
}

/// Why a text is no results file.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResultsError {
    /// No JSON, or cut short.
    #[error("results: {0}")]
    Json(String),
    /// JSON of another shape.
    #[error("results: expected an object with `results`, or of metrics with numbers")]
    Shape,
    /// Nothing measured.
    #[error("results: no metric in them")]
    Empty,
}

/// Why a metric can't be read from results.
#[derive(Debug, thiserror::Error, PartialEq)]
#[non_exhaustive]
pub enum SelectError {
    /// No metric of the name.
    #[error("metric {name} is not in the results; there are {}{}", present.join(" "), more(*left_out))]
    Unknown {
        /// What was asked for.
        name: MetricName,
        /// What is there, the likeliest first, at most a dozen.
        present: Vec<String>,
        /// How many more there are.
        left_out: usize,
    },
    /// Several filters, and the name has none.
    #[error("metric {name} has several filters, expected one of {}", filters.join(" "))]
    Ambiguous {
        /// What was asked for.
        name: MetricName,
        /// The full names.
        filters: Vec<String>,
    },
    /// NaN, infinite, or not available.
    #[error("metric {name} is {value}, expected a finite number")]
    NotFinite {
        /// What was asked for.
        name: MetricName,
        /// What it is.
        value: f64,
    },
}

fn more(left_out: usize) -> String {
    if left_out == 0 { String::new() } else { format!(" and {left_out} more") }
}

/// Reads a results file: lm-evaluation-harness' (`results`, `groups`, `n-samples`, `higher_is_better`) or a flat one
/// (metric to number, or to `value`, `stderr` and `items`).
///
/// `"N/A"` and NaN errors mean that no error is known; values that are NaN are kept, to be refused when they are
/// selected; entries that are no measurements (`alias`) are passed over.
pub fn parse(text: &str) -> Result<Metrics, ResultsError> {
    let document: Value =
        serde_json::from_str(&strict_json(text)).map_err(|error| ResultsError::Json(error.to_string()))?;
    let Value::Object(document) = document else { return Err(ResultsError::Shape) };
    let metrics = match document.get("results") {
        Some(Value::Object(results)) => harness(&document, results),
        Some(_) => return Err(ResultsError::Shape),
        None => flat(&document),
    };
    if metrics.measurements.is_empty() { Err(ResultsError::Empty) } else { Ok(metrics) }
}

fn harness(document: &Map<String, Value>, results: &Map<String, Value>) -> Metrics {
    let mut metrics = Metrics::default();
    let section = |name: &str| document.get(name).and_then(Value::as_object).into_iter().flatten();
    // Groups stand in `results` too, in most versions.
    for (task, entries) in results.iter().chain(section("groups")) {
        let Value::Object(entries) = entries else { continue };
        let items = document.get("n-samples").and_then(|counts| counts.get(task)?.get("effective")?.as_u64());
        for (key, value) in entries {
            if is_error_or_count(key) {
                continue;
            }
            if let (Some(name), Some(value)) = (MetricName::of_task(task, key), number(value)) {
                let stderr = entries.get(&error_key(key)).and_then(known_error);
                metrics.measurements.entry(name).or_insert(Measurement { value, stderr, items });
            }
        }
    }
    for (task, directions) in section("higher_is_better") {
        for (metric, direction) in directions.as_object().into_iter().flatten() {
            if let Some(direction) = direction.as_bool() {
                metrics.larger_is_better.insert((task.clone(), metric.clone()), direction);
            }
        }
    }
    metrics
}

/// Keys of a task's results that hold no metric: errors, and how many documents there were.
fn is_error_or_count(key: &str) -> bool {
    let metric = key.split(',').next().unwrap_or(key);
    metric.ends_with("_stderr") || matches!(metric, "alias" | "sample_len" | "sample_count")
}

/// `acc,none` has its error under `acc_stderr,none`.
fn error_key(key: &str) -> String {
    match key.split_once(',') {
        Some((metric, filter)) => format!("{metric}_stderr,{filter}"),
        None => format!("{key}_stderr"),
    }
}

fn known_error(value: &Value) -> Option<f64> {
    number(value).filter(|error| error.is_finite() && *error >= 0.0)
}

fn flat(document: &Map<String, Value>) -> Metrics {
    let measurement = |value: &Value| match value {
        Value::Object(entry) => Some(Measurement {
            value: number(entry.get("value")?)?,
            stderr: entry.get("stderr").and_then(known_error),
            items: entry.get("items").and_then(Value::as_u64),
        }),
        value => Some(Measurement { value: number(value)?, stderr: None, items: None }),
    };
    let entries = document.iter().filter_map(|(key, value)| {
        let name = MetricName::try_from(key.as_str()).ok()?;
        Some((name, measurement(value)?))
    });
    Metrics { measurements: entries.collect(), larger_is_better: BTreeMap::new() }
}

impl Metrics {
    /// Every name that can be selected, in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &MetricName> {
        self.measurements.keys()
    }

    /// The measurement that the name asks for.
    pub fn select(&self, name: &MetricName) -> Result<Measurement, SelectError> {
        let fitting: Vec<_> = self.measurements.iter().filter(|(present, _)| name.fits(present)).collect();
        match fitting[..] {
            [] => Err(self.unknown(name)),
            [(_, measurement)] if !measurement.value.is_finite() => {
                Err(SelectError::NotFinite { name: name.clone(), value: measurement.value })
            }
            [(_, measurement)] => Ok(*measurement),
            _ => Err(SelectError::Ambiguous {
                name: name.clone(),
                filters: fitting.iter().map(|(present, _)| present.to_string()).collect(),
            }),
        }
    }

    /// A sentence when the results say that the metric improves the other way; `None` when they agree or don't say.
    pub fn direction_warning(&self, name: &MetricName, larger_is_better: bool) -> Option<String> {
        let key = (name.task()?.to_owned(), name.metric().to_owned());
        let said = *self.larger_is_better.get(&key)?;
        let word = |larger: bool| if larger { "larger" } else { "smaller" };
        (said != larger_is_better).then(|| {
            let (said, wanted) = (word(said), word(larger_is_better));
            format!("metric {name}: the evaluator says that {said} is better, the objective that {wanted} is")
        })
    }

    fn unknown(&self, name: &MetricName) -> SelectError {
        let wanted = name.to_string();
        let mut present: Vec<String> = self.names().map(ToString::to_string).collect();
        let likeness = |name: &String| (strsim::normalized_damerau_levenshtein(&wanted, name) * 1e6) as u64;
        present.sort_by_cached_key(|name| Reverse(likeness(name)));
        let left_out = present.len().saturating_sub(LISTED);
        present.truncate(LISTED);
        SelectError::Unknown { name: name.clone(), present, left_out }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As lm-evaluation-harness 0.4 writes it, cut down.
    const HARNESS: &str = r#"{
        "results": {
            "gsm8k": {
                "alias": "gsm8k", "sample_len": 500,
                "exact_match,strict-match": 0.5, "exact_match_stderr,strict-match": 0.0137,
                "exact_match,flexible-extract": 0.625, "exact_match_stderr,flexible-extract": 0.0133
            },
            "wikitext": {"alias": "wikitext", "word_perplexity,none": "12.5", "word_perplexity_stderr,none": "N/A"},
            "broken": {"acc,none": NaN, "acc_stderr,none": NaN},
            "leaderboard/math": {"acc,none": 1, "acc_stderr,none": 0}
        },
        "groups": {"mmlu": {"acc,none": 0.25, "acc_stderr,none": 0.01, "alias": "mmlu"}},
        "higher_is_better": {"gsm8k": {"exact_match": true}, "wikitext": {"word_perplexity": false}},
        "n-samples": {"gsm8k": {"original": 1319, "effective": 500}},
        "config": {"model_args": "NaN, \"NaN\""}
    }"#;

    fn name(text: &str) -> MetricName {
        MetricName::try_from(text).unwrap()
    }

    fn select(text: &str, metric: &str) -> Result<(f64, Option<f64>, Option<u64>), SelectError> {
        let Measurement { value, stderr, items } = parse(text).unwrap().select(&name(metric))?;
        Ok((value, stderr, items))
    }

    #[test]
    fn harness_results_are_read() {
        let cases = [
            ("gsm8k/exact_match,strict-match", (0.5, Some(0.0137), Some(500))),
            ("wikitext/word_perplexity", (12.5, None, None)),
            ("leaderboard/math/acc", (1.0, Some(0.0), None)),
            ("mmlu/acc,none", (0.25, Some(0.01), None)),
        ];
        for (metric, expected) in cases {
            assert_eq!(select(HARNESS, metric), Ok(expected), "{metric}");
        }
    }

    #[test]
    fn flat_results_are_read() {
        let text = r#"{"accuracy": 0.5, "t/loss": {"value": 2.5, "stderr": 0.1, "items": 40}, "note": "x", "model": {}}"#;
        assert_eq!(select(text, "accuracy"), Ok((0.5, None, None)));
        assert_eq!(select(text, "t/loss"), Ok((2.5, Some(0.1), Some(40))));
        assert_eq!(parse(text).unwrap().names().count(), 2);
    }

    #[test]
    fn wrong_names_are_answered_with_the_names_there_are() {
        let error = select(HARNESS, "gsm8k/exactmatch,strict-match").unwrap_err().to_string();
        assert!(
            error.starts_with(
                "metric gsm8k/exactmatch,strict-match is not in the results; there are gsm8k/exact_match,strict-match "
            ),
            "{error}"
        );
        let ambiguous = select(HARNESS, "gsm8k/exact_match").unwrap_err().to_string();
        assert_eq!(
            ambiguous,
            "metric gsm8k/exact_match has several filters, expected one of gsm8k/exact_match,flexible-extract \
             gsm8k/exact_match,strict-match"
        );
        let many: Map<String, Value> =
            (0..20).map(|index| (format!("m{index}"), Value::from(index))).collect();
        let error = select(&Value::Object(many).to_string(), "m").unwrap_err();
        let SelectError::Unknown { present, left_out, .. } = error else { panic!("{error}") };
        assert_eq!((present.len(), left_out), (12, 8));
    }

    #[test]
    fn no_number_is_an_error() {
        let error = select(HARNESS, "broken/acc").unwrap_err().to_string();
        assert_eq!(error, "metric broken/acc is NaN, expected a finite number");
        for text in [r#"{"loss": Infinity}"#, r#"{"loss": null}"#, r#"{"loss": "N/A"}"#] {
            assert!(matches!(select(text, "loss"), Err(SelectError::NotFinite { .. })), "{text}");
        }
    }

    #[test]
    fn a_direction_that_differs_is_a_warning() {
        let metrics = parse(HARNESS).unwrap();
        assert_eq!(metrics.direction_warning(&name("gsm8k/exact_match"), true), None);
        assert_eq!(metrics.direction_warning(&name("mmlu/acc"), false), None);
        let warning = metrics.direction_warning(&name("wikitext/word_perplexity,none"), true).unwrap();
        assert_eq!(
            warning,
            "metric wikitext/word_perplexity,none: the evaluator says that smaller is better, the objective that larger is"
        );
    }

    #[test]
    fn what_is_no_results_file_says_so() {
        assert!(matches!(parse("{\"results\": "), Err(ResultsError::Json(_))));
        for text in ["[]", "1", r#"{"results": []}"#] {
            assert_eq!(parse(text), Err(ResultsError::Shape), "{text}");
        }
        for text in ["{}", r#"{"results": {}}"#, r#"{"results": {"a": {"alias": "a"}}}"#, r#"{"a": "b"}"#] {
            assert_eq!(parse(text), Err(ResultsError::Empty), "{text}");
        }
    }

    #[test]
    fn measurements_go_through_json_unchanged() {
        let measurement = Measurement { value: 0.1 + 0.2, stderr: None, items: Some(3) };
        let json = serde_json::to_string(&measurement).unwrap();
        assert_eq!(json, r#"{"value":0.30000000000000004,"items":3}"#);
        assert_eq!(serde_json::from_str::<Measurement>(&json).unwrap(), measurement);
    }
}
