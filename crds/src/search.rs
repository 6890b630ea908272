//! `spec.search`: the algorithm and its constants, and what is measured when it has ended.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{cel, defaults};

/// The search algorithm and its constants.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[schemars(extend("x-kubernetes-validations" = cel::search_spec()))]
#[serde(rename_all = "camelCase", default)]
pub struct SearchSpec {
    /// The algorithm: `CmaEs`. Default: `CmaEs`. Immutable.
    pub algorithm: Algorithm,
    /// What turns an evaluation into one number to rank by. `WeightedMean`: the mean of the objectives by `weight`, after
    /// `scale`. `Hypervolume`: what a trial adds to the front's hypervolume; spreads the front. `Tchebycheff`: the
    /// augmented Tchebycheff distance from the ideal point by `weight`; reaches concave parts of the front. Default:
    /// `WeightedMean`. Immutable.
    pub fitness: Fitness,
    /// Where the first generation is centred: `BestBaseline`, the best merge known after the baselines, or `Uniform`, the
    /// average of all checkpoints. Default: `BestBaseline`. Immutable.
    pub start: Start,
    /// Whether a generation ends only when exactly its own trials have ended. On, the same seed and pool give the same
    /// trials whatever the order in which they end. Off, free capacity is used at once, which helps when evaluation
    /// times differ much. Default: `true`. Immutable.
    pub barrier: bool,
    /// Trials in a generation. Default: 4 + floor(3 ln n) for n dimensions (16 checkpoints: 12). Immutable.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 4, max = 4096))]
    pub population_size: Option<i32>,
    /// Standard deviation of the weights at the start, in the plane of weights that sum to 1. Above 0. Default:
    /// 1/sqrt(K(K+1)) for K checkpoints (16: 0.061). Immutable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sigma: Option<f64>,
    /// Seed of every random number. Default: 0. Immutable.
    #[schemars(range(min = 0, max = 9_007_199_254_740_991i64))]
    pub seed: i64,
    /// How often CMA-ES starts anew with twice the population (IPOP) after it has converged with budget left. Default:
    /// 0. Immutable.
    #[schemars(range(min = 0, max = 16))]
    pub restarts: i32,
    /// When CMA-ES has converged. Immutable.
    pub stop: Stop,
    /// The greedy soup: checkpoints joined one by one, best first, each kept if the fitness does not fall. A baseline; it
    /// runs beside the search. Immutable.
    pub greedy: Greedy,
    /// How many trials of the front are scored again on the `test` stage at the end, besides the baselines and the final
    /// mean. Default: 8. Immutable.
    #[schemars(range(min = 1, max = 64))]
    pub finalists: i32,
    /// Whose checkpoints are left out one at a time, to measure what each contributes: `best`, the best merge by search
    /// fitness, or the trial of a merge. Each checkpoint with a weight then costs one more trial, on the `test` stage and
    /// outside `budget.maxTrials`, once the finalists are scored; the other weights are scaled to the sum 1. May be set at
    /// any time: a completed search then goes on. Default: none. Mutable. Example: `g0004-c012`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 72), regex(pattern = MERGE))]
    #[schemars(extend("x-mergesearch-expected" = "best or the trial of a merge such as g0004-c012"))]
    pub contribution: Option<String>,
}

/// `best` and the trials that merge checkpoints.
const MERGE: &str = concat!(
    "^(best|uniform|soup-[0-9]+|greedy-[0-9]{2,}|baseline-[a-z0-9]([-a-z0-9]*[a-z0-9])?",
    "|(r[0-9]+-)?(g[0-9]{4,}-c[0-9]{3,}|mean-g[0-9]{4,}))$"
);

impl Default for SearchSpec {
    fn default() -> Self {
        Self {
            algorithm: Algorithm::default(),
            fitness: Fitness::default(),
            start: Start::default(),
            barrier: defaults::on(),
            population_size: None,
            sigma: None,
            seed: 0,
            restarts: 0,
            stop: Stop::default(),
            greedy: Greedy::default(),
            finalists: defaults::FINALISTS,
            contribution: None,
        }
    }
}

/// The search algorithm.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Algorithm {
    /// Covariance matrix adaptation.
    #[default]
    CmaEs,
}

/// What turns several objectives into one number to rank by.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fitness {
    /// The weighted mean of the scaled objectives.
    #[default]
    WeightedMean,
    /// The contribution to the hypervolume of the front.
    Hypervolume,
    /// Augmented Tchebycheff distance from the ideal point.
    Tchebycheff,
}

/// Where the first generation is centred.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// The best baseline by search fitness.
    #[default]
    BestBaseline,
    /// The average of all checkpoints.
    Uniform,
}

/// When CMA-ES has converged. The budget ends a search in any case. Stops on flat fitness are off unless set: metrics
/// come in steps of one item, so equal values are no sign of convergence.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct Stop {
    /// Stops when the standard deviation in every direction is below this fraction of the initial sigma. 0 turns it off.
    /// Default: 0.02. Immutable.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub tol_x: f64,
    /// Stops when the condition number of the covariance is above this. At least 1. Default: 1e14. Immutable.
    #[schemars(range(min = 1.0))]
    pub tol_condition_cov: f64,
    /// Stops when the best and the median fitness have not improved over this many generations; 0 turns it off. Default:
    /// 100 + floor(100 n^1.5 / population). Immutable.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub tol_stagnation: Option<i32>,
    /// Stops when the fitness range of the last generations is below this, in units of fitness. Default: off. Immutable.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0))]
    pub tol_fun: Option<f64>,
    /// Stops when the range of the generations' best fitness is below this, in units of fitness. Default: off. Immutable.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0))]
    pub tol_fun_hist: Option<f64>,
    /// Stops after this many generations in which the best trials have equal fitness. Default: off. Immutable.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub tol_flat_fitness: Option<i32>,
    /// Stops when a step of 0.1 sigma along a principal axis does not change the mean. Default: `false`. Immutable.
    pub no_effect_axis: bool,
    /// Stops when a step of 0.2 sigma along a coordinate does not change the mean. Default: `false`. Immutable.
    pub no_effect_coord: bool,
}

impl Default for Stop {
    fn default() -> Self {
        Self {
            tol_x: defaults::TOL_X,
            tol_condition_cov: defaults::TOL_CONDITION_COV,
            tol_stagnation: None,
            tol_fun: None,
            tol_fun_hist: None,
            tol_flat_fitness: None,
            no_effect_axis: false,
            no_effect_coord: false,
        }
    }
}

/// The greedy soup.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct Greedy {
    /// Whether it is made. Default: `true`. Immutable.
    pub enabled: bool,
    /// How many trials it may cost, at most. Default: 15. Immutable.
    #[schemars(range(min = 1, max = 255))]
    pub max_steps: i32,
}

impl Default for Greedy {
    fn default() -> Self {
        Self { enabled: defaults::on(), max_steps: defaults::GREEDY_STEPS }
    }
}
