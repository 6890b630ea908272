//! Merge recipes as data: the method, the checkpoints with their weights, tensor groups, and mergekit's YAML.
//!
//! A [`Recipe`] is everything the merger needs to make one candidate. This crate is pure: it knows no storage, no
//! clock and no cluster. Weights stand as they are applied: nothing is normalised later, so what a recipe says is what
//! is merged.
//!
//! Recipes have a YAML form of their own ([`Recipe::from_yaml`], [`Recipe::to_yaml`]) and are read from and written in
//! mergekit's ([`mergekit`]):
//!
//! ```
//! use mergesearch_recipe::{MergeMethod, Recipe, mergekit};
//!
//! let recipe = Recipe::from_yaml(
//!     "
//! method: linear
//! checkpoints:
//!   - {name: sft, uri: 'file:///pool/sft'}
//!   - {name: dpo, uri: 'file:///pool/dpo'}
//! groups:
//!   - select: {name_contains: self_attn}
//!     weights: [0.2, 0.8]
//!   - weights: [0.6, 0.4]
//! dtype: bfloat16
//! ",
//! )?;
//! let group = recipe.group_for("model.layers.3.self_attn.q_proj.weight", Some(32));
//! assert_eq!(group.map(|group| &group.weights[..]), Some(&[0.2, 0.8][..]));
//!
//! let exported = mergekit::write(&recipe, None)?;
//! assert_eq!(Recipe::from_yaml_any(&exported, "/", None)?, recipe);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod checkpoint;
mod group;
pub mod mergekit;
mod method;
mod parameter;
mod parameters;
mod position;
mod recipe;
mod recipe_error;
mod validate;
mod vocabulary;
mod yaml;

pub use checkpoint::{Checkpoint, CheckpointName, CheckpointNameError};
pub use group::{Group, LayerRange, Selection};
pub use method::MergeMethod;
pub use parameter::{Parameter, PerCheckpoint, Rescale};
pub use parameters::Parameters;
pub use position::TensorPosition;
pub use recipe::{Align, Dtype, Recipe};
pub use recipe_error::RecipeError;
pub use vocabulary::{Tokens, Vocabulary};
pub use yaml::YamlError;
