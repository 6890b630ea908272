//! Who is scored on test and held-out items in the end: those chosen by their search scores alone, and one that people ask about.

use super::Search;
use crate::fitness::oriented;
use crate::trial::TrialId;

impl Search {
    /// The trials of the final stages; `None` before the search stage is over.
    pub(super) fn finals(&self) -> Option<Vec<TrialId>> {
        let chosen = self.finalists_by_search()?;
        // What people ask about afterwards may be more than the GPU budget allows.
        let asked = self
            .taken_apart()
            .filter(|id| !chosen.contains(id))
            .filter(|id| self.trial(&self.final_of(id)).is_some() || self.affords_contribution());
        Some(chosen.into_iter().chain(asked).map(|subject| TrialId::Final(Box::new(subject))).collect())
    }

    /// The trials that are chosen for the final stages by their search scores; `None` before the search stage is over.
    pub(super) fn finalists_by_search(&self) -> Option<Vec<TrialId>> {
        self.search_end()?;
        let baselines = [
            self.best_single(),
            Some(TrialId::Base),
            Some(TrialId::Uniform),
            self.greedy().map(|greedy| greedy.trial),
            self.best_baseline(),
        ];
        let mean = self.final_mean().map(|(id, _)| id);
        let mut subjects: Vec<TrialId> = Vec::new();
        for id in baselines.into_iter().flatten().chain(self.finalists_of_front()).chain(mean) {
            let id = self.without_duplicate(id);
            if self.search_scores(&id).is_some() && !subjects.contains(&id) {
                subjects.push(id);
            }
        }
        Some(subjects)
    }

    /// How many trials the final stages have at most: best single, uniform, greedy soup, best baseline and final mean,
    /// the base if there is one, the front's finalists, and what leaves checkpoints out. What a budget keeps back for them.
    pub fn most_finals(&self) -> usize {
        5 + usize::from(self.config().base.is_some()) + self.config().finalists + self.most_contributions()
    }

    /// The single checkpoint with the best search fitness.
    pub fn best_single(&self) -> Option<TrialId> {
        self.best_of(self.singles())
    }

    /// The baseline with the best search fitness. The greedy soup's failed attempts are no baselines.
    pub fn best_baseline(&self) -> Option<TrialId> {
        let rounds = self.round_zero().into_iter().chain(self.round_one().unwrap_or_default());
        let best = self.best_of(rounds.chain(self.greedy().map(|greedy| greedy.trial)));
        best.map(|id| self.without_duplicate(id))
    }

    /// The searched merge with the best search fitness: a candidate or the final mean.
    pub fn best(&self) -> Option<TrialId> {
        let searched = self.evaluations().filter(|id| !id.is_baseline()).cloned();
        self.best_of(searched.collect::<Vec<_>>().into_iter())
    }

    /// Merges worth publishing, at most `count`: the front and the best, in the order of their search fitness. Single
    /// checkpoints and the base are there already.
    pub fn to_publish(&self, count: usize) -> Vec<TrialId> {
        let fitness = |id: &TrialId| self.fitness(id).unwrap_or(f64::NEG_INFINITY);
        let mut front: Vec<TrialId> = self.front().into_iter().chain(self.best()).collect();
        front.retain(|id| !matches!(id, TrialId::Single(_) | TrialId::Base));
        front.sort_by(|one, other| fitness(other).total_cmp(&fitness(one)).then_with(|| one.cmp(other)));
        front.dedup();
        front.truncate(count);
        front
    }

    /// The trial of the greedy soup as far as it has come.
    pub fn greedy_soup(&self) -> Option<TrialId> {
        self.greedy().map(|greedy| self.without_duplicate(greedy.trial))
    }

    /// The trial that scores a search trial's merge in the final stages.
    pub(crate) fn final_of(&self, id: &TrialId) -> TrialId {
        TrialId::Final(Box::new(self.without_duplicate(id.clone())))
    }

    /// The trial whose result this one has.
    pub(super) fn without_duplicate(&self, id: TrialId) -> TrialId {
        self.trial(&id).and_then(|state| state.duplicate_of.clone()).unwrap_or(id)
    }

    /// Searched members of the front, at most `finalists`: the best by fitness, then always the one that adds most
    /// hypervolume to those chosen.
    fn finalists_of_front(&self) -> Vec<TrialId> {
        let Some(yardstick) = &self.yardstick else { return Vec::new() };
        let mut left: Vec<(TrialId, Vec<f64>)> = self
            .front()
            .into_iter()
            .filter(|id| !id.is_baseline())
            .filter_map(|id| {
                let point = oriented(&self.config().objectives, self.search_scores(&id)?);
                Some((id, yardstick.normalised(&point)))
            })
            .collect();
        let mut chosen: Vec<(TrialId, Vec<f64>)> = Vec::new();
        let best = self.best();
        while chosen.len() < self.config().finalists && !left.is_empty() {
            let points: Vec<Vec<f64>> = chosen.iter().map(|(_, point)| point.clone()).collect();
            let gain = |(_, point): &(TrialId, Vec<f64>)| yardstick.improvement(point, &points);
            let next = left.iter().position(|(id, _)| chosen.is_empty() && Some(id) == best.as_ref());
            let next = next.or_else(|| {
                let gains = left.iter().map(gain).enumerate();
                gains
                    .max_by(|a, b| a.1.total_cmp(&b.1).then_with(|| b.0.cmp(&a.0)))
                    .map(|(position, _)| position)
            });
            let Some(next) = next else { break };
            chosen.push(left.remove(next));
        }
        // The best by fitness is scored even when a constraint or Tchebycheff's distance keeps it off the front.
        let mut ids: Vec<TrialId> = chosen.into_iter().map(|(id, _)| id).collect();
        if let Some(best) = best.filter(|best| !ids.contains(best) && self.config().finalists > 0) {
            ids.truncate(self.config().finalists - 1);
            ids.insert(0, best);
        }
        ids
    }

    /// The non-dominated feasible trials by search scores, in the order of their identities.
    pub fn front(&self) -> Vec<TrialId> {
        let mut ids: Vec<TrialId> = self.archive.members().filter_map(|(id, _)| id.parse().ok()).collect();
        ids.sort();
        ids
    }
}
