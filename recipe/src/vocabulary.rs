//! How checkpoints of different vocabularies come together.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

/// Rows of embeddings and output heads are matched by their tokens, not by their places, as mergekit does when it's told a
/// `tokenizer`. A token that a checkpoint lacks gets the base's row in it, else the mean of those that have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vocabulary {
    /// Which tokens the output has.
    pub tokens: Tokens,
    /// Rows of zeros are added up to a multiple of this. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pad_to_multiple_of: Option<NonZeroU32>,
}

/// The tokens of a merge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tokens {
    /// Those of the checkpoint that the tokenizer comes from.
    Donor,
    /// Those, then what other checkpoints have beside them, in order.
    Union,
}
