//! What a configuration must hold for the engine, and where two of them differ.

use std::collections::BTreeSet;

use mergesearch_recipe::MergeMethod;
use serde_json::Value;

use super::{Baseline, Bound, Granularity, Objective, Reference, SearchConfig};
use crate::trial::Stage;

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

    /// The path of the first field in which two configurations differ, aside from those that may change.
    pub fn difference(&self, other: &Self) -> Option<String> {
        let value = |config: &Self| {
            let unchanged = Self {
                budget: self.budget.clone(),
                contribution: self.contribution.clone(),
                ..config.clone()
            };
            serde_json::to_value(unchanged).unwrap_or_default()
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
