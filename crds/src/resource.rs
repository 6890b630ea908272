//! The `MergeSearch` resource: what a user writes, as one type.

use std::path::Path;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Baseline, Budget, Evaluation, Execution, HeldOut, Location, Merge, MergeSearchStatus, Objective, Pool,
    Publish, SearchSpec, Storage, cel,
};

/// A search over the merges of a pool of checkpoints.
///
/// Immutable once created: `pool`, `merge`, `objectives`, `heldOut`, `search` but `search.contribution`, `baselines`,
/// `storage.output` and what the evaluator runs (its image, command, args and env). Everything else may change while the
/// search runs.
#[derive(CustomResource, JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "mergesearch.dev",
    version = "v1alpha1",
    kind = "MergeSearch",
    plural = "mergesearches",
    singular = "mergesearch",
    shortname = "mgs",
    category = "all",
    namespaced,
    status = "MergeSearchStatus",
    derive = "PartialEq",
    doc = "A search over the merges of a pool of checkpoints of one architecture, for those that are Pareto-optimal on the user's own evaluations.",
    printcolumn = r#"{"name": "Generation", "type": "integer", "jsonPath": ".status.generation", "description": "Generations of CMA-ES that are complete."}"#,
    printcolumn = r#"{"name": "Trials", "type": "integer", "jsonPath": ".status.trials.succeeded", "description": "Trials that succeeded."}"#,
    printcolumn = r#"{"name": "Best", "type": "number", "jsonPath": ".status.best.fitness", "description": "Search fitness of the best trial; larger is better."}"#,
    printcolumn = r#"{"name": "Front", "type": "integer", "jsonPath": ".status.frontSize", "description": "Non-dominated trials found so far."}"#,
    printcolumn = r#"{"name": "State", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Progressing\")].reason", "description": "What the search is doing or waiting for."}"#,
    printcolumn = r#"{"name": "Completed", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Completed\")].status", "description": "Whether the search has ended with a result."}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#
)]
#[schemars(extend("x-kubernetes-validations" = cel::merge_search_spec()))]
#[serde(rename_all = "camelCase")]
pub struct MergeSearchSpec {
    /// The checkpoints to merge. Immutable.
    pub pool: Pool,
    /// How checkpoints are merged and what the search may vary. Default: linear merges of whole models. Immutable.
    #[serde(default)]
    pub merge: Merge,
    /// What the search improves: at least one metric of the evaluator. Immutable.
    #[schemars(length(min = 1, max = 16))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub objectives: Vec<Objective>,
    /// Metrics that never steer the search and are measured once, at the end, on the finalists: what the search must not
    /// have spoiled. Default: none. Immutable.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub held_out: Vec<HeldOut>,
    /// The search algorithm, and what is measured at its end. Every field has a default.
    #[serde(default)]
    pub search: SearchSpec,
    /// What the search may spend. May be raised at any time: a completed search then goes on.
    pub budget: Budget,
    /// The evaluator: a container that finds a merged checkpoint in `$MERGESEARCH_MODEL_DIR` and the stage (`search`,
    /// `test` or `heldout`) in `$MERGESEARCH_STAGE`, and writes its results under `$MERGESEARCH_RESULTS_DIR`: the JSON of
    /// lm-evaluation-harness, or a flat JSON of metric to number or `{value, stderr}`.
    pub evaluation: Evaluation,
    /// How trials are run. Every field has a default.
    #[serde(default)]
    pub execution: Execution,
    /// Where results go and how object storage is reached.
    pub storage: Storage,
    /// Which merges are published when the search ends.
    #[serde(default)]
    pub publish: Publish,
    /// Merges of your own that are evaluated beside the built-in baselines and may be the start of the search, for
    /// instance the weights in use today. Default: none. Immutable.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub baselines: Vec<Baseline>,
    /// Stops every running trial and starts none until it is `false` again. Stopped trials are run again later; nothing
    /// that has finished is lost. Default: `false`.
    #[serde(default)]
    pub suspend: bool,
}

impl MergeSearchSpec {
    /// Makes every relative `file://` location absolute: relative ones are meant from `folder`, the one that holds the
    /// manifest. Other locations, and texts that are none, stay as they are.
    pub fn resolve_files(&mut self, folder: &Path) {
        let sources =
            self.pool.checkpoints.iter_mut().chain(&mut self.pool.base).map(|source| &mut source.uri);
        for uri in sources.chain([&mut self.storage.output]).chain(&mut self.publish.uri) {
            if let Ok(location @ Location::File(_)) = Location::parse(uri) {
                *uri = location.resolve(folder).to_string();
            }
        }
    }
}
