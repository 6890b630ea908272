//! What people are shown: progress while it runs, and rows of scores.

use mergesearch_recipe::Recipe;
use serde::Serialize;

use super::{GenerationSummary, Search};
use crate::results::Measurement;
use crate::trial::{Stage, TrialId, TrialOutcome, TrialTime};

/// Weights whose absolute values sum to more than this are worth a warning: such merges extrapolate far.
pub const LARGE_WEIGHTS: f64 = 2.0;

/// What a search is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Phase {
    /// Single checkpoints, base, uniform soup and soups of the best.
    Baselines,
    /// Generations of CMA-ES, with the greedy soup beside them.
    Generations,
    /// The distribution's mean.
    FinalMean,
    /// Finalists on test and held-out items.
    Finals,
    /// A merge without each of its checkpoints, on test items.
    Contribution,
    /// Completed or failed.
    Ended,
}

impl Phase {
    /// Whether nothing more is searched: what is left was kept back in the budget.
    pub const fn is_after_search(self) -> bool {
        matches!(self, Self::Finals | Self::Contribution | Self::Ended)
    }
}

/// How far a search is.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// What it is doing.
    pub phase: Phase,
    /// The open generation or the last one, from 1; 0 before the first.
    pub generation: u32,
    /// CMA-ES's step size; `None` before the first generation.
    pub sigma: Option<f64>,
    /// Trials that are expected in all, final ones included: an estimate until the search stage is over.
    pub planned: usize,
    /// Issued and not ended.
    pub running: usize,
    /// Ended with scores.
    pub succeeded: usize,
    /// Ended without.
    pub failed: usize,
    /// Trials that shared an earlier one's result.
    pub duplicates: usize,
    /// The best search value of each objective over all feasible trials, in its own direction and unit.
    pub best: Vec<Option<f64>>,
    /// The best fitness so far.
    pub best_fitness: Option<f64>,
    /// Non-dominated trials.
    pub front_size: usize,
    /// Volume they dominate, in units of the singles' ranges.
    pub hypervolume: f64,
}

/// A trial with all that is known of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// The trial.
    pub trial: TrialId,
    /// What was merged.
    pub recipe: Recipe,
    /// The largest sum of absolute weights over its groups.
    pub absolute_weights: f64,
    /// Search fitness; `None` when failed or infeasible.
    pub fitness: Option<f64>,
    /// Scores of the objectives in stage `search`; empty when failed or not known.
    pub search: Vec<Measurement>,
    /// Scores of the objectives in stage `test`; empty when not scored.
    pub test: Vec<Measurement>,
    /// Scores of the held-out metrics; empty when not scored.
    pub held_out: Vec<Measurement>,
    /// Why it failed, in search or in its final stages.
    pub failure: Option<String>,
}

impl Search {
    /// How far the search is.
    pub fn progress(&self) -> Progress {
        let (succeeded, failed) = self.counts();
        let finals = self.finals();
        let budget_left = if self.search_end().is_some() { 0 } else { self.trials_left() };
        let finals_issued = self.trials.iter().filter(|state| matches!(state.id, TrialId::Final(_))).count();
        let is_over = self.outcome().is_some();
        let finals_left = match &finals {
            None => self.most_finals().saturating_sub(finals_issued),
            Some(_) if is_over => 0,
            Some(finals) => {
                finals.iter().filter(|id| self.trial(id).is_none()).count() + self.contributions_to_issue()
            }
        };
        let running = self.running().count();
        let phase = if is_over {
            Phase::Ended
        } else if let Some(finals) = &finals {
            if finals.iter().all(|id| self.has_ended(id)) { Phase::Contribution } else { Phase::Finals }
        } else if self
            .trials
            .iter()
            .any(|state| matches!(state.id, TrialId::Mean { .. }) && state.ending.is_none())
        {
            Phase::FinalMean
        } else if self.optimizer.is_some() {
            Phase::Generations
        } else {
            Phase::Baselines
        };
        let front = self.front();
        Progress {
            phase,
            generation: self.optimizer.as_ref().map_or(0, super::Optimizer::generation),
            sigma: self.optimizer.as_ref().map(super::Optimizer::sigma),
            planned: succeeded + failed + running + budget_left + finals_left,
            running,
            succeeded,
            failed,
            duplicates: self.trials.iter().filter(|state| state.duplicate_of.is_some()).count(),
            best: (0..self.config().objectives.len()).map(|index| self.best_value(index)).collect(),
            best_fitness: self
                .best_of(self.evaluations().cloned().collect::<Vec<_>>().into_iter())
                .and_then(|id| self.fitness(&id)),
            front_size: front.len(),
            hypervolume: self.hypervolume(),
        }
    }

    /// Search trials that the budget still allows, counting the reserve.
    fn trials_left(&self) -> usize {
        self.config().budget.max_trials.saturating_sub(self.evaluations().count())
    }

    fn best_value(&self, index: usize) -> Option<f64> {
        let sign = self.config().objectives[index].direction.sign();
        self.archive.members().map(|(_, point)| point[index]).max_by(f64::total_cmp).map(|value| sign * value)
    }

    /// Volume that the front dominates, in units of the singles' ranges; 0 before round 0 is in.
    pub fn hypervolume(&self) -> f64 {
        let points: Vec<Vec<f64>> = self.archive.members().map(|(_, point)| point.to_vec()).collect();
        self.yardstick.as_ref().map_or(0.0, |yardstick| yardstick.hypervolume(&points))
    }

    /// Closed generations, oldest first.
    pub fn history(&self) -> &[GenerationSummary] {
        self.optimizer.as_ref().map_or(&[], super::Optimizer::history)
    }

    /// How many of the trials that ended last have failed with no success among them, and why the last one did.
    pub fn failures_in_a_row(&self) -> (usize, Option<&str>) {
        let mut endings: Vec<_> = self.trials.iter().filter_map(|state| state.ending.as_ref()).collect();
        endings.sort_by_key(|ending| std::cmp::Reverse(ending.order));
        let failures = endings.into_iter().map_while(|ending| match &ending.outcome {
            TrialOutcome::Failed(reason) => Some(reason.as_str()),
            TrialOutcome::Succeeded(_) => None,
        });
        let failures: Vec<&str> = failures.collect();
        (failures.len(), failures.first().copied())
    }

    /// All trials of stage `search` in the order they were issued, duplicates included.
    pub fn search_trials(&self) -> impl Iterator<Item = &TrialId> {
        self.trials.iter().map(|state| &state.id).filter(|id| id.is_of_search())
    }

    /// When the trials ran, final ones included, in the order they were issued; those whose time nobody noted are left out.
    /// A duplicate has not run.
    pub fn times(&self) -> impl Iterator<Item = (&TrialId, TrialTime)> {
        self.trials.iter().filter_map(|state| Some((&state.id, state.ending.as_ref()?.time?)))
    }

    /// The trials that were chosen for the final stages, once the search stage is over.
    pub fn finalists(&self) -> Vec<TrialId> {
        self.finalists_by_search().unwrap_or_default()
    }

    /// What a trial merged; `None` when there is no such trial.
    pub fn recipe_of(&self, id: &TrialId) -> Option<&Recipe> {
        self.trial(id).map(|state| &state.recipe)
    }

    /// All that is known of a merge: a search trial or one that leaves a checkpoint out; `None` when there is no such
    /// trial.
    pub fn row(&self, id: &TrialId) -> Option<Row> {
        let state = self.trial(id)?;
        let final_id = match id {
            TrialId::Without { .. } => id.clone(),
            id => self.final_of(id),
        };
        let scores = |id: &TrialId, stage| self.stage_scores(id, stage).unwrap_or_default().to_vec();
        let failure = [id, &final_id].into_iter().find_map(|id| match self.outcome_of(id)? {
            TrialOutcome::Failed(reason) => Some(reason.clone()),
            TrialOutcome::Succeeded(_) => None,
        });
        Some(Row {
            trial: id.clone(),
            recipe: state.recipe.clone(),
            absolute_weights: absolute_weights(
                state.recipe.groups.iter().map(|group| group.weights.as_slice()),
            ),
            fitness: self.fitness(id),
            search: scores(id, Stage::Search),
            test: scores(&final_id, Stage::Test),
            held_out: scores(&final_id, Stage::HeldOut),
            failure,
        })
    }

    /// What a person should know about the search so far, one sentence each.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if let Some(yardstick) = &self.yardstick {
            for id in self.round_zero() {
                if let Some(TrialOutcome::Failed(reason)) = self.outcome_of(&id) {
                    warnings.push(format!(
                        "baseline {id} failed and is left out of the greedy soup and the reference point: {reason}"
                    ));
                }
            }
            if let Some((widest, narrowest)) = yardstick.uneven_ranges(&self.config().objectives) {
                warnings.push(format!(
                    "the checkpoints' weighted scores of {widest:?} spread more than 5 times as far as those of \
                     {narrowest:?}, which will hardly count: set objective scales or weights"
                ));
            }
        }
        if let Some(row) =
            self.best().and_then(|id| self.row(&id)).filter(|row| row.absolute_weights > LARGE_WEIGHTS)
        {
            warnings.push(format!(
                "the best merge {} has absolute weights that sum to {:.2}: it extrapolates far beyond the pool",
                row.trial, row.absolute_weights
            ));
        }
        warnings.extend(self.contribution_warnings());
        warnings
    }
}

/// The largest sum of absolute weights over the groups of a recipe.
pub(super) fn absolute_weights<'a>(groups: impl Iterator<Item = &'a [f64]>) -> f64 {
    groups.map(|weights| weights.iter().map(|weight| weight.abs()).sum()).fold(0.0, f64::max)
}
