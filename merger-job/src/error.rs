//! Why a pool can't be opened or a merge not be made, and whether another attempt can help.

use mergesearch_recipe::{CheckpointName, RecipeError, YamlError};

use crate::header::HeaderError;
use crate::{ElementType, LocationError, StorageError};

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
