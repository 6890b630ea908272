//! The shape of a mergekit YAML, key by key, before anything is made of it.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use serde::{Deserialize, Deserializer, Serialize};
use serde_saphyr::{FlowSeq, NonFiniteFloatPolicy};

use super::MergekitError;
use super::setting::Setting;

/// Parameters by name, each one perhaps filtered by tensor names or spread over layers.
pub(super) type Settings = BTreeMap<String, Setting>;

/// The whole file.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Document {
    pub(super) merge_method: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) base_model: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) models: Option<Vec<Source>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) slices: Option<Vec<Slice>>,
    #[serde(default, skip_serializing)]
    pub(super) modules: Option<Present>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) parameters: Option<Settings>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) dtype: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) out_dtype: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) tokenizer_source: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) tokenizer: Option<Tokenizer>,
    #[serde(default, skip_serializing)]
    pub(super) chat_template: Option<Present>,
}

/// A run of output layers.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Slice {
    pub(super) sources: Vec<Source>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) parameters: Option<Settings>,
    #[serde(default, skip_serializing)]
    pub(super) base_model: Option<Present>,
    #[serde(default, skip_serializing)]
    pub(super) residual_weight: Option<Present>,
}

/// A model that is merged, or the layers of it that a slice takes.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Source {
    pub(super) model: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) layer_range: Option<FlowSeq<[u32; 2]>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) parameters: Option<Settings>,
}

/// The long form of `tokenizer_source`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Tokenizer {
    /// mergekit's default is `union`.
    #[serde(default)]
    pub(super) source: Option<String>,
    #[serde(default, skip_serializing)]
    pub(super) tokens: Option<Present>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) pad_to_multiple_of: Option<NonZeroU32>,
}

/// A value that is only known to be there. Unlike `IgnoredAny` it doesn't make its key an unknown one.
#[derive(Debug)]
pub(super) struct Present;

impl<'de> Deserialize<'de> for Present {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde_json::Value::deserialize(deserializer).map(|_| Self)
    }
}

/// Every key that is read, parameters included.
const KEYS: [&str; 41] = [
    "agreement",
    "alpha",
    "base_model",
    "chat_template",
    "density",
    "dtype",
    "eps",
    "epsilon",
    "filter",
    "filter_wise",
    "gamma",
    "int8_mask",
    "lambda",
    "layer_range",
    "mask_lambda",
    "max_iter",
    "merge_method",
    "model",
    "models",
    "modules",
    "normalize",
    "normalize_weights",
    "nuslerp_flatten",
    "nuslerp_row_wise",
    "out_dtype",
    "pad_to_multiple_of",
    "parameters",
    "r",
    "rescale",
    "residual_weight",
    "scale",
    "select_topk",
    "slices",
    "source",
    "sources",
    "t",
    "tokenizer",
    "tokenizer_source",
    "tol",
    "value",
    "weight",
];

/// How alike two spellings have to be, from 0 to 1, for one to be offered in place of the other.
const NEAR: f64 = 0.6;

impl Document {
    /// Parses the text; the first key that nothing reads is an error.
    pub(super) fn parse(text: &str) -> Result<Self, MergekitError> {
        let mut unknown = None;
        let options = serde_saphyr::options! {
            with_snippet: false,
            // Passed on, so that the error can say whose weight it is.
            non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        };
        let document = serde_saphyr::with_deserializer_from_str_with_options(text, options, |yaml| {
            serde_ignored::deserialize(yaml, |path| {
                // Optional parts show as question marks in the path.
                unknown.get_or_insert_with(|| path.to_string().replace(".?", ""));
            })
        });
        let document = document.map_err(|error| MergekitError::Yaml(error.to_string()))?;
        unknown.map_or(Ok(document), |key| Err(unknown_key(key, &KEYS)))
    }

    pub(super) fn to_yaml(&self) -> Result<String, MergekitError> {
        serde_saphyr::to_string(self).map_err(|error| MergekitError::Yaml(error.to_string()))
    }
}

/// The error for a key that is none of `known`, with the nearest of them.
pub(super) fn unknown_key(key: String, known: &[&'static str]) -> MergekitError {
    let spelling = key.rsplit('.').next().unwrap_or(&key);
    let likeness = |known: &str| strsim::normalized_damerau_levenshtein(spelling, known);
    let nearest = known.iter().copied().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    let nearest = nearest.filter(|known| likeness(known) >= NEAR);
    MergekitError::UnknownKey { key, nearest }
}
