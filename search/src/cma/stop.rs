//! When a CMA-ES search has nothing more to find, and why.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Cma, Evaluated};

/// The tests for an end, named and meant as in pycma; none switches a test off.
///
/// On by default are the tests of the distribution. Those of flat fitness are off: metrics are counted on a fixed
/// set of items, so equal values are common and say little about being near the optimum.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StopCriteria {
    /// Every standard deviation, and every step along `p_c`, is below this share of the coordinate's standard
    /// deviation at the start. Default 0.02.
    pub tolx: Option<f64>,
    /// The condition number of C is above this. Default 1e14.
    pub tolconditioncov: Option<f64>,
    /// Neither the best nor the median fitness improved between the halves of this many generations.
    /// Default 100 + 100 n^1.5 / lambda.
    pub tolstagnation: Stagnation,
    /// The fitness of the last generation and the best ones of the last 10 + 30 n / lambda generations lie within this.
    pub tolfun: Option<f64>,
    /// The best fitness values of the last 10 + 30 n / lambda generations (at least 10) lie within this.
    pub tolfunhist: Option<f64>,
    /// In more than this many generations in a row at least three quarters of the samples were equally good.
    pub tolflatfitness: Option<u64>,
    /// A tenth of a standard deviation along an axis (one axis per generation) does not change the mean.
    pub noeffectaxis: bool,
    /// A fifth of a standard deviation in some coordinate does not change the mean.
    pub noeffectcoord: bool,
}

/// The length of the window in which a search must make progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Stagnation {
    /// Never stop for stagnation.
    Off,
    /// 100 + 100 n^1.5 / lambda generations.
    Default,
    /// This many generations.
    Generations(u64),
}

impl Default for StopCriteria {
    fn default() -> Self {
        Self {
            tolx: Some(0.02),
            tolconditioncov: Some(1e14),
            tolstagnation: Stagnation::Default,
            tolfun: None,
            tolfunhist: None,
            tolflatfitness: None,
            noeffectaxis: false,
            noeffectcoord: false,
        }
    }
}

impl StopCriteria {
    /// The stagnation window in generations; none when the test is off.
    fn stagnation_window(&self, n: usize, population: usize) -> Option<usize> {
        match self.tolstagnation {
            Stagnation::Off => None,
            Stagnation::Generations(generations) => Some(generations as usize),
            Stagnation::Default => {
                let n = n as f64;
                Some((100.0 + 100.0 * n * n.sqrt() / population as f64) as usize)
            }
        }
    }
}

/// Which test ended a search; `Display` gives a sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StopReason {
    /// See [`StopCriteria::tolx`].
    TolX,
    /// See [`StopCriteria::tolconditioncov`].
    TolConditionCov,
    /// See [`StopCriteria::tolstagnation`].
    TolStagnation,
    /// See [`StopCriteria::tolfun`].
    TolFun,
    /// See [`StopCriteria::tolfunhist`].
    TolFunHist,
    /// See [`StopCriteria::tolflatfitness`].
    TolFlatFitness,
    /// See [`StopCriteria::noeffectaxis`].
    NoEffectAxis,
    /// See [`StopCriteria::noeffectcoord`].
    NoEffectCoord,
}

impl fmt::Display for StopReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::TolX => "the search has narrowed down to its optimum (tolx)",
            Self::TolConditionCov => {
                "the search distribution has become numerically degenerate (tolconditioncov)"
            }
            Self::TolStagnation => {
                "neither the best nor the median fitness improves any more (tolstagnation)"
            }
            Self::TolFun => "the fitness values no longer differ (tolfun)",
            Self::TolFunHist => "the best fitness of recent generations no longer differs (tolfunhist)",
            Self::TolFlatFitness => {
                "most samples are equally good, generation after generation (tolflatfitness)"
            }
            Self::NoEffectAxis => "steps along an axis no longer change the mean (noeffectaxis)",
            Self::NoEffectCoord => "steps in a coordinate no longer change the mean (noeffectcoord)",
        })
    }
}

/// The fitness of past generations, as far as the tests look back; finite values only.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct History {
    /// Best fitness of each generation in which any evaluation succeeded, newest last.
    best: Vec<f64>,
    /// Median fitness of the successful evaluations of the same generations.
    median: Vec<f64>,
    /// Worst minus best of the newest of them.
    last_range: f64,
    best_ever: Option<f64>,
    generations_since_best: u64,
    flat_generations: u64,
}

impl History {
    /// Adds a generation that is sorted best first.
    pub(super) fn record(&mut self, ranked: &[&Evaluated], n: usize, criteria: &StopCriteria) {
        self.generations_since_best += 1;
        let finite: Vec<f64> = ranked.iter().map(|one| one.fitness).filter(|f| f.is_finite()).collect();
        let (Some(&best), Some(&worst)) = (finite.first(), finite.last()) else { return };
        self.best.push(best);
        self.median.push(middle(&finite));
        if self.best_ever.is_none_or(|ever| best < ever) {
            self.best_ever = Some(best);
            self.generations_since_best = 0;
        }
        self.last_range = worst - best;
        let flat = ranked[0].fitness >= ranked[ranked.len() * 3 / 4].fitness;
        self.flat_generations = if flat { self.flat_generations + 1 } else { 0 };

        let longest =
            criteria.stagnation_window(n, ranked.len()).unwrap_or(0).max(recent_window(n, ranked.len()));
        let excess = self.best.len().saturating_sub(longest);
        self.best.drain(..excess);
        self.median.drain(..excess);
    }

    /// The spread of the best values of the last `window` generations; none before there are that many.
    fn range_of_best(&self, window: usize) -> Option<f64> {
        let recent = &self.best[self.best.len().checked_sub(window)?..];
        let largest = recent.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let smallest = recent.iter().copied().fold(f64::INFINITY, f64::min);
        Some(largest - smallest)
    }

    /// pycma compares every fifth generation and at least 500 of them; here every generation of the window counts.
    fn stagnates(&self, window: usize) -> bool {
        let half = window / 2;
        if half == 0 || self.best.len() < window || self.generations_since_best < half as u64 {
            return false;
        }
        [&self.best, &self.median].into_iter().all(|values| {
            let (old, new) = values[values.len() - 2 * half..].split_at(half);
            sorted_middle(new) >= sorted_middle(old)
        })
    }
}

/// The first test that asks for an end.
pub(super) fn reason(cma: &Cma) -> Option<StopReason> {
    let (n, population) = (cma.dimension(), cma.population_size());
    let (criteria, history) = (&cma.criteria, &cma.history);
    if cma.generation == 0 {
        return None;
    }
    let deviations = cma.standard_deviations();
    let narrow = |tolerance: f64| {
        let limits = cma.initial_deviations.iter().map(|start| tolerance * start);
        limits
            .zip(&deviations)
            .zip(&cma.covariance_path)
            .all(|((limit, deviation), path)| *deviation < limit && cma.sigma * path.abs() < limit)
    };
    let degenerate = |tolerance: f64| {
        let lengths = cma.axis_lengths();
        let longest = lengths.iter().copied().fold(0.0, f64::max);
        let shortest = lengths.iter().copied().fold(f64::INFINITY, f64::min);
        longest > tolerance.sqrt() * shortest
    };
    // pycma waits for n (5 + 100 / lambda) generations before it believes in stagnation.
    let warmed_up = cma.generation as f64 > n as f64 * (5.0 + 100.0 / population as f64);
    let recent = history.range_of_best(recent_window(n, population));
    let unmoved = |(mean, step): (&f64, f64)| (mean + step).to_bits() == mean.to_bits();
    let axis_has_no_effect = || {
        let axis = cma.covariance.axis((cma.generation % n as u64) as usize);
        cma.mean.iter().zip(axis.iter().map(|a| 0.1 * cma.sigma * a)).all(unmoved)
    };
    let coordinate_has_no_effect = || cma.mean.iter().zip(deviations.iter().map(|d| 0.2 * d)).any(unmoved);

    let tests = [
        (criteria.tolx.is_some_and(narrow), StopReason::TolX),
        (criteria.tolconditioncov.is_some_and(degenerate), StopReason::TolConditionCov),
        (
            warmed_up && criteria.stagnation_window(n, population).is_some_and(|w| history.stagnates(w)),
            StopReason::TolStagnation,
        ),
        (
            criteria.tolfun.is_some_and(|t| history.last_range < t && recent.is_some_and(|range| range < t)),
            StopReason::TolFun,
        ),
        (criteria.tolfunhist.is_some_and(|t| recent.is_some_and(|range| range < t)), StopReason::TolFunHist),
        (criteria.tolflatfitness.is_some_and(|t| history.flat_generations > t), StopReason::TolFlatFitness),
        (criteria.noeffectaxis && axis_has_no_effect(), StopReason::NoEffectAxis),
        (criteria.noeffectcoord && coordinate_has_no_effect(), StopReason::NoEffectCoord),
    ];
    tests.into_iter().find_map(|(holds, reason)| holds.then_some(reason))
}

/// How many generations the tests of recent fitness look back: 10 + ceil(30 n / lambda).
fn recent_window(n: usize, population: usize) -> usize {
    10 + (30 * n).div_ceil(population)
}

fn sorted_middle(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    middle(&sorted)
}

/// The median of sorted values, of which there is at least one.
fn middle(sorted: &[f64]) -> f64 {
    let half = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[half] } else { 0.5 * (sorted[half - 1] + sorted[half]) }
}
