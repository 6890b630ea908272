//! What can be wrong with one checkpoint.

use crate::header::HeaderError;
use crate::{ElementType, StorageError};

/// What is wrong with one checkpoint. File names are those in its folder.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// Reading failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// Nothing to load there.
    #[error("{location}: found neither model.safetensors nor model.safetensors.index.json{hint}")]
    NoModel {
        /// The folder.
        location: String,
        /// What was found instead.
        hint: &'static str,
    },
    /// A file that must be there isn't.
    #[error("{location}: found no {file:?}")]
    NoFile {
        /// The folder.
        location: String,
        /// The file.
        file: String,
    },
    /// A safetensors file that can't be read.
    #[error("{file:?}: {source}")]
    Header {
        /// The file.
        file: String,
        /// What is wrong.
        source: HeaderError,
    },
    /// A JSON file that is none, or of another form.
    #[error("{file:?}: {message}")]
    Json {
        /// The file.
        file: String,
        /// What is wrong and where.
        message: String,
    },
    /// A JSON file too long to be what its name says.
    #[error("{file:?}: has {size} bytes, expected at most {limit}")]
    TooLong {
        /// The file.
        file: String,
        /// Its bytes.
        size: u64,
        /// The most that is read.
        limit: u64,
    },
    /// A shard name that isn't a file of the checkpoint's own folder.
    #[error(
        "weight_map: tensor {tensor:?} is said to be in {file:?}, expected a safetensors file of the checkpoint's own folder"
    )]
    LeavesFolder {
        /// The tensor.
        tensor: String,
        /// What stands there.
        file: String,
    },
    /// The index names a tensor that its shard doesn't have.
    #[error("weight_map: tensor {tensor:?} is said to be in {file:?}, which doesn't have it")]
    NotInShard {
        /// The tensor.
        tensor: String,
        /// The shard.
        file: String,
    },
    /// A shard has a tensor that the index says is elsewhere or nowhere.
    #[error("{file:?}: has tensor {tensor:?}, which weight_map doesn't place there")]
    NotInIndex {
        /// The tensor.
        tensor: String,
        /// The shard.
        file: String,
    },
    /// No tensor at all.
    #[error("{file:?}: has no tensors")]
    Empty {
        /// The file.
        file: String,
    },
    /// Weights in a form that can't be averaged.
    #[error(
        "tensor {tensor:?}: dtype {element} can't be merged, expected F8_E4M3, F8_E5M2, BF16, F16, F32 or F64"
    )]
    Unmergeable {
        /// The tensor.
        tensor: String,
        /// Its type.
        element: ElementType,
    },
    /// Scales beside weights: the weights alone aren't what the model computes with.
    #[error(
        "tensor {tensor:?}: scales of quantized weights can't be merged, expected a checkpoint that isn't quantized"
    )]
    Scaled {
        /// The tensor.
        tensor: String,
    },
    /// A tensor of an adapter that can't be applied.
    #[error("adapter tensor {tensor:?}: can't be applied: {reason}")]
    Adapter {
        /// The tensor.
        tensor: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// Scales that don't fit their weights.
    #[error(
        "tensor {scale:?}: {element} of shape {shape:?} can't be the scales of weights of shape {weight_shape:?}, expected a number for each block, each row, or all"
    )]
    Scale {
        /// The scales.
        scale: String,
        /// Their shape.
        shape: Vec<u64>,
        /// Their type.
        element: ElementType,
        /// The weights' shape.
        weight_shape: Vec<u64>,
    },
    /// A tied output head that isn't the embedding.
    #[error("tensor {head:?}: the model ties it to {embedding:?}, but the two differ")]
    TiedHead {
        /// The head.
        head: String,
        /// The embedding.
        embedding: String,
    },
}
