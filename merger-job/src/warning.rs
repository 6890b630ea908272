//! What a user should know about a pool or a merge although it could be made.

use mergesearch_recipe::CheckpointName;

/// Something worth a look that is no error. Shown as one sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Warning {
    /// Checkpoints expect conversations in different forms.
    #[error("chat template: checkpoint {other} has another than checkpoint {used}, whose is used")]
    ChatTemplate {
        /// Whose the output gets.
        used: CheckpointName,
        /// Whose differs.
        other: CheckpointName,
    },
    /// Checkpoints end their texts with different tokens.
    #[error(
        "{file}: eos_token_id is {value} in checkpoint {other}, {used_value} in checkpoint {used}, whose is used"
    )]
    EosToken {
        /// Which file says it.
        file: &'static str,
        /// Whose the output gets.
        used: CheckpointName,
        /// Its value.
        used_value: String,
        /// Whose differs.
        other: CheckpointName,
        /// Its value.
        value: String,
    },
    /// A tokenizer that can't be compared.
    #[error(
        "tokenizer: checkpoint {other} has none that can be compared with that of checkpoint {used}, whose is used"
    )]
    NoTokenizer {
        /// Whose the output gets.
        used: CheckpointName,
        /// Whose can't be compared.
        other: CheckpointName,
    },
    /// A buffer that only some have is left out.
    #[error("tensor {tensor:?}: a buffer that checkpoint {lacking} doesn't have; left out")]
    BufferDropped {
        /// The buffer.
        tensor: String,
        /// Who lacks it.
        lacking: CheckpointName,
    },
    /// An output head that equals the embedding it's tied to is left out.
    #[error("tensor {tensor:?}: tied to the embedding; left out")]
    TiedHeadDropped {
        /// The head.
        tensor: String,
    },
    /// mergekit's language can't say the recipe.
    #[error("mergekit_config.yml: left out ({reason})")]
    NoMergekit {
        /// Why.
        reason: String,
    },
    /// A merged tensor has values that are no numbers.
    #[error("tensor {tensor:?}: {nan} NaN and {infinite} infinite values in the output")]
    NotFinite {
        /// The first such tensor.
        tensor: String,
        /// How many NaN.
        nan: u64,
        /// How many infinite.
        infinite: u64,
    },
}
