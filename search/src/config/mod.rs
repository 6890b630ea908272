//! What a search is about: the pool, the objectives, how to search and how much may be spent.

mod check;
mod contribution;

use std::collections::BTreeMap;

use mergesearch_recipe::{Align, Checkpoint, CheckpointName, Dtype, LayerRange, MergeMethod, Vocabulary};
use serde::{Deserialize, Serialize};

use crate::cma::StopCriteria;
use crate::encoding::BoundedParameter;
use crate::results::MetricName;
use crate::trial::Stage;

pub use self::check::ConfigError;
pub use self::contribution::{ContributionOf, ContributionOfError};

/// Everything that decides which trials a search makes. Two searches with equal configurations and equal scores make
/// the same trials.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SearchConfig {
    /// The pool, in manifest order: 2 or more.
    pub checkpoints: Vec<Checkpoint>,
    /// The checkpoint that task vectors are taken from; evaluated as a baseline when given.
    pub base: Option<Checkpoint>,
    /// How checkpoints are combined.
    pub method: MergeMethod,
    /// Which tensors get weights of their own.
    pub granularity: Granularity,
    /// Whether merged weights are projected onto the simplex. Default false: much of the gain lies outside the hull.
    pub non_negative: bool,
    /// Element type of candidates. Default: that of the first checkpoint.
    pub dtype: Option<Dtype>,
    /// Whose tokenizer and config a candidate gets. Default: the base, else the first checkpoint.
    pub tokenizer_from: Option<CheckpointName>,
    /// How different vocabularies come together. Default: they have to be equal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vocabulary: Option<Vocabulary>,
    /// What is matched between checkpoints before they are merged. Default: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub align: Option<Align>,
    /// What is searched for: 1 or more.
    pub objectives: Vec<Objective>,
    /// What is only watched: scored in stage `heldout`.
    pub held_out: Vec<HeldOut>,
    /// Merges of the user's own that are evaluated in round 0 and may be the start.
    pub baselines: Vec<Baseline>,
    /// The factor on task vectors. Only for methods that have one, and then required.
    pub lambda: Option<Lambda>,
    /// How the objectives become the one number that CMA-ES ranks by.
    pub fitness: Fitness,
    /// Where the first generation is centred.
    pub start: Start,
    /// Whether a generation closes only when exactly its own population is in.
    pub barrier: bool,
    /// Candidates a generation. Default `4 + floor(3 ln n)`.
    pub population_size: Option<usize>,
    /// Initial standard deviation of a weight coordinate. Default `1 / sqrt(K (K + 1))`.
    pub sigma: Option<f64>,
    /// Keys all random numbers.
    pub seed: u64,
    /// How often CMA-ES starts again with twice the population after it has stopped by itself. Default 0.
    pub restarts: u32,
    /// When CMA-ES has converged.
    pub stop: StopCriteria,
    /// The most ingredients the greedy soup tries after the best single; 0 leaves the greedy soup out.
    pub greedy_steps: usize,
    /// The most members of the front that the final stages score, besides the baselines and the final mean.
    pub finalists: usize,
    /// Whose checkpoints are left out one at a time when the finalists are scored; may change at any time. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contribution: Option<ContributionOf>,
    /// What may be spent; may change at any time.
    pub budget: Budget,
}

/// Which tensors get weights of their own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Granularity {
    /// One set of weights for the whole model.
    WholeModel,
    /// One set for each range of layers, in order, together covering the model.
    Blocks(Vec<LayerRange>),
    /// One set for the tensors whose names contain each text (first match wins), and one for the rest.
    Patterns(Vec<String>),
}

impl Granularity {
    /// How many sets of weights there are.
    pub fn group_count(&self) -> usize {
        match self {
            Self::WholeModel => 1,
            Self::Blocks(blocks) => blocks.len(),
            Self::Patterns(patterns) => patterns.len() + 1,
        }
    }
}

/// Whether larger or smaller values are better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Direction {
    /// Larger is better.
    Maximize,
    /// Smaller is better.
    Minimize,
}

impl Direction {
    /// The factor that makes larger better.
    pub const fn sign(self) -> f64 {
        match self {
            Self::Maximize => 1.0,
            Self::Minimize => -1.0,
        }
    }
}

/// One thing to be good at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Objective {
    /// Unique among objectives and held-out metrics.
    pub name: String,
    /// The evaluator's metric for each stage in which the objective is read: `search` and `test`.
    pub metric: BTreeMap<Stage, MetricName>,
    /// Whether larger or smaller is better.
    pub direction: Direction,
    /// Share in the fitness, relative to the other objectives' weights; above 0.
    pub weight: f64,
    /// The value is divided by this before it is weighed; above 0.
    pub scale: f64,
    /// The value may not be worse than this for a candidate to be feasible.
    pub constraint: Option<Bound>,
}

/// A linear merge of the user's own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Baseline {
    /// Unique among baselines.
    pub name: CheckpointName,
    /// One weight for each checkpoint, in the pool's order, with the sum 1 (within 1e-6).
    pub weights: Vec<f64>,
}

/// What the search does with the factor on task vectors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Lambda {
    /// Leaves it at this value.
    Fixed(f64),
    /// Searches it as a coordinate of its own.
    Searched(BoundedParameter),
}

/// A metric that is reported for finalists and never optimised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HeldOut {
    /// Unique among objectives and held-out metrics.
    pub name: String,
    /// The evaluator's metric in stage `heldout`.
    pub metric: MetricName,
    /// Whether larger or smaller is better.
    pub direction: Direction,
}

/// A bound on an objective, in the metric's own unit: a lower bound when larger is better, else an upper one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Bound {
    /// This value.
    Absolute(f64),
    /// A baseline's own search score plus `delta`.
    Relative {
        /// The baseline: `base`, `uniform`, `bestSingle` or a checkpoint's name.
        to: Reference,
        /// Added to the baseline's value.
        delta: f64,
    },
}

/// A baseline of round 0 that a bound refers to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Reference {
    /// The base checkpoint.
    Base,
    /// The uniform soup.
    Uniform,
    /// The single checkpoint with the best search fitness.
    BestSingle,
    /// A checkpoint of the pool.
    Checkpoint(CheckpointName),
}

/// How several objectives become one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fitness {
    /// Sum of `weight x sign x value / scale` over the sum of weights (the paper's macro-average).
    WeightedMean,
    /// Uncrowded hypervolume improvement over the front as it stood when the generation opened.
    Hypervolume,
    /// Augmented Tchebycheff distance to the ideal point of the single checkpoints.
    Tchebycheff,
}

/// Where the first generation is centred.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Start {
    /// The best baseline by search fitness.
    BestBaseline,
    /// The uniform soup.
    Uniform,
}

/// What may be spent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Budget {
    /// The most evaluations in stage `search`, baselines and the final mean included; duplicates are free.
    pub max_trials: usize,
    /// More failed trials than this end the search as failed. Default: the population.
    pub max_failed_trials: Option<usize>,
    /// Wall-clock seconds; the executor watches them and says when they are over.
    pub max_seconds: Option<f64>,
    /// GPU seconds of all trials together.
    pub max_gpu_seconds: Option<f64>,
    /// The most GPU seconds one trial can take (its deadline times its GPUs); 0 without GPUs.
    pub trial_gpu_seconds: f64,
}
