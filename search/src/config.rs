//! What a search is about: the pool, the objectives, how to search and how much may be spent.

use std::collections::{BTreeMap, BTreeSet};

use mergesearch_recipe::{Checkpoint, CheckpointName, Dtype, LayerRange, MergeMethod};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::cma::StopCriteria;
use crate::encoding::BoundedParameter;
use crate::results::MetricName;
use crate::trial::Stage;

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
    /// What may be spent; the only part that may change while a search runs.
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

/// Why a configuration is no search.
#[derive(Debug, thiserror::Error, PartialEq)]
#[non_exhaustive]
pub enum ConfigError {
    /// A merge needs at least two checkpoints.
    #[error("pool.checkpoints: a search needs at least 2 checkpoints, found {0}")]
    Pool(usize),
    /// A name stands for two things.
    #[error("{field}: the name {name:?} is used twice")]
    Name {
        /// Where.
        field: &'static str,
        /// The name.
        name: String,
    },
    /// Nothing to search for.
    #[error("objectives: a search needs at least 1 objective")]
    Objectives,
    /// A number is outside its range.
    #[error("{field}: expected {expected}, found {found}")]
    Number {
        /// Where.
        field: String,
        /// The range.
        expected: &'static str,
        /// The value.
        found: f64,
    },
    /// An objective has no metric for a stage.
    #[error("objective {objective:?}: no metric for stage {stage}")]
    Metric {
        /// The objective's name.
        objective: String,
        /// The stage.
        stage: Stage,
    },
    /// The method can't be searched.
    #[error("merge.method {method}: {problem}")]
    Method {
        /// The method.
        method: MergeMethod,
        /// What it needs.
        problem: &'static str,
    },
    /// The groups do not partition a model.
    #[error("merge.granularity: {0}")]
    Granularity(&'static str),
    /// A bound refers to a baseline that the search has not.
    #[error(
        "objective {objective:?}: its constraint is relative to {to}, which this search does not evaluate"
    )]
    Reference {
        /// The objective's name.
        objective: String,
        /// What it refers to.
        to: String,
    },
    /// CMA-ES refuses its settings.
    #[error("search: {0}")]
    Optimizer(String),
}

impl SearchConfig {
    /// Refuses what contradicts itself. The manifest's rules are stricter; these are what the engine relies on.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let pool = self.checkpoints.len();
        if pool < 2 {
            return Err(ConfigError::Pool(pool));
        }
        let checkpoints =
            self.checkpoints.iter().chain(&self.base).map(|checkpoint| checkpoint.name.as_str());
        unique("pool", checkpoints)?;
        let metrics = self.objectives.iter().map(|objective| &objective.name);
        unique(
            "objectives",
            metrics.chain(self.held_out.iter().map(|metric| &metric.name)).map(String::as_str),
        )?;
        if self.objectives.is_empty() {
            return Err(ConfigError::Objectives);
        }
        for objective in &self.objectives {
            self.check_objective(objective)?;
        }
        match self.method {
            MergeMethod::TaskArithmetic if self.base.is_none() => {
                return Err(ConfigError::Method { method: self.method, problem: "needs pool.base" });
            }
            MergeMethod::Slerp if pool != 2 => {
                return Err(ConfigError::Method {
                    method: self.method,
                    problem: "takes exactly 2 checkpoints",
                });
            }
            MergeMethod::TaskArithmetic if self.lambda.is_none() => {
                return Err(ConfigError::Method { method: self.method, problem: "needs a lambda" });
            }
            MergeMethod::Linear | MergeMethod::Slerp if self.lambda.is_some() => {
                return Err(ConfigError::Method { method: self.method, problem: "has no lambda" });
            }
            MergeMethod::Linear | MergeMethod::TaskArithmetic | MergeMethod::Slerp => {}
            method => {
                return Err(ConfigError::Method { method, problem: "can't be searched by this version yet" });
            }
        }
        self.check_granularity()?;
        self.check_baselines()?;
        let positive = |field: &str, value: f64| number(field, "a number above 0", value, value > 0.0);
        self.sigma.map_or(Ok(()), |sigma| positive("search.sigma", sigma))?;
        let population = self.population_size.unwrap_or(2);
        number("search.populationSize", "2 or more", population as f64, population >= 2)
    }

    fn check_objective(&self, objective: &Objective) -> Result<(), ConfigError> {
        let name = &objective.name;
        for (field, value) in [("weight", objective.weight), ("scale", objective.scale)] {
            number(&format!("objective {name:?}: {field}"), "a number above 0", value, value > 0.0)?;
        }
        for stage in [Stage::Search, Stage::Test] {
            if !objective.metric.contains_key(&stage) {
                return Err(ConfigError::Metric { objective: name.clone(), stage });
            }
        }
        let to = match &objective.constraint {
            None => return Ok(()),
            Some(Bound::Absolute(value)) => {
                return number(&format!("objective {name:?}: constraint"), "a finite number", *value, true);
            }
            Some(Bound::Relative { to, .. }) => to,
        };
        let missing = match to {
            Reference::Base if self.base.is_none() => Some("the base".to_owned()),
            Reference::Checkpoint(name) if !self.checkpoints.iter().any(|own| own.name == *name) => {
                Some(name.to_string())
            }
            _ => None,
        };
        missing.map_or(Ok(()), |to| Err(ConfigError::Reference { objective: name.clone(), to }))
    }

    fn check_baselines(&self) -> Result<(), ConfigError> {
        unique("baselines", self.baselines.iter().map(|baseline| baseline.name.as_str()))?;
        for Baseline { name, weights } in &self.baselines {
            let field = format!("baseline {name}: weights");
            let count = weights.len() as f64;
            number(&field, "one weight for each checkpoint", count, weights.len() == self.checkpoints.len())?;
            let sum: f64 = weights.iter().sum();
            number(&field, "a sum of 1", sum, (sum - 1.0).abs() <= 1e-6)?;
        }
        Ok(())
    }

    fn check_granularity(&self) -> Result<(), ConfigError> {
        let problem = match &self.granularity {
            Granularity::WholeModel => None,
            Granularity::Blocks(blocks) => {
                let adjoining = blocks.windows(2).all(|pair| pair[0].end == pair[1].start);
                let filled = blocks.iter().all(|block| block.start < block.end);
                let whole = blocks.first().is_some_and(|first| first.start == 0) && adjoining && filled;
                (!whole).then_some("expected blocks of layers that follow one another from layer 0")
            }
            Granularity::Patterns(patterns) => {
                let empty = patterns.is_empty() || patterns.iter().any(String::is_empty);
                empty.then_some("expected at least one pattern, and none empty")
            }
        };
        problem.map_or(Ok(()), |problem| Err(ConfigError::Granularity(problem)))
    }

    /// The path of the first field in which two configurations differ, budgets aside.
    pub fn difference(&self, other: &Self) -> Option<String> {
        let value = |config: &Self| {
            serde_json::to_value(Self { budget: self.budget.clone(), ..config.clone() }).unwrap_or_default()
        };
        first_difference(&value(self), &value(other))
    }
}

fn unique<'a>(field: &'static str, names: impl Iterator<Item = &'a str>) -> Result<(), ConfigError> {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(ConfigError::Name { field, name: name.to_owned() });
        }
    }
    Ok(())
}

fn number(field: &str, expected: &'static str, found: f64, fits: bool) -> Result<(), ConfigError> {
    if fits && found.is_finite() {
        return Ok(());
    }
    Err(ConfigError::Number { field: field.to_owned(), expected, found })
}

fn first_difference(left: &Value, right: &Value) -> Option<String> {
    let below = |key: String, left: &Value, right: &Value| {
        first_difference(left, right).map(|rest| if rest.is_empty() { key } else { format!("{key}.{rest}") })
    };
    match (left, right) {
        (Value::Object(left), Value::Object(right)) => {
            let keys: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
            let value = |map: &serde_json::Map<String, Value>, key: &String| {
                map.get(key).cloned().unwrap_or_default()
            };
            keys.into_iter().find_map(|key| below(key.clone(), &value(left, key), &value(right, key)))
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => left
            .iter()
            .zip(right)
            .enumerate()
            .find_map(|(index, (left, right))| below(index.to_string(), left, right)),
        _ => (left != right).then(String::new),
    }
}
