//! `status`: a bounded summary of a search. The whole history is in its journal.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What has been observed of a search.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct MergeSearchStatus {
    /// The `metadata.generation` that this status describes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Accepted`, `PoolVerified`, `Progressing`, `Suspended`, `Completed` and `Failed`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// Generations of CMA-ES that are complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<i32>,
    /// The step size of CMA-ES now, in the coordinates of `search.sigma`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sigma: Option<f64>,
    /// Counts of trials.
    #[serde(default)]
    pub trials: TrialCounts,
    /// GPU hours used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpu_hours: Option<f64>,
    /// When the first trial was started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// Seconds that count for `budget.maxDuration` up to `activeSince`: suspended time does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_seconds: Option<f64>,
    /// Since when the search runs without a pause.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_since: Option<Time>,
    /// When the search ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,
    /// When the search will end at the present rate. Changes when a generation ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimated_completion_time: Option<Time>,
    /// The trial of the best search fitness.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub best: Option<BestTrial>,
    /// What the best merge is worth, in one sentence: by how much it beats the best baseline on items that chose neither, with one
    /// standard error, and what makes that doubtful.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub judgement: Option<String>,
    /// At most 64 non-dominated trials, spread over the front when it has more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["trial"]))]
    pub front: Vec<FrontTrial>,
    /// How many trials are non-dominated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub front_size: Option<i32>,
    /// The hypervolume of the front, in the normalised units of the search.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hypervolume: Option<f64>,
    /// The scores of the baselines.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 320))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub baselines: Vec<BaselineScore>,
    /// The merges that were published.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["trial"]))]
    pub published: Vec<PublishedTrial>,
    /// The names of the journal's chunks, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1024), inner(length(max = 253)))]
    pub journal: Vec<String>,
}

/// Counts of trials by state.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct TrialCounts {
    /// Trials that the budget allows and that have not started.
    pub planned: i32,
    /// Trials that are running or queued.
    pub running: i32,
    /// Trials with a result.
    pub succeeded: i32,
    /// Trials that failed.
    pub failed: i32,
}

/// The trial of the best search fitness.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct BestTrial {
    /// Its identity.
    #[schemars(length(max = 253))]
    pub trial: String,
    /// Its search fitness; larger is better.
    pub fitness: f64,
    /// Its value of every objective.
    #[schemars(length(max = 16))]
    pub scores: Vec<ObjectiveScore>,
    /// Its value of every held-out metric, once measured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub held_out: Vec<HeldOutScore>,
    /// The weights of the checkpoints, the largest 256 by size when there are more.
    #[schemars(length(max = 256))]
    pub weights: Vec<CheckpointWeight>,
}

/// A trial of the front.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct FrontTrial {
    /// Its identity.
    #[schemars(length(max = 253))]
    pub trial: String,
    /// Its value of every objective.
    #[schemars(length(max = 16))]
    pub scores: Vec<ObjectiveScore>,
}

/// The score of a baseline.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct BaselineScore {
    /// Its trial: `single-NAME`, `base`, `uniform`, `soup-2`, `greedy-03`, or `baseline-NAME` of `spec.baselines`.
    #[schemars(length(max = 253))]
    pub name: String,
    /// Its search fitness; none when it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fitness: Option<f64>,
    /// Its value of every objective.
    #[schemars(length(max = 16))]
    pub scores: Vec<ObjectiveScore>,
    /// Its value of every held-out metric, once measured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub held_out: Vec<HeldOutScore>,
}

/// The values of one objective.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ObjectiveScore {
    /// The objective.
    #[schemars(length(max = 63))]
    pub name: String,
    /// In the `search` stage: what it was chosen by, and therefore too good.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub search: Option<Measurement>,
    /// In the `test` stage: what to report.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test: Option<Measurement>,
}

/// The value of one held-out metric.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct HeldOutScore {
    /// The held-out metric.
    #[schemars(length(max = 63))]
    pub name: String,
    /// The value, in the metric's unit.
    pub value: f64,
    /// Its standard error, when the evaluator gives one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stderr: Option<f64>,
}

/// A value and its standard error.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Measurement {
    /// In the metric's unit.
    pub value: f64,
    /// Its standard error, when the evaluator gives one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stderr: Option<f64>,
}

/// The weight of one checkpoint.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct CheckpointWeight {
    /// The checkpoint.
    #[schemars(length(max = 63))]
    pub checkpoint: String,
    /// The group of tensors, from 0, when there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<i32>,
    /// The weight.
    pub weight: f64,
}

/// A merge that was published.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct PublishedTrial {
    /// The trial.
    #[schemars(length(max = 253))]
    pub trial: String,
    /// The folder of the checkpoint.
    #[schemars(length(max = 2048))]
    pub uri: String,
}
