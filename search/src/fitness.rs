//! How a trial's scores become the one number that trials are ranked by.
//!
//! *Oriented* values are multiplied by their direction's sign, so that larger is better everywhere below.

use serde::{Deserialize, Serialize};

use crate::archive::dominates;
use crate::config::{Bound, Fitness, Objective, Reference, SearchConfig};
use crate::hypervolume::{hypervolume, uncrowded_improvement};
use crate::results::Measurement;

/// How far below the worst of the non-dominated singles the hypervolume's reference point lies, in units of their range.
const REFERENCE_MARGIN: f64 = 0.1;
/// Weight of the sum in the augmented Tchebycheff distance; small, so that it only breaks ties of the maximum.
const AUGMENTATION: f64 = 0.05;

/// Values of one trial, one an objective, larger is better.
pub(crate) fn oriented(objectives: &[Objective], scores: &[Measurement]) -> Vec<f64> {
    objectives.iter().zip(scores).map(|(objective, score)| objective.direction.sign() * score.value).collect()
}

/// Sum of `weight x sign x value / scale` over the sum of weights.
pub(crate) fn weighted_mean(objectives: &[Objective], scores: &[Measurement]) -> f64 {
    let total: f64 = objectives.iter().map(|objective| objective.weight).sum();
    let sum: f64 = objectives
        .iter()
        .zip(scores)
        .map(|(objective, score)| {
            objective.weight * objective.direction.sign() * score.value / objective.scale
        })
        .sum();
    sum / total
}

/// The factor with which a difference in each objective's value enters the weighted mean.
pub fn fitness_weights(objectives: &[Objective]) -> Vec<f64> {
    let total: f64 = objectives.iter().map(|objective| objective.weight).sum();
    objectives
        .iter()
        .map(|objective| objective.weight * objective.direction.sign() / objective.scale / total)
        .collect()
}

/// What round 0 fixes for the rest of the search: so one bad checkpoint can't set the scale, only the non-dominated
/// singles count.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Yardstick {
    /// Best oriented value of the singles, by objective.
    ideal: Vec<f64>,
    /// Range of the non-dominated singles, by objective; 1 where they are all equal.
    range: Vec<f64>,
    /// The hypervolume's reference point, in units of the range.
    reference: Vec<f64>,
    /// Each objective's bound as an oriented lower bound, with the standard error of the baseline it refers to.
    bounds: Vec<Option<(f64, f64)>>,
}

/// The search scores of round 0 that a yardstick is made from.
pub(crate) struct RoundZero<'a> {
    /// Scores of the single checkpoints that succeeded.
    pub(crate) singles: Vec<&'a [Measurement]>,
    /// Looks a baseline up that a bound refers to.
    pub(crate) baseline: &'a dyn Fn(&Reference) -> Option<&'a [Measurement]>,
}

impl Yardstick {
    /// Measures round 0. A bound relative to a baseline that failed is dropped.
    pub(crate) fn new(objectives: &[Objective], round: &RoundZero<'_>) -> Self {
        let points: Vec<Vec<f64>> = round.singles.iter().map(|scores| oriented(objectives, scores)).collect();
        let front: Vec<&Vec<f64>> =
            points.iter().filter(|point| !points.iter().any(|other| dominates(other, point))).collect();
        let fold = |index: usize, start: f64, pick: fn(f64, f64) -> f64| {
            front.iter().map(|point| point[index]).fold(start, pick)
        };
        let indices = 0..objectives.len();
        let ideal: Vec<f64> = indices.clone().map(|index| fold(index, f64::NEG_INFINITY, f64::max)).collect();
        let worst: Vec<f64> = indices.clone().map(|index| fold(index, f64::INFINITY, f64::min)).collect();
        let range: Vec<f64> = indices
            .clone()
            .map(|index| ideal[index] - worst[index])
            .map(|range| if range > 0.0 { range } else { 1.0 })
            .collect();
        let reference = indices.clone().map(|index| worst[index] / range[index] - REFERENCE_MARGIN).collect();
        let bounds = indices.map(|index| bound(&objectives[index], index, round)).collect();
        Self { ideal, range, reference, bounds }
    }

    /// An oriented point in units of the ranges.
    pub(crate) fn normalised(&self, point: &[f64]) -> Vec<f64> {
        point.iter().zip(&self.range).map(|(value, range)| value / range).collect()
    }

    /// Volume between the reference point and a set of oriented points, in units of the ranges.
    pub(crate) fn hypervolume(&self, points: &[Vec<f64>]) -> f64 {
        let points: Vec<Vec<f64>> = points.iter().map(|point| self.normalised(point)).collect();
        hypervolume(&points, &self.reference)
    }

    /// What a normalised point adds to the volume of others, or how far it lies behind their front.
    pub(crate) fn improvement(&self, point: &[f64], others: &[Vec<f64>]) -> f64 {
        uncrowded_improvement(point, others, &self.reference)
    }

    /// Total violation of the constraints in standard errors; 0 when feasible. An exact value's error counts as the
    /// objective's range in round 0, so that violations stay comparable.
    pub(crate) fn violation(&self, objectives: &[Objective], scores: &[Measurement]) -> f64 {
        let point = oriented(objectives, scores);
        let mut total = 0.0;
        for (index, bound) in self.bounds.iter().enumerate() {
            let Some((lowest, reference_error)) = *bound else { continue };
            let own_error = scores[index].stderr.unwrap_or(0.0);
            let error = libm::sqrt(own_error * own_error + reference_error * reference_error);
            let unit = if error > 0.0 { error } else { self.range[index] };
            total += (lowest - point[index]).max(0.0) / unit;
        }
        total
    }

    /// Augmented Tchebycheff distance to the ideal point, negated so that larger is better.
    fn tchebycheff(&self, objectives: &[Objective], scores: &[Measurement]) -> f64 {
        let point = oriented(objectives, scores);
        let total: f64 = objectives.iter().map(|objective| objective.weight).sum();
        let distance = |index: usize| {
            objectives[index].weight / total * (self.ideal[index] - point[index]) / self.range[index]
        };
        let largest = (0..point.len()).map(distance).fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = (0..point.len()).map(distance).sum();
        -(largest + AUGMENTATION * sum)
    }

    /// The number a trial has by itself, larger is better: for baselines and for `best`. The hypervolume depends on the
    /// other trials, so there the weighted mean stands in.
    pub(crate) fn fitness(&self, config: &SearchConfig, scores: &[Measurement]) -> f64 {
        match config.fitness {
            Fitness::WeightedMean | Fitness::Hypervolume => weighted_mean(&config.objectives, scores),
            Fitness::Tchebycheff => self.tchebycheff(&config.objectives, scores),
        }
    }

    /// The number CMA-ES ranks a candidate by, larger is better, against the front as it stood when its generation
    /// opened.
    pub(crate) fn ranking(
        &self,
        config: &SearchConfig,
        scores: &[Measurement],
        opening_front: &[Vec<f64>],
    ) -> f64 {
        match config.fitness {
            Fitness::Hypervolume => {
                let point = self.normalised(&oriented(&config.objectives, scores));
                let front: Vec<Vec<f64>> = opening_front.iter().map(|point| self.normalised(point)).collect();
                self.improvement(&point, &front)
            }
            Fitness::WeightedMean | Fitness::Tchebycheff => self.fitness(config, scores),
        }
    }

    /// Whether the objectives' ranges in round 0 differ more than five times after scaling, so that one of them hardly
    /// counts in a weighted mean: the names of the widest and the narrowest.
    pub(crate) fn uneven_ranges<'a>(&self, objectives: &'a [Objective]) -> Option<(&'a str, &'a str)> {
        let weighted = |(objective, range): (&'a Objective, &f64)| {
            (objective.name.as_str(), objective.weight * range / objective.scale)
        };
        let ranges: Vec<(&str, f64)> = objectives.iter().zip(&self.range).map(weighted).collect();
        let widest = ranges.iter().max_by(|a, b| a.1.total_cmp(&b.1))?;
        let narrowest = ranges.iter().min_by(|a, b| a.1.total_cmp(&b.1))?;
        (widest.1 > 5.0 * narrowest.1).then_some((widest.0, narrowest.0))
    }
}

/// An objective's bound as a lower bound on the oriented value, with the error of the baseline it refers to.
fn bound(objective: &Objective, index: usize, round: &RoundZero<'_>) -> Option<(f64, f64)> {
    let (value, error) = match objective.constraint.as_ref()? {
        Bound::Absolute(value) => (*value, 0.0),
        Bound::Relative { to, delta } => {
            let score = &(round.baseline)(to)?[index];
            (score.value + delta, score.stderr.unwrap_or(0.0))
        }
    };
    Some((objective.direction.sign() * value, error))
}
