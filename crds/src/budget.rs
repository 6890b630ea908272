//! `spec.budget`: what a search may spend.

use kube::core::Duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a search may spend. All limits may change while it runs.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Budget {
    /// Evaluations in the `search` stage, baselines included; the last one is kept for the final mean. The final scores
    /// (`test` and `heldout`) come on top. At least the baselines and five generations; about 10 for each dimension is a
    /// good size. Mutable. Example: `192`.
    #[schemars(range(min = 1, max = 100_000))]
    pub max_trials: i32,
    /// Failed trials after which the search fails. A trial fails when its evaluator exits with an error, exceeds its
    /// deadline or writes no usable metric; faults of the infrastructure do not count. Default: the population size.
    /// Mutable.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100_000))]
    pub max_failed_trials: Option<i32>,
    /// Time from the first trial after which no other is started, in hours, minutes and seconds; time suspended does not
    /// count. The final scores are kept inside it. Default: no limit. Mutable. Example: `36h`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 32), regex(pattern = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"))]
    #[schemars(extend("x-mergesearch-expected" = "a duration in h, m, s and ms, such as 36h or 1h30m"))]
    pub max_duration: Option<Duration>,
    /// GPU hours of all trials together: a trial starts only if it fits at its full deadline, so
    /// `evaluation.activeDeadlineSeconds` is then required. Default: no limit. Mutable. Example: `400`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0))]
    pub max_gpu_hours: Option<f64>,
}
