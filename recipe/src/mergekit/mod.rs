//! mergekit's YAML: recipes read from it and written in it, so that both tools merge the same file to the same model.
//!
//! What is shared with mergekit 0.1.5:
//! - every method with its parameters under mergekit's names, and `consensus`, which is ours alone;
//! - `models` and `slices`, also those that stack layers anew, parameters as numbers, gradients and filters, a source's
//!   before its slice's before the file's, with mergekit's defaults;
//! - where mergekit divides weights by their sum, they are divided here; what `ties` and its kind divide element by element
//!   stays a parameter. `rescale: true` means [`Rescale::Inverse`](crate::Rescale::Inverse) for the methods of DARE and
//!   DELLA, as in their papers, and [`Rescale::L1`](crate::Rescale::L1), as mergekit has it, for others;
//! - a gradient is interpolated at `i / (n - 1)` over the n layers of its slice, at its end when there is one layer;
//!   embeddings take its first value in the first slice, final norm and output head its first value in the last;
//! - the output's element type is `out_dtype`, else `dtype`. mergekit also computes in `dtype`, so `float32` is written.
//!
//! What a recipe can't say is refused with a sentence that names the key, and so are keys that mergekit would ignore
//! without a word. The seed isn't part of mergekit's language: there it is an option of the program.

mod columns;
mod document;
mod language;
mod location;
mod pool;
mod read;
mod run;
mod setting;
mod write;

pub use read::read;
pub use write::write;

use crate::RecipeError;

/// Why a mergekit YAML can't be read or written.
#[derive(Debug, thiserror::Error, PartialEq)]
#[non_exhaustive]
pub enum MergekitError {
    /// No YAML, or not of this shape.
    #[error("mergekit YAML: {0}")]
    Yaml(String),
    /// A key that nothing would come of.
    #[error("mergekit YAML: unknown key {key}{}", hint(*.nearest))]
    UnknownKey {
        /// Where it stands, `models.0.parameters.weigth`.
        key: String,
        /// The known key that is spelt most like it, if one is near.
        nearest: Option<&'static str>,
    },
    /// A value that is wrong, or that a recipe can't say.
    #[error("mergekit YAML: {key}: {reason}")]
    Refused {
        /// Where it stands.
        key: String,
        /// What is wrong with it, or was expected.
        reason: String,
    },
    /// Gradients over `models` stand for one value per layer, and slices may leave the last layers out: count the layers of
    /// this checkpoint and read again.
    #[error("mergekit YAML: gradients and slices need the number of layers, to be counted in {uri}")]
    LayersNeeded {
        /// The first checkpoint.
        uri: String,
    },
    /// The YAML makes no valid recipe, or the recipe to write is none.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
}

impl MergekitError {
    fn refused(key: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Refused { key: key.into(), reason: reason.into() }
    }
}

fn hint(nearest: Option<&'static str>) -> String {
    nearest.map(|key| format!("; did you mean {key}?")).unwrap_or_default()
}
