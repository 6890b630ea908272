//! Recipes as YAML of their own, and telling that from mergekit's.

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_saphyr::NonFiniteFloatPolicy;

use crate::mergekit::{self, MergekitError};
use crate::{Recipe, RecipeError};

/// Why a text is no recipe.
#[derive(Debug, thiserror::Error, PartialEq)]
#[non_exhaustive]
pub enum YamlError {
    /// No YAML, or not a recipe's fields.
    #[error("recipe YAML: {0}")]
    Yaml(String),
    /// A recipe that can't be merged.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// A mergekit YAML that is no recipe.
    #[error(transparent)]
    Mergekit(#[from] MergekitError),
}

impl Recipe {
    /// Reads a recipe in its own format (JSON is YAML too) and validates it.
    pub fn from_yaml(text: &str) -> Result<Self, YamlError> {
        let recipe: Self = parse(text)?;
        recipe.validate()?;
        Ok(recipe)
    }

    /// The recipe in its own format; [`Recipe::from_yaml`] gives the same recipe back, bit for bit.
    pub fn to_yaml(&self) -> Result<String, YamlError> {
        self.validate()?;
        serde_saphyr::to_string(self).map_err(|error| YamlError::Yaml(error.to_string()))
    }

    /// Reads a recipe in its own format or, when there is a `merge_method`, in mergekit's; see [`mergekit::read`] for
    /// `folder` and `layer_count`.
    pub fn from_yaml_any(text: &str, folder: &str, layer_count: Option<u32>) -> Result<Self, YamlError> {
        let kind: Kind = parse(text)?;
        if kind.merge_method.is_some() {
            Ok(mergekit::read(text, folder, layer_count)?)
        } else {
            Self::from_yaml(text)
        }
    }
}

/// Every mergekit file has this key, and no recipe.
#[derive(Deserialize)]
struct Kind {
    #[serde(default)]
    merge_method: Option<IgnoredAny>,
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<T, YamlError> {
    let options = serde_saphyr::options! {
        with_snippet: false,
        // Passed on, so that the error can say whose weight it is.
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| YamlError::Yaml(error.to_string()))
}
