//! A search's result as data: what `show -o json` prints and `report.json` holds.

use std::path::Path;

use mergesearch_search::{GenerationSummary, Outcome, Progress, Row, Search, TrialId};
use serde::Serialize;

use super::timeline::Timeline;
use crate::judge::Verdict;
use crate::state::{Published, StateError, published, spent};

/// Everything that is known of a search.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    /// How far it is.
    pub(crate) progress: Progress,
    /// How it ended, in one sentence; `None` while it can go on.
    pub(crate) outcome: Option<String>,
    /// Names of the objectives, in the order of scores.
    pub(crate) objectives: Vec<String>,
    /// Names of the held-out metrics, in the order of scores.
    pub(crate) held_out: Vec<String>,
    /// Single checkpoints, base and soups.
    pub(crate) baselines: Vec<Row>,
    /// The single checkpoint with the best search fitness.
    pub(crate) best_single: Option<TrialId>,
    /// The trial of the greedy soup.
    pub(crate) greedy_soup: Option<TrialId>,
    /// The non-dominated trials by search scores, best fitness first.
    pub(crate) front: Vec<Row>,
    /// The mean of the final distribution.
    pub(crate) final_mean: Option<Row>,
    /// The searched merge with the best search fitness.
    pub(crate) best: Option<TrialId>,
    /// The best against the best baseline.
    pub(crate) comparison: Option<Comparison>,
    /// Closed generations.
    pub(crate) generations: Vec<GenerationSummary>,
    /// When the trials ran; `None` when that is not known of any.
    pub(crate) timeline: Option<Timeline>,
    /// What was published and where.
    pub(crate) published: Vec<Published>,
    /// What to know about it, one sentence each.
    pub(crate) warnings: Vec<String>,
}

/// A verdict with its sentence.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Comparison {
    /// For people.
    pub(crate) sentence: String,
    /// For programs.
    #[serde(flatten)]
    pub(crate) verdict: Verdict,
}

impl Report {
    /// Collects the report of a search whose files lie in `state`.
    ///
    /// # Errors
    /// When a file of the state can't be read.
    pub(crate) fn of(search: &Search, state: &Path) -> Result<Self, StateError> {
        let parallel_trials = spent(state)?.parallel_trials;
        Ok(Self::collect(search, Some(state), published(state)?, parallel_trials))
    }

    /// Collects the report of a search whose evaluators' files are not here; it runs so many trials at a time.
    pub(crate) fn without_files(search: &Search, published: Vec<Published>, parallel_trials: usize) -> Self {
        Self::collect(search, None, published, parallel_trials)
    }

    fn collect(
        search: &Search,
        state: Option<&Path>,
        published: Vec<Published>,
        parallel_trials: usize,
    ) -> Self {
        let rows = |ids: Vec<TrialId>| ids.iter().filter_map(|id| search.row(id)).collect::<Vec<Row>>();
        let config = search.config();
        let trials: Vec<TrialId> = search.search_trials().cloned().collect();
        let (baselines, searched): (Vec<_>, Vec<_>) = trials.into_iter().partition(TrialId::is_baseline);
        let mut front = rows(search.front());
        front.sort_by(|one, other| {
            other.fitness.partial_cmp(&one.fitness).unwrap_or(std::cmp::Ordering::Equal)
        });
        let comparison = Verdict::of(search, state)
            .map(|verdict| Comparison { sentence: verdict.sentence(|id| called(search, id)), verdict });
        let mut warnings = search.warnings();
        let more = comparison.iter().flat_map(|comparison| comparison.verdict.warnings(state.is_some()));
        warnings.extend(more);
        Self {
            progress: search.progress(),
            outcome: search.outcome().map(|outcome| match outcome {
                Outcome::Completed(reason) => format!("completed: {reason}"),
                Outcome::Failed(_, reason) => format!("failed: {reason}"),
            }),
            objectives: config.objectives.iter().map(|objective| objective.name.clone()).collect(),
            held_out: config.held_out.iter().map(|held_out| held_out.name.clone()).collect(),
            baselines: rows(baselines),
            best_single: search.best_single(),
            greedy_soup: search.greedy_soup(),
            front,
            final_mean: searched
                .iter()
                .rfind(|id| matches!(id, TrialId::Mean { .. }))
                .and_then(|id| search.row(id)),
            best: search.best(),
            comparison,
            generations: search.history().to_vec(),
            timeline: Timeline::new(search.times(), parallel_trials),
            published,
            warnings,
        }
    }

    /// As JSON text.
    ///
    /// # Errors
    /// Never for a report of a real search.
    pub(crate) fn json(&self) -> serde_json::Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }
}

/// What people call a trial: `greedy soup` instead of the step that made it.
pub(crate) fn called(search: &Search, id: &TrialId) -> String {
    if search.greedy_soup().as_ref() == Some(id) && matches!(id, TrialId::Greedy(_)) {
        return format!("greedy soup, {id}");
    }
    match id {
        TrialId::Single(name) if search.best_single().as_ref() == Some(id) => format!("best single, {name}"),
        TrialId::Single(name) | TrialId::Own(name) => name.to_string(),
        TrialId::Uniform => "uniform soup".to_owned(),
        TrialId::Soup(size) => format!("soup of the best {size}"),
        TrialId::Greedy(_)
        | TrialId::Base
        | TrialId::Candidate { .. }
        | TrialId::Mean { .. }
        | TrialId::Final(_) => id.to_string(),
    }
}
