//! `spec.objectives` and `spec.heldOut`: what is improved, and what is only watched.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::json;

use crate::schema::EITHER;
use crate::{cel, defaults};

/// What a name has to be, for a message.
const NAME: &str = "a name of letters, digits, '-', '_' and '.' that begins and ends with a letter or digit";

/// A metric that the search improves.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[schemars(extend("x-kubernetes-validations" = cel::objective()))]
#[serde(rename_all = "camelCase")]
pub struct Objective {
    /// The name in tables and reports. Unique among objectives and held-out metrics. Example: `math`.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$"))]
    #[schemars(extend("x-mergesearch-expected" = NAME))]
    pub name: String,
    /// The metric in the evaluator's results: `TASK/METRIC,FILTER` as lm-evaluation-harness names it, where the filter
    /// may be left out when there is only one, or a key of a flat results file. A map names another metric for a stage:
    /// `{search: gsm8k_dev/exact_match, test: gsm8k/exact_match}`; stages left out use that of `search`. Example:
    /// `gsm8k/exact_match,strict-match`.
    pub metric: Metric,
    /// Whether larger or smaller values are better: `Maximize` or `Minimize`. Default: `Maximize`.
    #[serde(default)]
    pub direction: Direction,
    /// The share in the fitness; only ratios between objectives matter. Above 0. Default: 1.
    #[serde(default = "defaults::one")]
    pub weight: f64,
    /// What the value is divided by before weights apply, in the metric's unit: for metrics of different size, such as
    /// an accuracy beside a perplexity. Above 0. Default: 1.
    #[serde(default = "defaults::one")]
    pub scale: f64,
    /// A limit. Trials inside all limits rank before those outside. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub constraint: Option<Constraint>,
}

/// A metric that is measured on the finalists and never steers the search.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct HeldOut {
    /// The name in tables and reports. Unique among objectives and held-out metrics. Example: `safety`.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$"))]
    #[schemars(extend("x-mergesearch-expected" = NAME))]
    pub name: String,
    /// The metric in the evaluator's results of the `heldout` stage, named as in `objectives`. Not the metric of an
    /// objective. Example: `truthfulqa_mc2/acc`.
    #[schemars(length(min = 1, max = 256))]
    pub metric: String,
    /// Whether larger or smaller values are better: `Maximize` or `Minimize`. Default: `Maximize`.
    #[serde(default)]
    pub direction: Direction,
}

/// Which way a metric improves.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// Larger is better.
    #[default]
    Maximize,
    /// Smaller is better.
    Minimize,
}

/// The limit of an objective's value, in the metric's own unit: `min` when larger is better, `max` when smaller is.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Constraint {
    /// The smallest allowed value, for `Maximize`: a number, or `{relativeTo, delta}`, where `relativeTo` is `base`,
    /// `uniform`, `bestSingle` or the name of a checkpoint, and `delta` (default 0) is added to its value. Example:
    /// `{relativeTo: base, delta: -0.005}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<Bound>,
    /// The largest allowed value, for `Minimize`: a number, or `{relativeTo, delta}` as in `min`. Example: `7.5`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<Bound>,
}

impl Constraint {
    /// The one side that is given.
    pub fn bound(&self) -> Option<&Bound> {
        self.min.as_ref().or(self.max.as_ref())
    }
}

/// The name of a metric: one for all stages, or one for each.
#[derive(Serialize, Clone, Debug, PartialEq, Eq)]
#[serde(untagged)]
pub enum Metric {
    /// The same in every stage.
    Every(String),
    /// By stage.
    ByStage(StageMetrics),
}

impl Metric {
    /// The metric that steers the search.
    pub fn search(&self) -> &str {
        match self {
            Self::Every(name) => name,
            Self::ByStage(stages) => &stages.search,
        }
    }

    /// The metric of the final score.
    pub fn test(&self) -> &str {
        match self {
            Self::Every(name) => name,
            Self::ByStage(stages) => stages.test.as_ref().unwrap_or(&stages.search),
        }
    }
}

/// The name of a metric in each stage.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct StageMetrics {
    /// In the `search` stage.
    pub search: String,
    /// In the `test` stage. Default: that of `search`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test: Option<String>,
}

/// A limit: a number, or a difference from a baseline's value.
#[derive(Serialize, Clone, Debug, PartialEq)]
#[serde(untagged)]
pub enum Bound {
    /// In the metric's unit.
    Value(f64),
    /// Relative to a baseline.
    Relative(RelativeBound),
}

/// A limit given as a difference from the value of a baseline in the same stage.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RelativeBound {
    /// `base`, `uniform`, `bestSingle`, or the name of a checkpoint.
    pub relative_to: String,
    /// What is added to the baseline's value, in the metric's unit. Default: 0.
    #[serde(default)]
    pub delta: f64,
}

// The two unions are read by hand: serde's untagged enums buffer the value, which loses the path of a wrong field and
// hides unknown ones.

impl<'de> Deserialize<'de> for Metric {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MetricVisitor;
        impl<'de> Visitor<'de> for MetricVisitor {
            type Value = Metric;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("the name of a metric, or a map with `search` and `test`")
            }
            fn visit_str<E: Error>(self, name: &str) -> Result<Metric, E> {
                Ok(Metric::Every(name.to_owned()))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Metric, A::Error> {
                StageMetrics::deserialize(MapAccessDeserializer::new(map)).map(Metric::ByStage)
            }
        }
        deserializer.deserialize_any(MetricVisitor)
    }
}

impl<'de> Deserialize<'de> for Bound {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct BoundVisitor;
        impl<'de> Visitor<'de> for BoundVisitor {
            type Value = Bound;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a number, or a map with `relativeTo` and `delta`")
            }
            fn visit_f64<E: Error>(self, value: f64) -> Result<Bound, E> {
                Ok(Bound::Value(value))
            }
            fn visit_i64<E: Error>(self, value: i64) -> Result<Bound, E> {
                Ok(Bound::Value(value as f64))
            }
            fn visit_u64<E: Error>(self, value: u64) -> Result<Bound, E> {
                Ok(Bound::Value(value as f64))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Bound, A::Error> {
                RelativeBound::deserialize(MapAccessDeserializer::new(map)).map(Bound::Relative)
            }
        }
        deserializer.deserialize_any(BoundVisitor)
    }
}

/// The schema of a field that takes two types. A structural schema can't say which, so the CRD accepts anything here and
/// the key [`EITHER`], which the CRD does not get, says the rest to our own check.
fn either(simple: &serde_json::Value, object: &serde_json::Value) -> Schema {
    json_schema!({ "x-kubernetes-preserve-unknown-fields": true, EITHER: [simple, object] })
}

impl JsonSchema for Metric {
    fn schema_name() -> Cow<'static, str> {
        "Metric".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let name = json!({ "type": "string", "minLength": 1, "maxLength": 256 });
        let by_stage = json!({
            "type": "object",
            "required": ["search"],
            "properties": { "search": name, "test": name },
        });
        either(&name, &by_stage)
    }
}

impl JsonSchema for Bound {
    fn schema_name() -> Cow<'static, str> {
        "Bound".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let relative = json!({
            "type": "object",
            "required": ["relativeTo"],
            "properties": {
                "relativeTo": { "type": "string", "minLength": 1, "maxLength": 63 },
                "delta": { "type": "number" },
            },
        });
        either(&json!({ "type": "number" }), &relative)
    }
}
