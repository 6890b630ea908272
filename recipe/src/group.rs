//! Tensor groups: which tensors of a model share one set of weights.

use serde::{Deserialize, Serialize};

/// A half-open range of transformer layers, `start..end`, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerRange {
    /// The first layer.
    pub start: u32,
    /// One past the last layer.
    pub end: u32,
}

/// Where a tensor stands in the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TensorPosition {
    /// Before the first layer: the embeddings. They belong to the first block.
    Before,
    /// In this layer, from 0.
    Layer(u32),
    /// After the last layer: the final norm and the output head. They belong to the last block.
    After,
}

/// Which tensors a group takes. Empty selects every tensor.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Selection {
    /// Only tensors of these layers (embeddings count as layer 0's block, final norm and head as the last block's).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layers: Option<LayerRange>,
    /// Only tensors whose name contains this text (mergekit's filter).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name_contains: Option<String>,
}

/// The parameters of a merge method besides its weights. Those a method does not know are refused.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// Factor on the sum of task vectors. Default 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lambda: Option<f64>,
    /// Fraction of each task vector that is kept, in (0, 1]. Default 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub density: Option<f64>,
}

/// One set of weights and the tensors it applies to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// The tensors; a tensor belongs to the first group that selects it.
    #[serde(default)]
    pub select: Selection,
    /// One weight for each checkpoint, in the recipe's order. For `slerp`: `[1 - t, t]`.
    pub weights: Vec<f64>,
    /// The method's other parameters.
    #[serde(default)]
    pub parameters: Parameters,
}
