//! The recipe itself, and the rules that make one valid.

use serde::{Deserialize, Serialize};

use crate::{Checkpoint, CheckpointName, Group, MergeMethod};

/// The element type of floating-point tensors in the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// bfloat16.
    Bfloat16,
    /// IEEE half precision.
    Float16,
    /// IEEE single precision.
    Float32,
    /// IEEE double precision.
    Float64,
}

/// Everything the merger needs to make one candidate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// How tensors are combined.
    pub method: MergeMethod,
    /// The checkpoints, in the order of every group's weights.
    pub checkpoints: Vec<Checkpoint>,
    /// The checkpoint that task vectors are taken from, for methods that need one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<Checkpoint>,
    /// At least one; a tensor belongs to the first group that selects it, and every tensor to some group.
    pub groups: Vec<Group>,
    /// Element type of the output. Default: that of the first checkpoint, tensor by tensor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dtype: Option<Dtype>,
    /// Whose config, tokenizer and other carried files the output gets. Default: the base, else the first checkpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokenizer_from: Option<CheckpointName>,
}

/// Why a recipe can't be merged.
#[derive(Debug, thiserror::Error, PartialEq)]
#[non_exhaustive]
pub enum RecipeError {
    /// No checkpoint or no group.
    #[error("recipe: expected at least one entry in {field}")]
    Empty {
        /// The empty list.
        field: &'static str,
    },
}
