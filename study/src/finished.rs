//! A finished search: its journal replayed, and the comparison of its report.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use mergesearch_recipe::CheckpointName;
use mergesearch_search::results::Measurement;
use mergesearch_search::{Journal, Outcome, Record, Row, Search, TrialId, fitness_weights};
use serde::Deserialize;

use crate::error::StudyError;

/// A completed search.
#[derive(Debug)]
pub struct Finished {
    /// Its state at the end.
    pub search: Search,
    /// The best merge against the best baseline.
    pub comparison: Comparison,
    /// Trials that share the result of an earlier one and cost nothing.
    duplicates: BTreeSet<TrialId>,
}

/// What the study takes from the report.
#[derive(Debug, Deserialize)]
struct Report {
    comparison: Option<Comparison>,
}

/// The best merge against the best baseline, both chosen by search items.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Comparison {
    /// On test items.
    pub test: Gain,
    /// For the mean of the held-out metrics.
    pub held_out: Option<Gain>,
    /// The share of pairs of finalists that keep their order from search to test.
    pub order_kept: Option<f64>,
}

/// A difference of fitness and its standard error, paired item by item.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Gain {
    /// A fraction; above 0 when the searched merge is better.
    pub value: f64,
    /// Its standard error.
    pub stderr: Option<f64>,
}

/// One evaluation on search items.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// The trial.
    pub trial: TrialId,
    /// Its search fitness.
    pub fitness: f64,
}

impl Finished {
    /// Reads a search from its state folder, and from its report as `mergesearch show` printed it.
    ///
    /// # Errors
    /// When the search is not complete, or its files can't be read.
    pub fn read(state: &Path, report: &Path) -> Result<Self, StudyError> {
        let wrong = |problem: String| StudyError::Search { folder: state.to_owned(), problem };
        let path = state.join("journal.jsonl");
        let text = fs::read_to_string(&path).map_err(StudyError::at(&path))?;
        let records = Journal::read(&text).map_err(|error| wrong(error.to_string()))?.records;
        let report = fs::read_to_string(report).map_err(StudyError::at(report))?;
        let report: Report =
            serde_json::from_str(&report).map_err(|error| wrong(format!("its report: {error}")))?;
        let comparison = report.comparison.ok_or_else(|| wrong("its report has no comparison".to_owned()))?;
        Self::of(records, comparison).map_err(wrong)
    }

    /// The search that some records tell of. The error is the end of a sentence about it.
    pub(crate) fn of(records: Vec<Record>, comparison: Comparison) -> Result<Self, String> {
        let Some(Record::Opened { config }) = records.first() else {
            return Err("its journal has no beginning".to_owned());
        };
        let mut config = config.as_ref().clone();
        let mut duplicates = BTreeSet::new();
        for record in &records {
            match record {
                Record::BudgetChanged(budget) => config.budget = budget.clone(),
                Record::Issued { id, duplicate_of: Some(_), .. } => {
                    duplicates.insert(id.clone());
                }
                _ => {}
            }
        }
        let search = Search::replay(config, records).map_err(|error| error.to_string())?;
        if !matches!(search.outcome(), Some(Outcome::Completed(_))) {
            return Err("it is not complete".to_owned());
        }
        Ok(Self { search, comparison, duplicates })
    }

    /// A trial with all its scores; `None` when the search has no such trial.
    pub fn row(&self, trial: &TrialId) -> Option<Row> {
        self.search.row(trial)
    }

    /// A checkpoint's own search fitness.
    pub fn own(&self, checkpoint: &CheckpointName) -> Option<f64> {
        self.row(&TrialId::Single(checkpoint.clone()))?.fitness
    }

    /// How many evaluations on search items there were, the greedy soup's included.
    pub fn cost(&self) -> usize {
        self.search.search_trials().filter(|trial| !self.duplicates.contains(trial)).count()
    }

    /// The evaluations that the search itself needs, in an order that does not depend on which ended first: single checkpoints,
    /// uniform soup, soups of the best, generation by generation, final mean. The greedy soup runs beside the search and
    /// never steers it, so its trials are not among them.
    pub fn evaluations(&self) -> Vec<Evaluation> {
        let steers =
            |trial: &&TrialId| !matches!(trial, TrialId::Greedy(_)) && !self.duplicates.contains(*trial);
        let mut trials: Vec<TrialId> = self.search.search_trials().filter(steers).cloned().collect();
        // The order of identities is that of the search: baselines, candidates by generation, mean.
        trials.sort();
        trials
            .into_iter()
            .filter_map(|trial| {
                let fitness = self.row(&trial)?.fitness?;
                Some(Evaluation { trial, fitness })
            })
            .collect()
    }

    /// The mean of the objectives in some scores; `None` when the stage was not scored.
    pub fn fitness(&self, scores: &[Measurement]) -> Option<f64> {
        let factors = fitness_weights(&self.search.config().objectives);
        let sum = factors.iter().zip(scores).map(|(factor, score)| factor * score.value).sum();
        (!scores.is_empty()).then_some(sum)
    }

    /// The mean of the held-out metrics in some scores; `None` when the stage was not scored.
    pub fn held_out(&self, scores: &[Measurement]) -> Option<f64> {
        let watched = &self.search.config().held_out;
        let sum: f64 =
            watched.iter().zip(scores).map(|(metric, score)| metric.direction.sign() * score.value).sum();
        (!scores.is_empty()).then(|| sum / watched.len() as f64)
    }
}
