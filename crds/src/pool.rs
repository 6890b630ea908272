//! `spec.pool` and `spec.baselines`: the checkpoints, and merges of them that are known beforehand.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a name has to be, for a message.
const LABEL: &str =
    "a name of lower-case letters, digits and '-' that begins and ends with a letter or digit";

/// The checkpoints to merge.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Pool {
    /// 2 to 256 checkpoints of one architecture: the same tensor names and shapes. One that is a LoRA adapter
    /// as PEFT writes it stands for `base` with the adapter applied. Immutable.
    #[schemars(length(min = 2, max = 256))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub checkpoints: Vec<CheckpointSource>,
    /// The common ancestor. Task-vector methods (`TaskArithmetic`, `Ties`, ...) need one; for every method it is
    /// evaluated as a baseline and constraints may refer to it. Not one of `checkpoints`. Immutable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<CheckpointSource>,
}

/// A checkpoint: a name and the folder that holds its config, tokenizer and safetensors files.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct CheckpointSource {
    /// The name in recipes and reports: 1 to 63 of `a-z`, `0-9` and `-`, beginning and ending with a letter or digit.
    /// Unique. Example: `sft-code`.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    #[schemars(extend("x-mergesearch-expected" = LABEL))]
    pub name: String,
    /// The folder: `s3://bucket/prefix`; `pvc://claim/path` for a volume claim in the namespace of the search; for local
    /// runs also `file:///absolute/folder` or `file://./folder`, relative to the manifest. Example:
    /// `s3://models/llama-3-8b/sft-code`.
    #[schemars(length(min = 1, max = 1024))]
    pub uri: String,
}

/// A merge that is evaluated beside the built-in baselines (every single checkpoint, the base, the uniform soup, soups
/// of the best 2, 4 and 8, the greedy soup).
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Baseline {
    /// The name in reports. Unique, and not that of a checkpoint. Example: `production`.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    #[schemars(extend("x-mergesearch-expected" = LABEL))]
    pub name: String,
    /// Weight of each checkpoint by name; those left out have weight 0. The weights sum to 1 (within 0.000001). Example:
    /// `{sft-code: 0.7, sft-math: 0.3}`.
    #[schemars(extend("maxProperties" = 256))]
    pub weights: BTreeMap<String, f64>,
}
