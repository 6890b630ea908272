//! The greedy soup (Wortsman et al., arXiv 2203.05482): from the best single on, the next best is kept when the soup
//! with it scores no worse. One attempt after the other, beside the generations; it never feeds CMA-ES.

use super::Search;
use crate::trial::TrialId;

/// How far the greedy soup has come.
pub(super) struct Greedy {
    /// Positions in the pool, in the order they were taken.
    pub(super) ingredients: Vec<usize>,
    /// The trial that scored the soup of these ingredients.
    pub(super) trial: TrialId,
    /// The attempt that comes next or runs now; `None` at the end.
    pub(super) next: Option<usize>,
}

impl Search {
    /// How many attempts there are at most; reserved in the budget, so that no generation depends on how fast they are.
    pub(super) fn greedy_steps(&self) -> usize {
        let singles =
            self.ranked_singles().map_or_else(|| self.config().checkpoints.len(), |ranked| ranked.len());
        self.config().greedy_steps.min(singles.saturating_sub(1))
    }

    /// The greedy soup so far; `None` before round 0 is in or when no single succeeded.
    pub(super) fn greedy(&self) -> Option<Greedy> {
        self.greedy_before(usize::MAX)
    }

    /// The state of the lane before a given attempt.
    fn greedy_before(&self, attempt: usize) -> Option<Greedy> {
        let ranked = self.ranked_singles()?;
        let &best = ranked.first()?;
        let mut ingredients = vec![best];
        let mut trial = TrialId::Single(self.config().checkpoints[best].name.clone());
        for (step, &next) in ranked.iter().enumerate().skip(1).take(self.greedy_steps()) {
            let id = TrialId::Greedy(step);
            if step >= attempt || self.ending(&id).is_none() {
                return Some(Greedy { ingredients, trial, next: Some(step) });
            }
            // A failed attempt is not kept.
            if self
                .fitness(&id)
                .is_some_and(|fitness| self.fitness(&trial).is_none_or(|kept| fitness >= kept))
            {
                ingredients.push(next);
                trial = id;
            }
        }
        Some(Greedy { ingredients, trial, next: None })
    }

    /// The ingredients of an attempt, in pool order; `None` when its turn has not come.
    pub(super) fn greedy_attempt(&self, attempt: usize) -> Option<Vec<usize>> {
        let Greedy { mut ingredients, next, .. } = self.greedy_before(attempt)?;
        if next != Some(attempt) {
            return None;
        }
        ingredients.push(*self.ranked_singles()?.get(attempt)?);
        ingredients.sort_unstable();
        Some(ingredients)
    }
}
