//! Merge recipes as data: the method, the checkpoints with their weights, tensor groups, and mergekit's YAML.
//!
//! A [`Recipe`] is everything the merger needs to make one candidate. This crate is pure: it knows no storage, no
//! clock and no cluster. Weights stand as they are applied: nothing is normalised later, so what a recipe says is what
//! is merged.

mod checkpoint;
mod group;
pub mod mergekit;
mod method;
mod position;
mod recipe;
mod validate;
mod yaml;

pub use checkpoint::{Checkpoint, CheckpointName, CheckpointNameError};
pub use group::{Group, LayerRange, Parameters, Selection};
pub use method::MergeMethod;
pub use position::TensorPosition;
pub use recipe::{Dtype, Recipe};
pub use validate::RecipeError;
pub use yaml::YamlError;
