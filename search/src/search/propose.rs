//! Which trial comes next, and what it is.

use super::{EndReason, Search, TrialState};
use crate::problem::recipe_key;
use crate::trial::TrialId;

impl Search {
    /// The next trial to issue; `None` while results are awaited or at the end. The greedy lane goes first, as its
    /// attempts follow one another.
    pub(super) fn propose(&self) -> Option<(TrialId, Option<Vec<f64>>)> {
        let fresh = |id: &TrialId| self.trial(id).is_none();
        if self.failure().is_some() {
            return None;
        }
        if !self.time_exhausted {
            if let Some(id) = self.round_zero().into_iter().find(fresh) {
                return Some((id, None));
            }
            if let Some(id) = self.round_one()?.into_iter().find(fresh) {
                return Some((id, None));
            }
            let optimizer = self.optimizer.as_ref()?;
            if let Some(id) = self.greedy().and_then(|greedy| greedy.next).map(TrialId::Greedy).filter(fresh)
            {
                return Some((id, None));
            }
            if let Some((id, sample)) = optimizer.next_candidate(self) {
                return Some((id, Some(sample)));
            }
        }
        self.generations_over()?;
        if let Some((id, mean)) = self.final_mean()
            && fresh(&id)
        {
            return Some((id, Some(mean)));
        }
        let last = self.finals()?.into_iter().find(fresh).or_else(|| self.next_contribution());
        last.map(|id| (id, None))
    }

    /// The state of a trial that is issued now; `None` when it does not follow from the records.
    pub(super) fn state(&self, id: TrialId, vector: Option<Vec<f64>>) -> Option<TrialState> {
        let recipe = self.recipe(&id, vector.as_deref())?;
        let key = recipe_key(&recipe);
        let duplicate_of = self.original(&id, &key);
        Some(TrialState { id, vector, recipe, key, duplicate_of, ending: None })
    }

    /// The earlier trial with the same recipe. The greedy lane and the generations are compared with the rounds and
    /// each with itself, but not with each other: which of two came first would depend on how fast they are. A merge of two
    /// without one of them may be a finalist, whose final stages have all that is asked for.
    fn original(&self, id: &TrialId, key: &str) -> Option<TrialId> {
        let comparable = |other: &TrialId| match (id, other) {
            (TrialId::Without { .. }, TrialId::Final(_)) => true,
            (TrialId::Greedy(_), TrialId::Candidate { .. })
            | (TrialId::Candidate { .. }, TrialId::Greedy(_)) => false,
            (id, other) => id.is_of_search() && other.is_of_search(),
        };
        self.trials
            .iter()
            .find(|state| state.duplicate_of.is_none() && state.key == key && comparable(&state.id))
            .map(|state| state.id.clone())
    }

    /// Why generations and greedy lane are over, with every result in; `None` while they are not.
    fn generations_over(&self) -> Option<EndReason> {
        self.yardstick.as_ref()?;
        if self.time_exhausted {
            return Some(EndReason::Time);
        }
        let optimizer = self.optimizer.as_ref()?;
        let waiting = optimizer.is_open()
            || self.greedy().is_some_and(|greedy| greedy.next.is_some())
            || self.running().any(|state| matches!(state.id, TrialId::Candidate { .. }));
        if waiting {
            return None;
        }
        Some(match optimizer.ended() {
            Some(reason) => reason.clone(),
            None if self.affords_trials(optimizer.population_size()) => EndReason::GpuBudget,
            None => EndReason::MaxTrials,
        })
    }

    /// The distribution's mean as the last search trial, once a generation has closed.
    pub(super) fn final_mean(&self) -> Option<(TrialId, Vec<f64>)> {
        self.optimizer.as_ref()?.mean()
    }

    /// Why the search stage is over, the final mean included; `None` while it is not.
    pub(super) fn search_end(&self) -> Option<EndReason> {
        let reason = self.generations_over()?;
        let mean_is_in = self.final_mean().is_none_or(|(id, _)| self.ending(&id).is_some());
        mean_is_in.then_some(reason)
    }
}
