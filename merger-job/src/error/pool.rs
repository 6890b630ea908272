//! How checkpoints can fail to fit each other.

use mergesearch_recipe::CheckpointName;

use crate::ElementType;

/// How two checkpoints don't fit. `first` is the checkpoint that the others are compared with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PoolError {
    /// Nothing to open.
    #[error("pool: expected at least one checkpoint")]
    Empty,
    /// Vocabularies are to be joined, but one isn't there to be read.
    #[error("vocabulary: checkpoint {0} has no tokenizer.json, which its tokens are read from")]
    NoVocabulary(CheckpointName),
    /// Rows of tokens that are made of other numbers.
    #[error(
        "vocabulary: tensor {tensor:?} of checkpoint {checkpoint} is adapted or scaled, expected rows as they are"
    )]
    AdjustedRows {
        /// The tensor.
        tensor: String,
        /// Whose.
        checkpoint: CheckpointName,
    },
    /// An adapter without anything to lay it over.
    #[error("checkpoint {0}: it is an adapter; expected a base, which it is applied to")]
    NoBase(CheckpointName),
    /// An adapter where a whole checkpoint is needed.
    #[error("{field}: checkpoint {adapter} is an adapter, expected a whole checkpoint")]
    AdapterAlone {
        /// What names it.
        field: &'static str,
        /// The adapter.
        adapter: CheckpointName,
    },
    /// A tensor that only some have.
    #[error("checkpoint {lacking}: has no tensor {tensor:?}, which checkpoint {having} has")]
    MissingTensor {
        /// Who lacks it.
        lacking: CheckpointName,
        /// Who has it.
        having: CheckpointName,
        /// The tensor.
        tensor: String,
    },
    /// Another shape.
    #[error(
        "tensor {tensor:?}: shape {shape:?} in checkpoint {other}, {first_shape:?} in checkpoint {first}"
    )]
    Shape {
        /// The tensor.
        tensor: String,
        /// Compared with.
        first: CheckpointName,
        /// Its shape.
        first_shape: Vec<u64>,
        /// The one that differs.
        other: CheckpointName,
        /// Its shape.
        shape: Vec<u64>,
    },
    /// A type that doesn't go with the first one's.
    #[error(
        "tensor {tensor:?}: dtype {element} in checkpoint {other}, {first_element} in checkpoint {first}"
    )]
    Dtype {
        /// The tensor.
        tensor: String,
        /// Compared with.
        first: CheckpointName,
        /// Its type.
        first_element: ElementType,
        /// The one that differs.
        other: CheckpointName,
        /// Its type.
        element: ElementType,
    },
    /// A buffer or integer tensor, which is never merged, with other content.
    #[error(
        "tensor {tensor:?}: not merged, only copied, but differs between checkpoints {first} and {other}"
    )]
    Buffer {
        /// The tensor.
        tensor: String,
        /// Compared with.
        first: CheckpointName,
        /// The one that differs.
        other: CheckpointName,
    },
    /// A key of config.json that changes what the weights mean.
    #[error(
        "config.json: {key} is {value} in checkpoint {other}, {first_value} in checkpoint {first}; expected the same"
    )]
    Config {
        /// The key.
        key: String,
        /// Compared with.
        first: CheckpointName,
        /// Its value.
        first_value: String,
        /// The one that differs.
        other: CheckpointName,
        /// Its value.
        value: String,
    },
    /// Tokenizers that read the same text as other tokens.
    #[error(
        "tokenizer: {what} is {value} in checkpoint {other}, {first_value} in checkpoint {first}; expected the same"
    )]
    Tokenizer {
        /// The token, merge or file.
        what: String,
        /// Compared with.
        first: CheckpointName,
        /// Its value.
        first_value: String,
        /// The one that differs.
        other: CheckpointName,
        /// Its value.
        value: String,
    },
    /// `tokenizer_from` names nobody.
    #[error("tokenizer_from: no checkpoint of the pool is named {0}")]
    NoDonor(CheckpointName),
    /// Two checkpoints of one name.
    #[error("pool: two checkpoints are named {0}")]
    DuplicateName(CheckpointName),
}
