//! `spec.merge`: the method, what the search may vary, and the form of the output.

use std::num::NonZeroU32;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use mergesearch_recipe::MergeMethod;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{cel, defaults};

/// How checkpoints are merged and what the search may vary.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct Merge {
    /// The merge method. This version computes `Linear` (the weighted sum of all checkpoints, weights summing to 1),
    /// `TaskArithmetic` (the base plus `lambda` times the weighted sum of differences from it) and `Slerp` (spherical
    /// interpolation of exactly two checkpoints); it refuses the others. Default: `Linear`. Immutable.
    pub method: Method,
    /// Bounds of the weights. Immutable.
    pub weights: Weights,
    /// Which tensors share one set of weights. Default: the whole model. Immutable.
    #[serde(skip_serializing_if = "Granularity::is_whole_model")]
    pub granularity: Granularity,
    /// Ranges of the method's other parameters. Default: as each parameter says. Immutable.
    pub parameters: Parameters,
    /// Element type of floating-point tensors in merged checkpoints: `Bfloat16`, `Float16`, `Float32` or `Float64`.
    /// Arithmetic is in 64 bits and rounds once, whatever this says. Default: as in the first checkpoint, tensor by
    /// tensor. Immutable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dtype: Option<Dtype>,
    /// The checkpoint (or the base) whose config, tokenizer and other files a merged checkpoint carries. Default: the
    /// base if there is one, else the first checkpoint. Immutable.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub tokenizer_from: Option<String>,
    /// How checkpoints of different vocabularies come together: rows of embeddings and output heads are matched by their
    /// tokens, as `tokenizer.json` names them; a token that a checkpoint lacks gets the base's row in it, else the mean of
    /// those that have it. Default: none, vocabularies have to be equal. Immutable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vocabulary: Option<Vocabulary>,
    /// What is matched between checkpoints before they are merged. `Experts`: each layer's experts, of mixtures whose experts
    /// were trained apart; each checkpoint's are put into the order of the base's, or where there's none of the first
    /// checkpoint's, by their weights. Costs one more pass over all experts for each merge. Default: nothing. Immutable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub align: Option<Align>,
    /// Size in bytes at which a merged checkpoint is split into another safetensors file. Default: `5G`. Immutable.
    pub max_shard_size: Quantity,
}

impl Default for Merge {
    fn default() -> Self {
        Self {
            method: Method::default(),
            weights: Weights::default(),
            granularity: Granularity::default(),
            parameters: Parameters::default(),
            dtype: None,
            tokenizer_from: None,
            vocabulary: None,
            align: None,
            max_shard_size: defaults::max_shard_size(),
        }
    }
}

/// Bounds of the weights.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct Weights {
    /// Whether every weight must be at least 0. The best merges often subtract a checkpoint, so this costs quality; it
    /// buys weights that are easy to explain. Default: `false`. Immutable.
    pub non_negative: bool,
}

/// Which tensors share one set of weights: the whole model, unless one of the two is given. More groups mean more
/// dimensions, and a search that needs more trials: about 10 for each dimension.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[schemars(extend("x-kubernetes-validations" = cel::granularity()))]
#[serde(rename_all = "camelCase", default)]
pub struct Granularity {
    /// Splits the layers into this many blocks, whose sizes differ by one at most, each with weights of its own. Embeddings belong to the first block, the final norm and the output head to the last. Not with
    /// `patterns`. Immutable. Example: `4`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 2, max = 128))]
    pub blocks: Option<i32>,
    /// One group for the tensors whose name contains each text, in this order, and one for the rest. Not with `blocks`.
    /// Immutable. Example: `[self_attn, mlp]`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 128)))]
    pub patterns: Vec<String>,
}

impl Granularity {
    /// Whether all tensors share one set of weights.
    pub fn is_whole_model(&self) -> bool {
        self.blocks.is_none() && self.patterns.is_empty()
    }

    /// The number of groups of tensors, at least 1.
    pub fn groups(&self) -> usize {
        match self.blocks {
            Some(blocks) => usize::try_from(blocks).unwrap_or(1).max(1),
            None if self.patterns.is_empty() => 1,
            None => self.patterns.len() + 1,
        }
    }
}

/// Ranges of the parameters that a method has besides its weights.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct Parameters {
    /// Factor on the sum of task vectors, for task-vector methods. Default: searched in 0 to 2 from 1. Immutable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lambda: Option<ParameterRange>,
}

/// The range of one parameter, or its one value.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq)]
#[schemars(extend("x-kubernetes-validations" = cel::parameter_range()))]
#[serde(rename_all = "camelCase")]
pub struct ParameterRange {
    /// Fixes the parameter: it is not searched. Not with the other fields. Immutable. Example: `1.0`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// The smallest value searched. Default: 0 for lambda. Immutable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// The largest value searched. Default: 2 for lambda. Immutable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// Where the search starts. Default: 1 for lambda. Immutable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<f64>,
}

impl ParameterRange {
    /// The smallest and largest value and the start, with the parameter's own where the range is silent. A fixed value is
    /// all three.
    pub fn bounds(&self, min: f64, max: f64, start: f64) -> (f64, f64, f64) {
        let or = |own: Option<f64>, default: f64| self.value.or(own).unwrap_or(default);
        (or(self.min, min), or(self.max, max), or(self.start, start))
    }
}

/// What is matched between checkpoints.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[schemars(description = "")]
pub enum Align {
    /// The experts of each layer.
    Experts,
}

/// Which tokens a merge has.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[schemars(description = "")]
pub struct Vocabulary {
    /// `Donor`: those of the checkpoint that the tokenizer comes from (`tokenizerFrom`); `Union`: those, then what other
    /// checkpoints have beside them. Immutable.
    pub tokens: Tokens,
    /// Rows of zeros are added up to a multiple of this many. Default: none. Immutable. Example: `64`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pad_to_multiple_of: Option<NonZeroU32>,
}

/// See [`Vocabulary::tokens`].
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[schemars(description = "")]
pub enum Tokens {
    /// The donor's.
    Donor,
    /// Everybody's.
    Union,
}

impl From<Vocabulary> for mergesearch_recipe::Vocabulary {
    fn from(vocabulary: Vocabulary) -> Self {
        let tokens = match vocabulary.tokens {
            Tokens::Donor => mergesearch_recipe::Tokens::Donor,
            Tokens::Union => mergesearch_recipe::Tokens::Union,
        };
        Self { tokens, pad_to_multiple_of: vocabulary.pad_to_multiple_of }
    }
}

/// Element type of floating-point tensors.
// The schema has the description of the field: kube would put this one in its place.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[schemars(description = "")]
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

impl From<Dtype> for mergesearch_recipe::Dtype {
    fn from(dtype: Dtype) -> Self {
        match dtype {
            Dtype::Bfloat16 => Self::Bfloat16,
            Dtype::Float16 => Self::Float16,
            Dtype::Float32 => Self::Float32,
            Dtype::Float64 => Self::Float64,
        }
    }
}

/// Declares [`Method`] and its conversion together, so that neither can miss a method.
macro_rules! methods {
    ($($name:ident),+ $(,)?) => {
        /// A merge method of the field; [`MergeMethod`] says what each one does.
        #[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[expect(missing_docs, reason = "documented at the methods of the same names in `MergeMethod`")]
        pub enum Method {
            #[default]
            $($name),+
        }

        impl From<Method> for MergeMethod {
            fn from(method: Method) -> Self {
                match method {
                    $(Method::$name => Self::$name),+
                }
            }
        }

        impl Method {
            /// Every method, in the order of the schema.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// Those that a search can use.
            pub fn searchable() -> impl Iterator<Item = Self> {
                Self::ALL.iter().copied().filter(|&method| MergeMethod::from(method).is_searchable())
            }
        }
    };
}

methods!(
    Linear,
    Slerp,
    TaskArithmetic,
    Nuslerp,
    Multislerp,
    Karcher,
    Ties,
    DareLinear,
    DareTies,
    Della,
    DellaLinear,
    Breadcrumbs,
    BreadcrumbsTies,
    ModelStock,
    Nearswap,
    Sce,
    ArceeFusion,
    Ram,
    Consensus,
    Passthrough,
);
