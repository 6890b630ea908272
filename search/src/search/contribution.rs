//! What each checkpoint contributes to a merge: the merge is scored without it, its other weights scaled to the sum 1.
//!
//! Leaving one out at a time, on test items, is honest about a merge as it is; it says nothing about what a search without
//! the checkpoint would have found. These trials come after the search, in answer to `search.contribution`: they steer
//! nothing, are no part of the front, and count against no number of trials.

use mergesearch_recipe::{CheckpointName, Recipe};
use serde::Serialize;

use super::view::absolute_weights;
use super::{Outcome, Search};
use crate::config::ContributionOf;
use crate::fitness::fitness_weights;
use crate::results::{Difference, Measurement, difference_from_errors};
use crate::trial::{Stage, TrialId, TrialOutcome};

/// The smallest sum of the other weights that is scaled to 1. Below it, small weights (and the search's noise in them)
/// would be multiplied more than twenty times; below 0 they would change their signs. Neither is the merge without one.
const LEAST_REST: f64 = 0.05;

/// What each checkpoint contributes to one merge.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Contributions {
    /// The merge.
    pub subject: TrialId,
    /// The trial with the test scores of the whole merge.
    pub trial: TrialId,
    /// Its test scores, in the order of the objectives; empty while they are not known, or failed.
    pub test: Vec<Measurement>,
    /// One entry for each checkpoint that has a weight, in the order of the pool.
    pub checkpoints: Vec<Contribution>,
}

/// What one checkpoint contributes.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Contribution {
    /// The checkpoint.
    pub checkpoint: CheckpointName,
    /// Its weights in the merge, one for each group.
    pub weights: Vec<f64>,
    /// The trial with the scores of the merge without it: a finalist's when that is the same merge.
    pub trial: TrialId,
    /// Test scores without it, in the order of the objectives; empty when there are none.
    pub test: Vec<Measurement>,
    /// The largest sum of absolute weights over the groups of the merge without it; `None` when it can't be left out.
    pub absolute_weights: Option<f64>,
    /// Test fitness (the weighted mean) with the checkpoint minus that without it: above 0, the checkpoint helps. From the
    /// metrics' own errors, so that its error is too large where both were scored on the same items.
    pub difference: Option<Difference>,
    /// Why there will be no difference: it can't be left out, or the trial failed.
    pub failure: Option<String>,
}

impl Search {
    /// The merge whose checkpoints are left out and what came of it so far; `None` when none is asked for, or before the
    /// search is over, or when the one asked for has no search scores ([`Search::warnings`] then says so).
    pub fn contributions(&self) -> Option<Contributions> {
        self.search_end()?;
        let subject = self.asked_to_take_apart()?;
        self.taken_apart()?;
        let recipe = self.recipe_of(&subject)?;
        let trial = self.final_of(&subject);
        let whole = self.stage_scores(&trial, Stage::Test).unwrap_or_default().to_vec();
        let contributions =
            weighed(recipe).map(|position| self.contribution(&subject, recipe, position, &whole));
        Some(Contributions { checkpoints: contributions.collect(), test: whole, subject, trial })
    }

    fn contribution(
        &self,
        subject: &TrialId,
        recipe: &Recipe,
        position: usize,
        whole: &[Measurement],
    ) -> Contribution {
        let checkpoint = recipe.checkpoints[position].name.clone();
        let trial = self.without(subject, &checkpoint);
        let test = self.stage_scores(&trial, Stage::Test).unwrap_or_default().to_vec();
        let without = weights_without(recipe, position);
        let failure = match (&without, self.outcome_of(&trial)) {
            (None, _) => Some(format!(
                "the other weights sum to {:.3}, too little to be scaled to 1",
                rest(recipe, position)
            )),
            (Some(_), Some(TrialOutcome::Failed(reason))) => Some(reason.clone()),
            (Some(_), _) => None,
        };
        let factors = fitness_weights(&self.config().objectives);
        let pairs: Vec<_> = factors
            .into_iter()
            .zip(whole.iter().zip(&test))
            .map(|(factor, (with, without))| (factor, *with, *without))
            .collect();
        Contribution {
            weights: recipe.groups.iter().map(|group| group.weights[position]).collect(),
            absolute_weights: without
                .as_ref()
                .map(|groups| absolute_weights(groups.iter().map(Vec::as_slice))),
            difference: (!pairs.is_empty()).then(|| difference_from_errors(&pairs)),
            trial: self.without_duplicate(trial),
            checkpoint,
            test,
            failure,
        }
    }

    /// The trial of a merge without one of its checkpoints.
    fn without(&self, subject: &TrialId, checkpoint: &CheckpointName) -> TrialId {
        let subject = Box::new(self.without_duplicate(subject.clone()));
        TrialId::Without { subject, checkpoint: checkpoint.clone() }
    }

    /// What a merge without one of its checkpoints is; `None` when there is no such merge.
    pub(super) fn recipe_without(&self, subject: &TrialId, checkpoint: &CheckpointName) -> Option<Recipe> {
        let recipe = self.recipe_of(subject)?;
        let position = recipe.checkpoint_index(checkpoint)?;
        left_out(recipe, position)
    }

    /// The merge that people ask about, scored or not; `None` when they ask about none.
    fn asked_to_take_apart(&self) -> Option<TrialId> {
        match self.config().contribution.as_ref()? {
            ContributionOf::Best => self.best(),
            ContributionOf::Trial(id) => Some(id.clone()),
        }
    }

    /// The merge that is taken apart, as the trial that was evaluated: the one asked for, once it has search scores.
    pub(super) fn taken_apart(&self) -> Option<TrialId> {
        let id = self.without_duplicate(self.asked_to_take_apart()?);
        self.search_scores(&id).is_some().then_some(id)
    }

    /// The trials that leave a checkpoint out, in the order of the pool; none while the whole merge has no test scores,
    /// without which they would say nothing.
    fn leave_one_out(&self) -> Vec<TrialId> {
        let Some(subject) = self.taken_apart() else { return Vec::new() };
        let Some(recipe) = self.recipe_of(&subject) else { return Vec::new() };
        if self.stage_scores(&self.final_of(&subject), Stage::Test).is_none() {
            return Vec::new();
        }
        weighed(recipe)
            .filter(|&position| rest(recipe, position) >= LEAST_REST)
            .map(|position| self.without(&subject, &recipe.checkpoints[position].name))
            .collect()
    }

    /// The next trial that leaves a checkpoint out; `None` when all are issued or another does not fit the GPU budget.
    pub(super) fn next_contribution(&self) -> Option<TrialId> {
        let next = self.leave_one_out().into_iter().find(|id| self.trial(id).is_none())?;
        self.affords_contribution().then_some(next)
    }

    /// Whether nothing more comes. While something runs, what it leaves of the GPU budget is not known.
    pub(super) fn contributions_are_over(&self) -> bool {
        let whole = self.taken_apart().map(|id| self.final_of(&id));
        let in_full = || {
            whole.as_ref().is_none_or(|id| self.has_ended(id))
                && self.leave_one_out().iter().all(|id| self.has_ended(id))
        };
        in_full() || (self.running().count() == 0 && !self.affords_contribution())
    }

    /// How many trials may still be issued for the merge; an estimate while its test scores are awaited.
    pub(super) fn contributions_to_issue(&self) -> usize {
        let Some(subject) = self.taken_apart() else { return 0 };
        if !self.has_ended(&self.final_of(&subject)) {
            return self.recipe_of(&subject).map_or(0, |recipe| weighed(recipe).count());
        }
        self.leave_one_out().iter().filter(|id| self.trial(id).is_none()).count()
    }

    /// How many trials leaving checkpoints out takes at most, with the final one of a merge that is no finalist.
    pub(super) fn most_contributions(&self) -> usize {
        match self.config().contribution {
            None => 0,
            Some(ContributionOf::Best) => self.config().checkpoints.len(),
            Some(ContributionOf::Trial(_)) => self.config().checkpoints.len() + 1,
        }
    }

    /// Whether the GPU budget has room for another of these trials beside those that run.
    pub(super) fn affords_contribution(&self) -> bool {
        let budget = &self.config().budget;
        let Some(allowed) = budget.max_gpu_seconds else { return true };
        let coming = self.running().count() + 1;
        self.gpu_seconds() + coming as f64 * budget.trial_gpu_seconds <= allowed
    }

    /// What keeps contributions from being measured, one sentence each; none before the search is over.
    pub fn contribution_warnings(&self) -> Vec<String> {
        let (Some(of), Some(_)) = (&self.config().contribution, self.search_end()) else { return Vec::new() };
        let says = |what: String| format!("search.contribution: {what}");
        let Some(asked) = self.asked_to_take_apart() else {
            return vec![says("no searched merge has scores, so there is none to take apart".to_owned())];
        };
        if self.trial(&asked).is_none() {
            return vec![says(format!("this search has no trial {of}; name one of its merges, or best"))];
        }
        let Some(contributions) = self.contributions() else {
            return vec![says(format!("{asked} has no search scores, so its checkpoints are not left out"))];
        };
        if let Some(TrialOutcome::Failed(reason)) = self.outcome_of(&contributions.trial) {
            return vec![says(format!(
                "{asked} failed on test items, so its checkpoints are not left out: {reason}"
            ))];
        }
        let mut warnings: Vec<String> = Vec::new();
        for Contribution { checkpoint, failure, absolute_weights, .. } in &contributions.checkpoints {
            if let (Some(reason), None) = (failure, absolute_weights) {
                warnings.push(says(format!("{checkpoint} stays in {asked}: {reason}")));
            }
        }
        let left = self.contributions_to_issue();
        if left > 0 && matches!(self.outcome(), Some(Outcome::Completed(_))) {
            warnings.push(says(format!(
                "the GPU budget has no room for {left} of the trials that leave a checkpoint of {asked} out"
            )));
        }
        warnings
    }
}

/// Positions of the checkpoints with a weight in some group.
fn weighed(recipe: &Recipe) -> impl Iterator<Item = usize> + '_ {
    let has_weight = |position: usize| recipe.groups.iter().any(|group| group.weights[position] != 0.0);
    (0..recipe.checkpoints.len()).filter(move |&position| has_weight(position))
}

/// The sum of the weights of all checkpoints but one, in the group where it is smallest.
fn rest(recipe: &Recipe, position: usize) -> f64 {
    recipe.groups.iter().map(|group| sum_without(&group.weights, position)).fold(f64::INFINITY, f64::min)
}

fn sum_without(weights: &[f64], position: usize) -> f64 {
    weights.iter().enumerate().filter(|(index, _)| *index != position).map(|(_, weight)| weight).sum()
}

/// The weights of every group without one checkpoint; `None` when they can't be scaled to 1.
fn weights_without(recipe: &Recipe, position: usize) -> Option<Vec<Vec<f64>>> {
    let scaled = |weights: &[f64]| {
        let rest = sum_without(weights, position);
        let scaled = |(index, weight): (usize, &f64)| if index == position { 0.0 } else { weight / rest };
        (rest >= LEAST_REST).then(|| weights.iter().enumerate().map(scaled).collect())
    };
    recipe.groups.iter().map(|group| scaled(&group.weights)).collect()
}

/// The merge without one checkpoint; `None` when there is none.
fn left_out(recipe: &Recipe, position: usize) -> Option<Recipe> {
    let weights = weights_without(recipe, position)?;
    let mut recipe = recipe.clone();
    for (group, weights) in recipe.groups.iter_mut().zip(weights) {
        group.weights = weights;
    }
    Some(recipe)
}

#[cfg(test)]
mod tests {
    use mergesearch_recipe::{Checkpoint, Group, MergeMethod, Parameters, Selection};

    use super::*;

    fn recipe(method: MergeMethod, groups: &[&[f64]]) -> Recipe {
        let names = ["a", "b", "c"].iter().take(groups[0].len());
        let checkpoint =
            |name: &&str| Checkpoint { name: (*name).try_into().unwrap(), uri: format!("file:///{name}") };
        let select = |index: usize| Selection {
            name_contains: (index + 1 < groups.len()).then(|| format!("layers.{index}.")),
            ..Selection::default()
        };
        let group = |(index, weights): (usize, &&[f64])| Group {
            select: select(index),
            weights: weights.to_vec(),
            parameters: Parameters::default(),
        };
        Recipe {
            method,
            checkpoints: names.map(checkpoint).collect(),
            base: None,
            groups: groups.iter().enumerate().map(group).collect(),
            dtype: None,
            tokenizer_from: None,
            seed: 0,
            stack: Vec::new(),
            vocabulary: None,
            align: None,
        }
    }

    #[test]
    fn the_other_weights_keep_their_proportions_in_every_group() {
        let whole = recipe(MergeMethod::Linear, &[&[0.5, 0.25, 0.25], &[-0.25, 1.0, 0.25]]);
        let left = left_out(&whole, 0).unwrap();
        left.validate().unwrap();
        let weights: Vec<Vec<f64>> = left.groups.into_iter().map(|group| group.weights).collect();
        assert_eq!(weights, [[0.0, 0.5, 0.5], [0.0, 0.8, 0.2]]);
    }

    #[test]
    fn weights_that_can_not_be_scaled_stay() {
        let groups: [&[&[f64]]; 3] =
            [&[&[1.0, 0.0, 0.0]], &[&[1.5, -0.25, -0.25]], &[&[0.5, 0.25, 0.25], &[1.0, 0.5, -0.5]]];
        for groups in groups {
            assert_eq!(left_out(&recipe(MergeMethod::Linear, groups), 0), None, "{groups:?}");
        }
    }

    #[test]
    fn an_interpolation_without_one_is_the_other() {
        let left = left_out(&recipe(MergeMethod::Slerp, &[&[0.3, 0.7]]), 1).unwrap();
        left.validate().unwrap();
        assert_eq!(left.groups[0].weights, [1.0, 0.0]);
    }

    #[test]
    fn only_checkpoints_with_a_weight_in_some_group_are_left_out() {
        let recipe = recipe(MergeMethod::Linear, &[&[1.0, 0.0, -0.0], &[0.5, 0.0, 0.5]]);
        assert_eq!(weighed(&recipe).collect::<Vec<_>>(), [0, 2]);
    }
}
