//! `spec.execution`: how trials are run.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{EnvVar, PersistentVolumeClaimTemplate, ResourceRequirements, Toleration};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{cel, defaults};

/// How trials are run.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[schemars(extend("x-kubernetes-validations" = cel::execution()))]
#[serde(rename_all = "camelCase", default)]
pub struct Execution {
    /// `PerTrial`: one pod merges and evaluates; for merges that are short beside the evaluation. `MergeThenEvaluate`: pods
    /// without GPUs write each candidate to `handoff`, evaluation pods only read it. `PerGeneration`: the same for all
    /// candidates of a generation at once, from one read of the pool; needs room for so many in `handoff`. Local runs
    /// ignore it. Default: `PerTrial`. Mutable.
    pub strategy: Strategy,
    /// Trials that run at the same time, at most. Results do not depend on it while `search.barrier` is on; more than the
    /// population size is of no use then. Default: 1. Mutable.
    #[schemars(range(min = 1, max = 10_000))]
    pub parallel_trials: i32,
    /// The container that merges. Mutable.
    pub merger: Merger,
    /// The volume that a candidate is written to. Local runs use the folder of the run's state. Mutable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scratch: Option<Scratch>,
    /// Where `MergeThenEvaluate` and `PerGeneration` put candidates. Each goes when its trial's report is in storage, the
    /// rest at the end of the search. Mutable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handoff: Option<Handoff>,
    /// A folder near the pods that keeps sources between trials, by `ETag`. Default: none. Mutable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool_cache: Option<PoolCache>,
    /// The Kueue `LocalQueue` that every Job is sent to. Default: none. Mutable. Example: `team-a`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub queue_name: Option<String>,
    /// Seconds after which a pod that hangs in termination on a lost node is deleted by force. Default: 900. Mutable.
    #[schemars(range(min = 60, max = 86_400))]
    pub node_lost_seconds: i64,
}

impl Default for Execution {
    fn default() -> Self {
        Self {
            strategy: Strategy::default(),
            parallel_trials: defaults::PARALLEL_TRIALS,
            merger: Merger::default(),
            scratch: None,
            handoff: None,
            pool_cache: None,
            queue_name: None,
            node_lost_seconds: defaults::NODE_LOST_SECONDS,
        }
    }
}

/// How merging and evaluating are divided into pods.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// One pod merges and evaluates.
    #[default]
    PerTrial,
    /// Some pods merge, others evaluate.
    MergeThenEvaluate,
    /// Some pods merge a whole generation from one read of the pool, others evaluate.
    PerGeneration,
}

impl Strategy {
    /// Whether candidates are handed from the pods that merge to those that evaluate.
    pub const fn hands_off(self) -> bool {
        matches!(self, Self::MergeThenEvaluate | Self::PerGeneration)
    }
}

/// The container that merges.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct Merger {
    /// The image. Default: that of the operator's version. Mutable. Example: `ghcr.io/mergesearch/merger:0.1.0`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub image: Option<String>,
    /// When the image is pulled: `Always`, `IfNotPresent` or `Never`. Default: that of Kubernetes for the image's tag.
    /// Mutable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<ImagePullPolicy>,
    /// More environment variables, for instance `HTTPS_PROXY`. Default: none. Mutable.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub env: Vec<EnvVar>,
    /// CPU and memory. The memory limit is the merger's budget, also for local runs: it streams, so it needs far less
    /// than a checkpoint. Default: 2 CPUs and `4Gi` requested. Mutable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,
    /// Pods that share a merge, each writing some of a candidate's files (`MergeThenEvaluate`, `PerGeneration`). Default: 1.
    /// Mutable.
    #[schemars(range(min = 1, max = 1_000))]
    pub parallelism: i32,
    /// Nodes for pods that only merge (`MergeThenEvaluate`, `PerGeneration`, publishing). Default: any. Mutable.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub node_selector: BTreeMap<String, String>,
    /// Tolerations of pods that only merge. Default: none. Mutable.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub tolerations: Vec<Toleration>,
}

impl Default for Merger {
    fn default() -> Self {
        Self {
            image: None,
            image_pull_policy: None,
            env: Vec::new(),
            resources: None,
            parallelism: defaults::MERGE_PARALLELISM,
            node_selector: BTreeMap::new(),
            tolerations: Vec::new(),
        }
    }
}

/// When an image is pulled.
// The schema has the description of the field: kube would put this one in its place.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[schemars(description = "")]
pub enum ImagePullPolicy {
    /// Before every start.
    Always,
    /// When the node has none.
    IfNotPresent,
    /// Never: the node must have it.
    Never,
}

/// The volume that a candidate is written to.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[schemars(extend("x-kubernetes-validations" = cel::scratch()))]
#[serde(rename_all = "camelCase", default)]
pub struct Scratch {
    /// `Memory` for a volume in memory, which counts against the pod's memory; else the node's disk. Not with
    /// `volumeClaimTemplate`. Mutable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub medium: Option<ScratchMedium>,
    /// Size of the volume in bytes. Default: the size of a candidate and a tenth more. Mutable. Example: `20Gi`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_limit: Option<Quantity>,
    /// A claim made for every trial and deleted with it, for candidates larger than a node's disk. Mutable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_claim_template: Option<PersistentVolumeClaimTemplate>,
}

/// What a scratch volume is made of.
// The schema has the description of the field: kube would put this one in its place.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[schemars(description = "")]
pub enum ScratchMedium {
    /// The node's disk.
    Disk,
    /// The node's memory.
    Memory,
}

/// Where candidates are handed from the pods that merge to those that evaluate: exactly one of `uri` and `claimName`.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[schemars(extend("x-kubernetes-validations" = cel::handoff()))]
#[serde(rename_all = "camelCase", default)]
pub struct Handoff {
    /// A prefix in object storage. Mutable. Example: `s3://scratch/candidates`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub uri: Option<String>,
    /// A claim that all pods can mount (`ReadWriteMany`). Mutable. Example: `candidates`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub claim_name: Option<String>,
}

impl Handoff {
    /// Its URI: that of object storage, or `pvc://CLAIM`. `None` when it has neither, which the rules exclude.
    pub fn location(&self) -> Option<String> {
        self.uri.clone().or_else(|| Some(format!("pvc://{}", self.claim_name.as_ref()?)))
    }
}

/// A cache of sources near the pods: exactly one of `hostPath` and `claimName`.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[schemars(extend("x-kubernetes-validations" = cel::pool_cache()))]
#[serde(rename_all = "camelCase", default)]
pub struct PoolCache {
    /// A folder of the node; its namespace must allow `hostPath` volumes. Mutable. Example: `/var/cache/mergesearch`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub host_path: Option<String>,
    /// A claim that all pods can mount. Mutable. Example: `pool-cache`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub claim_name: Option<String>,
    /// Bytes kept at most; the oldest sources go first. Default: no limit. Mutable. Example: `500Gi`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_limit: Option<Quantity>,
}
