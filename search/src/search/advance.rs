//! What follows from a record: the yardstick after round 0, the first generation after round 1, the next generation
//! after the last result of one.

use super::{Ending, Optimizer, RecordError, Search, TrialState};
use crate::config::{Budget, Reference};
use crate::fitness::{RoundZero, Yardstick, oriented};
use crate::trial::{Stage, StageScores, TrialId, TrialOutcome, TrialResult};

impl Search {
    /// Refuses a result that does not fit.
    pub(super) fn check(&self, result: &TrialResult) -> Result<(), RecordError> {
        let id = &result.id;
        let state = self.trial(id).ok_or_else(|| RecordError::Unknown(id.clone()))?;
        if let Some(original) = &state.duplicate_of {
            return Err(RecordError::Duplicate(id.clone(), original.clone()));
        }
        if state.ending.is_some() {
            return Err(RecordError::Repeated(id.clone()));
        }
        let TrialOutcome::Succeeded(stages) = &result.outcome else { return Ok(()) };
        let count = |stage| match stage {
            Stage::Search | Stage::Test => self.config().objectives.len(),
            Stage::HeldOut => self.config().held_out.len(),
        };
        let expected = self.stages(id);
        let fits = |scores: &StageScores| {
            scores.scores.len() == count(scores.stage)
                && scores.scores.iter().all(|score| {
                    score.value.is_finite()
                        && score.stderr.is_none_or(|error| error.is_finite() && error >= 0.0)
                })
        };
        if stages.iter().map(|scores| scores.stage).eq(expected.iter().copied()) && stages.iter().all(fits) {
            return Ok(());
        }
        let expected: Vec<String> =
            expected.iter().map(|&stage| format!("stage {stage} ({} metrics)", count(stage))).collect();
        Err(RecordError::Scores { id: id.clone(), expected: expected.join(" and ") })
    }

    pub(super) fn insert(&mut self, state: TrialState) {
        // A duplicate can be the last of its generation. What is not of the search opens no other.
        let is_of_search = state.id.is_of_search();
        self.positions.insert(state.id.clone(), self.trials.len());
        self.trials.push(state);
        if is_of_search {
            self.advance();
        }
    }

    pub(super) fn finish(&mut self, result: TrialResult) {
        let TrialResult { id, outcome, gpu_seconds, time } = result;
        let Some(&position) = self.positions.get(&id) else { return };
        self.trials[position].ending = Some(Ending { outcome, gpu_seconds, time, order: self.finished });
        self.finished += 1;
        if self.yardstick.is_some() {
            self.enter_archive(&id);
        }
        if id.is_of_search() {
            self.advance();
        }
    }

    pub(super) fn adopt_budget(&mut self, budget: Budget) {
        self.problem.set_budget(budget);
        self.time_exhausted = false;
        self.advance();
    }

    pub(super) fn exhaust_time(&mut self) {
        self.time_exhausted = true;
        self.advance();
    }

    fn advance(&mut self) {
        if self.yardstick.is_none() && self.round_is_over(&self.round_zero()) {
            self.measure_round_zero();
        }
        if self.yardstick.is_none() || self.failure().is_some() {
            return;
        }
        if self.optimizer.is_none() && self.round_one().is_some_and(|round| self.round_is_over(&round)) {
            self.optimizer = Optimizer::new(&self.problem, &self.start_weights(), 0);
        }
        if let Some(mut optimizer) = self.optimizer.take() {
            optimizer.advance(self);
            self.optimizer = Some(optimizer);
        }
    }

    fn round_is_over(&self, round: &[TrialId]) -> bool {
        round.iter().all(|id| self.ending(id).is_some())
    }

    fn measure_round_zero(&mut self) {
        let singles: Vec<TrialId> = self.singles().collect();
        let scored: Vec<_> = singles.iter().filter_map(|id| self.search_scores(id)).collect();
        let objectives = &self.config().objectives;
        let best_single = || {
            singles
                .iter()
                .filter_map(|id| self.search_scores(id))
                .max_by(|a, b| self.plain_fitness(a).total_cmp(&self.plain_fitness(b)))
        };
        let baseline = |reference: &Reference| match reference {
            Reference::Base => self.search_scores(&TrialId::Base),
            Reference::Uniform => self.search_scores(&TrialId::Uniform),
            Reference::BestSingle => best_single(),
            Reference::Checkpoint(name) => self.search_scores(&TrialId::Single(name.clone())),
        };
        let round = RoundZero { singles: scored, baseline: &baseline };
        self.yardstick = Some(Yardstick::new(objectives, &round));
        for id in self.round_zero() {
            self.enter_archive(&id);
        }
    }

    /// The weighted mean, which needs no yardstick.
    fn plain_fitness(&self, scores: &[crate::results::Measurement]) -> f64 {
        crate::fitness::weighted_mean(&self.config().objectives, scores)
    }

    /// Offers a feasible search trial to the archive.
    fn enter_archive(&mut self, id: &TrialId) {
        if !id.is_of_search() || self.fitness(id).is_none() {
            return;
        }
        let Some(scores) = self.search_scores(id) else { return };
        let point = oriented(&self.config().objectives, scores);
        self.archive.insert(id.to_string(), point);
    }
}
