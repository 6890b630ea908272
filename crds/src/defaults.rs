//! The default of every field that has a fixed one, in one place. Defaults that depend on other fields (`sigma`,
//! `populationSize`, `maxFailedTrials`) are the search engine's.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

/// `objectives[].weight` and `objectives[].scale`.
pub(crate) const fn one() -> f64 {
    1.0
}

/// Switches that are on unless turned off.
pub(crate) const fn on() -> bool {
    true
}

/// `merge.maxShardSize`, in bytes: what the Hugging Face libraries use.
pub(crate) fn max_shard_size() -> Quantity {
    Quantity("5G".to_owned())
}

/// `merge.parameters.lambda`: smallest, largest and first value searched.
pub(crate) const LAMBDA: (f64, f64, f64) = (0.0, 2.0, 1.0);

/// `search.finalists`, in trials.
pub(crate) const FINALISTS: i32 = 8;
/// `search.greedy.maxSteps`, in trials.
pub(crate) const GREEDY_STEPS: i32 = 15;
/// `search.stop.tolX`, as a fraction of the initial sigma.
pub(crate) const TOL_X: f64 = 0.02;
/// `search.stop.tolConditionCov`, the largest condition number of the covariance.
pub(crate) const TOL_CONDITION_COV: f64 = 1e14;

/// `evaluation.backoffLimit`, in retries.
pub(crate) const fn backoff_limit() -> i32 {
    1
}

/// `execution.parallelTrials`.
pub(crate) const PARALLEL_TRIALS: i32 = 1;
/// `execution.merger.parallelism`, in pods.
pub(crate) const MERGE_PARALLELISM: i32 = 1;
/// `execution.nodeLostSeconds`.
pub(crate) const NODE_LOST_SECONDS: i64 = 900;
/// `publish.top`, in checkpoints.
pub(crate) const PUBLISH_TOP: i32 = 1;

/// `storage.caBundle.key`.
pub(crate) fn ca_bundle_key() -> String {
    "ca.crt".to_owned()
}
