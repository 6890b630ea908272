//! Scores of single items, so that two trials can be compared item by item.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::MetricName;
use super::number::{number, strict_json};

/// lm-evaluation-harness' name for "the answer as it came".
const NO_FILTER: &str = "none";

/// One metric's score of each item, from `samples_TASK_TIME.jsonl`.
///
/// An item is known by its `doc_hash` (its `doc_id` where there is none); items with the same text are told apart by
/// their order. Both stay the same whichever model is evaluated.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ItemScores {
    scores: BTreeMap<(String, u32), f64>,
}

/// Why scores of items can't be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ItemError {
    /// A line that is no JSON object.
    #[error("samples line {line}: {problem}")]
    Line {
        /// From 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// A line without what tells its item from others.
    #[error("samples line {line}: expected doc_hash or doc_id")]
    NoKey {
        /// From 1.
        line: usize,
    },
    /// A score that is missing or no finite number. Metrics that are no means of items have none.
    #[error("samples line {line}: expected a finite number as {metric}")]
    NoScore {
        /// From 1.
        line: usize,
        /// The metric's name in the line.
        metric: String,
    },
    /// Several filters, and the name has none.
    #[error("metric {name} has several filters in the samples, expected one of {}", filters.join(" "))]
    Ambiguous {
        /// What was asked for.
        name: MetricName,
        /// The filters.
        filters: Vec<String>,
    },
    /// No line of the filter, or no line at all.
    #[error("metric {name}: no item in the samples")]
    Empty {
        /// What was asked for.
        name: MetricName,
    },
}

impl ItemScores {
    /// Reads the lines of the metric's filter. The file is a task's own: the task in the name is not looked at.
    pub fn parse(jsonl: &str, name: &MetricName) -> Result<Self, ItemError> {
        let mut lines = Vec::new();
        for (index, text) in jsonl.lines().enumerate().filter(|(_, text)| !text.trim().is_empty()) {
            let line = index + 1;
            let sample: Map<String, Value> = serde_json::from_str(&strict_json(text))
                .map_err(|error| ItemError::Line { line, problem: error.to_string() })?;
            let filter = sample.get("filter").and_then(Value::as_str).unwrap_or(NO_FILTER).to_owned();
            if name.filter().is_none_or(|wanted| wanted == filter) {
                lines.push((line, filter, sample));
            }
        }
        let filters: BTreeSet<&String> = lines.iter().map(|(_, filter, _)| filter).collect();
        match filters.len() {
            0 => return Err(ItemError::Empty { name: name.clone() }),
            1 => {}
            _ => {
                let filters = filters.into_iter().cloned().collect();
                return Err(ItemError::Ambiguous { name: name.clone(), filters });
            }
        }
        let mut occurrences: BTreeMap<String, u32> = BTreeMap::new();
        let mut scores = BTreeMap::new();
        for (line, _, sample) in &lines {
            let line = *line;
            let item = item_key(sample).ok_or(ItemError::NoKey { line })?;
            let score = sample.get(name.metric()).and_then(number).filter(|score| score.is_finite());
            let score = score.ok_or_else(|| ItemError::NoScore { line, metric: name.metric().to_owned() })?;
            let occurrence = occurrences.entry(item.clone()).or_default();
            scores.insert((item, *occurrence), score);
            *occurrence += 1;
        }
        Ok(Self { scores })
    }

    /// How many items have a score.
    pub fn len(&self) -> usize {
        self.scores.len()
    }

    /// Whether there is no item.
    pub fn is_empty(&self) -> bool {
        self.scores.is_empty()
    }

    /// For each item that both have, in a fixed order: this one's score minus the other's.
    pub(super) fn differences<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = f64> + 'a {
        self.scores.iter().filter_map(|(item, score)| Some(score - other.scores.get(item)?))
    }
}

fn item_key(sample: &Map<String, Value>) -> Option<String> {
    match (sample.get("doc_hash"), sample.get("doc_id")) {
        (Some(Value::String(hash)), _) => Some(hash.clone()),
        (_, Some(id @ (Value::Number(_) | Value::String(_)))) => Some(format!("doc_id {id}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> MetricName {
        MetricName::try_from(text).unwrap()
    }

    const SAMPLES: &str = r#"
{"doc_id": 0, "doc_hash": "h0", "filter": "strict", "acc": 1.0, "perplexity": [0.5, 3]}
{"doc_id": 0, "doc_hash": "h0", "filter": "loose", "acc": 0.0}

{"doc_id": 1, "doc_hash": "h1", "filter": "strict", "acc": false, "resps": NaN}
{"doc_id": 2, "doc_hash": "h1", "filter": "strict", "acc": "0.5"}
"#;

    #[test]
    fn items_of_the_filter_are_read() {
        let scores = ItemScores::parse(SAMPLES, &name("t/acc,strict")).unwrap();
        let expected =
            [(("h0".to_owned(), 0), 1.0), (("h1".to_owned(), 0), 0.0), (("h1".to_owned(), 1), 0.5)];
        assert_eq!(scores, ItemScores { scores: BTreeMap::from(expected) });
        assert_eq!(ItemScores::parse(SAMPLES, &name("t/acc,loose")).unwrap().len(), 1);
    }

    #[test]
    fn doc_id_stands_in_for_a_missing_hash() {
        let scores = ItemScores::parse("{\"doc_id\": 7, \"acc\": 1}", &name("t/acc,none")).unwrap();
        assert_eq!(scores.scores.keys().next().unwrap().0, "doc_id 7");
    }

    #[test]
    fn what_can_not_be_read_is_named() {
        let cases = [
            (
                SAMPLES,
                "t/acc",
                "metric t/acc has several filters in the samples, expected one of loose strict",
            ),
            (SAMPLES, "t/acc,none", "metric t/acc,none: no item in the samples"),
            (SAMPLES, "t/perplexity,strict", "samples line 2: expected a finite number as perplexity"),
            ("", "t/acc", "metric t/acc: no item in the samples"),
            ("{\"acc\": 1}", "t/acc", "samples line 1: expected doc_hash or doc_id"),
            ("{\"doc_id\": 1, \"acc\": NaN}", "t/acc", "samples line 1: expected a finite number as acc"),
        ];
        for (jsonl, metric, sentence) in cases {
            assert_eq!(ItemScores::parse(jsonl, &name(metric)).unwrap_err().to_string(), sentence);
        }
        let cut = ItemScores::parse("{\"doc_id\": 1}\n{\"doc", &name("t/acc")).unwrap_err();
        assert!(matches!(cut, ItemError::Line { line: 2, .. }), "{cut}");
    }
}
