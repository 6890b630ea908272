//! `spec.publish`: which merges are written as checkpoints when the search ends.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{cel, defaults};

/// Which merges are published, in the Hugging Face layout with a model card, when the search ends.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[schemars(extend("x-kubernetes-validations" = cel::publish()))]
#[serde(rename_all = "camelCase", default)]
pub struct Publish {
    /// How many merges of the front, best search fitness first. 0 publishes nothing. Default: 1. Mutable.
    #[schemars(range(min = 0, max = 64))]
    pub top: i32,
    /// The prefix to publish under, each merge in a folder named after its trial. Default: `published` under the search's
    /// folder in `storage.output`. Mutable. Example: `s3://models/recycled`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub uri: Option<String>,
}

impl Default for Publish {
    fn default() -> Self {
        Self { top: defaults::PUBLISH_TOP, uri: None }
    }
}
