//! The parallel baselines: round 0 (single checkpoints, base, uniform soup, the user's own) and round 1 (soups of the best).

use mergesearch_recipe::{CheckpointName, Recipe};

use super::{FailReason, Search, TrialState};
use crate::config::Start;
use crate::problem::equal_weights;
use crate::trial::{TrialId, TrialOutcome};

/// How many of the best single checkpoints the soups of round 1 take; those below the pool's size.
const SOUP_SIZES: [usize; 3] = [2, 4, 8];

impl Search {
    pub(super) fn singles(&self) -> impl Iterator<Item = TrialId> + '_ {
        self.config().checkpoints.iter().map(|checkpoint| TrialId::Single(checkpoint.name.clone()))
    }

    pub(super) fn round_zero(&self) -> Vec<TrialId> {
        let base = self.config().base.as_ref().map(|_| TrialId::Base);
        let own = self.config().baselines.iter().map(|baseline| TrialId::Own(baseline.name.clone()));
        self.singles().chain(base).chain([TrialId::Uniform]).chain(own).collect()
    }

    /// Soups of the best 2, 4 and 8 singles; `None` before round 0 is in.
    pub(super) fn round_one(&self) -> Option<Vec<TrialId>> {
        let ranked = self.ranked_singles()?.len();
        Some(SOUP_SIZES.into_iter().filter(|&size| size < ranked).map(TrialId::Soup).collect())
    }

    /// The single checkpoints that succeeded, as positions in the pool, best search fitness first; equals in manifest
    /// order. `None` before round 0 is in.
    pub(super) fn ranked_singles(&self) -> Option<Vec<usize>> {
        let yardstick = self.yardstick.as_ref()?;
        let fitness = |id: TrialId| Some(yardstick.fitness(self.config(), self.search_scores(&id)?));
        let mut ranked: Vec<(usize, f64)> =
            self.singles().enumerate().filter_map(|(position, id)| Some((position, fitness(id)?))).collect();
        ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
        Some(ranked.into_iter().map(|(position, _)| position).collect())
    }

    /// Weights of a baseline; `None` when it does not exist yet or not in this search. The base is no member of the
    /// pool and has none.
    pub(super) fn baseline_weights(&self, id: &TrialId) -> Option<Vec<f64>> {
        let pool = self.config().checkpoints.len();
        match id {
            TrialId::Single(name) => Some(equal_weights(pool, [self.position(name)?].into_iter())),
            TrialId::Uniform => Some(equal_weights(pool, 0..pool)),
            TrialId::Own(name) => {
                let own = self.config().baselines.iter().find(|baseline| baseline.name == *name)?;
                Some(own.weights.clone())
            }
            TrialId::Soup(size) => {
                Some(equal_weights(pool, self.ranked_singles()?.get(..*size)?.iter().copied()))
            }
            TrialId::Greedy(step) => Some(equal_weights(pool, self.greedy_attempt(*step)?.into_iter())),
            TrialId::Base
            | TrialId::Candidate { .. }
            | TrialId::Mean { .. }
            | TrialId::Final(_)
            | TrialId::Without { .. } => None,
        }
    }

    fn position(&self, name: &CheckpointName) -> Option<usize> {
        self.config().checkpoints.iter().position(|checkpoint| checkpoint.name == *name)
    }

    /// The baseline with the best search fitness among those that a distribution can be centred at; equals go to the
    /// smaller identity.
    pub(super) fn start_weights(&self) -> Vec<f64> {
        let pool = self.config().checkpoints.len();
        let uniform = || equal_weights(pool, 0..pool);
        if self.config().start == Start::Uniform {
            return uniform();
        }
        let rounds = self.round_zero().into_iter().chain(self.round_one().unwrap_or_default());
        self.best_of(rounds.filter(|id| *id != TrialId::Base))
            .and_then(|id| self.baseline_weights(&id))
            .unwrap_or_else(uniform)
    }

    /// The feasible trial with the best fitness; equals go to the smaller identity, so that the order of arrival does
    /// not matter.
    pub(super) fn best_of(&self, ids: impl Iterator<Item = TrialId>) -> Option<TrialId> {
        ids.filter_map(|id| Some((self.fitness(&id)?, id)))
            .max_by(|a, b| a.0.total_cmp(&b.0).then_with(|| b.1.cmp(&a.1)))
            .map(|(_, id)| id)
    }

    /// Why the search can't go on.
    pub(super) fn failure(&self) -> Option<(FailReason, String)> {
        let failed = |state: &&TrialState| {
            state.id.is_of_search()
                && matches!(&state.ending, Some(ending) if matches!(ending.outcome, TrialOutcome::Failed(_)))
        };
        let failures: Vec<&TrialState> = self.trials.iter().filter(failed).collect();
        let last = |states: &[&TrialState]| {
            let last = states.iter().max_by_key(|state| state.ending.as_ref().map(|ending| ending.order))?;
            match &last.ending.as_ref()?.outcome {
                TrialOutcome::Failed(reason) => Some(format!("{}: {reason}", last.id)),
                TrialOutcome::Succeeded(_) => None,
            }
        };
        let allowed = self.config().budget.max_failed_trials.unwrap_or_else(|| self.population_size());
        if failures.len() > allowed {
            let last = last(&failures)?;
            let message = format!(
                "{} trials failed, more than maxFailedTrials ({allowed}); the last was {last}",
                failures.len()
            );
            return Some((FailReason::MaxFailedTrials, message));
        }
        let round = self.round_zero();
        if !round.is_empty() && failures.len() >= round.len() && self.yardstick.is_some() {
            let all = round.iter().all(|id| matches!(self.outcome_of(id), Some(TrialOutcome::Failed(_))));
            return all.then(|| last(&failures)).flatten().map(|last| {
                (FailReason::Baselines, format!("every first baseline failed; the last was {last}"))
            });
        }
        None
    }

    /// The recipe of a trial that exists or could exist now; `None` when it can't.
    pub(super) fn recipe(&self, id: &TrialId, vector: Option<&[f64]>) -> Option<Recipe> {
        match (id, vector) {
            (TrialId::Candidate { .. }, Some(vector)) => self.problem.recipe_of_sample(vector),
            (TrialId::Mean { .. }, Some(vector)) => self.problem.recipe_of_mean(vector),
            (TrialId::Base, None) => self.problem.recipe_of_base(),
            (TrialId::Final(subject), None) => Some(self.trial(subject)?.recipe.clone()),
            (TrialId::Without { subject, checkpoint }, None) => self.recipe_without(subject, checkpoint),
            (_, None) => Some(self.problem.recipe_of_weights(self.baseline_weights(id)?)),
            (_, Some(_)) => None,
        }
    }
}
