//! Tensor groups: which tensors of a model share one set of weights.

use serde::{Deserialize, Serialize};

use crate::{Parameters, TensorPosition};

/// More layers than any model has; some things are made for each one.
pub(crate) const MOST_LAYERS: u32 = 10_000;

/// A half-open range of transformer layers, `start..end`, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerRange {
    /// The first layer.
    pub start: u32,
    /// One past the last layer.
    pub end: u32,
}

impl LayerRange {
    /// Whether the layer lies in the range.
    pub const fn contains(self, layer: u32) -> bool {
        self.start <= layer && layer < self.end
    }
}

/// Which tensors a group takes. Empty selects every tensor.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Selection {
    /// Only tensors of these layers (embeddings count as layer 0's block, final norm and head as the last block's).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layers: Option<LayerRange>,
    /// Only tensors inside layers; embeddings, final norm and head are left to a later group. mergekit's gradients give
    /// all of these the gradient's first value.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub within_layers: bool,
    /// Only tensors whose name contains this text (mergekit's filter).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name_contains: Option<String>,
}

impl Selection {
    /// Whether every tensor of any model is selected.
    pub const fn is_everything(&self) -> bool {
        self.layers.is_none() && !self.within_layers && self.name_contains.is_none()
    }

    /// Whether the tensor is selected in a model whose last layer is `last_layer`.
    pub(crate) fn selects(&self, tensor: &str, position: TensorPosition, last_layer: u32) -> bool {
        self.selects_at(position, last_layer)
            && self.name_contains.as_deref().is_none_or(|text| tensor.contains(text))
    }

    /// Whether tensors at the position are selected, those whose names fit.
    pub(crate) fn selects_at(&self, position: TensorPosition, last_layer: u32) -> bool {
        let (layer, inside) = match position {
            TensorPosition::Before => (0, false),
            TensorPosition::Layer(layer) => (layer, true),
            TensorPosition::After => (last_layer, false),
        };
        self.layers.is_none_or(|layers| layers.contains(layer)) && (inside || !self.within_layers)
    }
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
