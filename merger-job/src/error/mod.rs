//! Why a pool can't be opened or a merge not be made, and whether another attempt can help.

mod checkpoint;
mod pool;

use mergesearch_recipe::{CheckpointName, RecipeError, YamlError};

pub use self::checkpoint::CheckpointError;
pub use self::pool::PoolError;
use crate::{LocationError, StorageError};

/// Why the merger gave up. Every message is one sentence that names the checkpoint, tensor or key; names that came out
/// of files are quoted and escaped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Reading or writing failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The recipe is wrong in itself.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// The recipe can't be read or written.
    #[error(transparent)]
    Yaml(#[from] YamlError),
    /// A checkpoint's or the output's location is none.
    #[error(transparent)]
    Location(#[from] LocationError),
    /// A checkpoint's place is no checkpoint.
    #[error("checkpoint {checkpoint}: {source}")]
    Checkpoint {
        /// The checkpoint.
        checkpoint: CheckpointName,
        /// What is wrong with it.
        source: Box<CheckpointError>,
    },
    /// A place that was looked at alone is no checkpoint.
    #[error(transparent)]
    Place(Box<CheckpointError>),
    /// Checkpoints don't fit each other.
    #[error(transparent)]
    Pool(Box<PoolError>),
    /// The recipe names a checkpoint that isn't in the pool, or elsewhere.
    #[error("checkpoint {checkpoint}: the pool has no checkpoint of that name at {uri:?}")]
    NotInPool {
        /// The checkpoint.
        checkpoint: CheckpointName,
        /// Where the recipe says it is.
        uri: String,
    },
    /// No group of the recipe selects a tensor.
    #[error("tensor {tensor:?}: no group of the recipe selects it")]
    NoGroup {
        /// The tensor.
        tensor: String,
    },
    /// Recipes that are merged in one pass, but of different pools or into different forms.
    #[error(
        "recipes: they differ in {field}; those that are merged in one pass may only differ in method, groups and seed"
    )]
    DifferentRecipes {
        /// The field.
        field: &'static str,
    },
    /// A stack names a layer that the models don't have.
    #[error("stack: layer {layer} is named, the models have {count}")]
    NoLayer {
        /// The layer.
        layer: u32,
        /// How many the models have.
        count: u32,
    },
    /// A row is too long to be held whole.
    #[error(
        "tensor {tensor:?}: its method looks at whole rows, {elements} elements each, which takes a memory budget of {least} bytes"
    )]
    Row {
        /// The tensor.
        tensor: String,
        /// The row's elements.
        elements: u64,
        /// What is needed.
        least: u64,
    },
    /// The output would overwrite a checkpoint that is being read.
    #[error("output {output}: it is the place of checkpoint {checkpoint}, expected another")]
    OutputIsSource {
        /// The output.
        output: String,
        /// The checkpoint.
        checkpoint: CheckpointName,
    },
    /// There's already a model.
    #[error("output {0}: there is a model already; choose another place or allow overwriting")]
    OutputExists(String),
    /// `nuslerp` of columns.
    #[error(
        "method nuslerp: nuslerp_row_wise makes vectors of columns, which can't be merged; expected it to be false"
    )]
    Columns,
    /// A recipe that joins vocabularies otherwise than the pool was opened for.
    #[error("vocabulary: the recipe has another than the pool was opened with")]
    Vocabulary,
    /// Experts are to be matched where there are none.
    #[error(
        "align: no tensor is an expert's, by its name (PREFIX.experts.NUMBER.REST or PREFIX.experts.REST); leave it out"
    )]
    NoExperts,
    /// Experts that can't be told by their numbers alone.
    #[error("align: tensor {tensor:?} is adapted or scaled in a way that experts can't be matched with")]
    AdjustedExperts {
        /// The tensor.
        tensor: String,
    },
    /// Experts of different sizes.
    #[error("align: tensor {tensor:?} isn't as large as the first expert's")]
    UnequalExperts {
        /// The tensor.
        tensor: String,
    },
    /// Nothing to merge.
    #[error("--recipe: expected at least one recipe")]
    NoRecipe,
    /// A population of what is a population already.
    #[error("--population: got {recipes} recipes, expected one to be planned so many times")]
    Population {
        /// How many recipes there are.
        recipes: usize,
    },
    /// Recipes and outputs don't pair up.
    #[error("--output: got {outputs} for {recipes} recipe(s), expected one for each")]
    Outputs {
        /// How many recipes there are.
        recipes: usize,
        /// How many outputs.
        outputs: usize,
    },
    /// A part that there isn't.
    #[error("--shard-index: got {index} of {count} parts, expected less than {count}")]
    Part {
        /// The part.
        index: u32,
        /// How many there are.
        count: u32,
    },
    /// Two merges at one place.
    #[error("output {0}: two merges go there, expected a place for each")]
    OutputTwice(String),
    /// Too little memory for even the smallest steps.
    #[error("memory budget of {budget} bytes: merging {checkpoints} checkpoints needs at least {least}")]
    Budget {
        /// What was given.
        budget: u64,
        /// What is needed.
        least: u64,
        /// How many checkpoints are read.
        checkpoints: usize,
    },
    /// A task of ours ended by a panic or was cancelled by the runtime's end.
    #[error("internal: a task ended early: {0}")]
    Task(String),
}

impl From<CheckpointError> for Error {
    fn from(error: CheckpointError) -> Self {
        Self::Place(Box::new(error))
    }
}

impl From<PoolError> for Error {
    fn from(error: PoolError) -> Self {
        Self::Pool(Box::new(error))
    }
}

impl Error {
    /// Whether the same call may succeed later: a fault of network, server or device, not of the input.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Task(_)) || self.storage().is_some_and(|error| error.fault.is_transient())
    }

    /// The storage operation that failed; `None` when it is something else that is wrong.
    pub fn storage(&self) -> Option<&StorageError> {
        match self {
            Self::Storage(error) => Some(error),
            Self::Place(source) | Self::Checkpoint { source, .. } => match source.as_ref() {
                CheckpointError::Storage(error) => Some(error),
                _ => None,
            },
            _ => None,
        }
    }

    /// The exit code of `merger`: 75 for a transient fault, 65 for anything final.
    pub fn exit_code(&self) -> u8 {
        if self.is_transient() { 75 } else { 65 }
    }
}
