//! The name of a metric, as manifests and results write it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// `TASK/METRIC,FILTER`, as in `gsm8k/exact_match,strict-match`.
///
/// The filter may be left out when a task has one; the task too, for evaluators that write a flat file. Everything up
/// to the last `/` is the task, so tasks may have one in their names; metrics and filters may not.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MetricName {
    task: Option<String>,
    metric: String,
    filter: Option<String>,
}

/// Why a text is no [`MetricName`].
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("metric name {name:?}: expected TASK/METRIC,FILTER, TASK/METRIC or METRIC, with no part empty")]
pub struct MetricNameError {
    name: String,
}

impl MetricName {
    /// A name from its parts, which a results file keeps apart.
    pub(super) fn of_task(task: &str, key: &str) -> Option<Self> {
        let (metric, filter) = split_filter(key);
        let filled = !task.is_empty() && !metric.is_empty() && filter != Some("");
        filled.then(|| Self {
            task: Some(task.to_owned()),
            metric: metric.to_owned(),
            filter: filter.map(str::to_owned),
        })
    }

    /// The task, `None` in flat results.
    pub fn task(&self) -> Option<&str> {
        self.task.as_deref()
    }

    /// The metric, without task and filter.
    pub fn metric(&self) -> &str {
        &self.metric
    }

    /// The filter that took the answer out of the model's output, `None` when left open.
    pub fn filter(&self) -> Option<&str> {
        self.filter.as_deref()
    }

    /// Whether `present` is what this name asks for: the same, with any filter when this one has none.
    pub(super) fn fits(&self, present: &Self) -> bool {
        self.task == present.task
            && self.metric == present.metric
            && (self.filter.is_none() || self.filter == present.filter)
    }
}

fn split_filter(key: &str) -> (&str, Option<&str>) {
    key.split_once(',').map_or((key, None), |(metric, filter)| (metric, Some(filter)))
}

impl TryFrom<&str> for MetricName {
    type Error = MetricNameError;

    fn try_from(name: &str) -> Result<Self, MetricNameError> {
        let (task, key) = name.rsplit_once('/').map_or((None, name), |(task, key)| (Some(task), key));
        let (metric, filter) = split_filter(key);
        if task == Some("") || metric.is_empty() || filter == Some("") {
            return Err(MetricNameError { name: name.to_owned() });
        }
        Ok(Self {
            task: task.map(str::to_owned),
            metric: metric.to_owned(),
            filter: filter.map(str::to_owned),
        })
    }
}

impl TryFrom<String> for MetricName {
    type Error = MetricNameError;

    fn try_from(name: String) -> Result<Self, MetricNameError> {
        Self::try_from(name.as_str())
    }
}

impl From<MetricName> for String {
    fn from(name: MetricName) -> Self {
        name.to_string()
    }
}

impl fmt::Display for MetricName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(task) = &self.task {
            write!(formatter, "{task}/")?;
        }
        formatter.write_str(&self.metric)?;
        if let Some(filter) = &self.filter {
            write!(formatter, ",{filter}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_and_text_agree() {
        let cases = [
            ("gsm8k/exact_match,strict-match", Some("gsm8k"), "exact_match", Some("strict-match")),
            ("gsm8k/acc", Some("gsm8k"), "acc", None),
            ("org/tasks/acc,none", Some("org/tasks"), "acc", Some("none")),
            ("loss", None, "loss", None),
        ];
        for (text, task, metric, filter) in cases {
            let name = MetricName::try_from(text).unwrap();
            assert_eq!((name.task(), name.metric(), name.filter()), (task, metric, filter), "{text}");
            assert_eq!(name.to_string(), text);
            let json = serde_json::to_string(&name).unwrap();
            assert_eq!(serde_json::from_str::<MetricName>(&json).unwrap(), name);
        }
    }

    #[test]
    fn no_part_is_empty() {
        for text in ["", "/acc", "gsm8k/", "gsm8k/,none", "gsm8k/acc,", ","] {
            assert_eq!(MetricName::try_from(text), Err(MetricNameError { name: text.to_owned() }));
        }
    }
}
