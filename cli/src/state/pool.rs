//! What the checkpoints were when the search began: a score means nothing for other files under the same names.

use std::path::Path;

use mergesearch_merger::Pool;
use mergesearch_recipe::{CheckpointName, Dtype};
use serde::{Deserialize, Serialize};

use super::StateError;
use super::store::{read_json, write_json};

const FILE: &str = "pool.json";

/// The facts of a pool that outlive its opening.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct PoolFacts {
    /// Transformer layers.
    pub(crate) layers: Option<u32>,
    /// The element type of most of the weights.
    pub(crate) dtype: Option<Dtype>,
    /// Every checkpoint's files.
    pub(crate) checkpoints: Vec<CheckpointFacts>,
}

/// The files of one checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct CheckpointFacts {
    /// Which.
    pub(crate) name: CheckpointName,
    /// Its shards as location, version.
    pub(crate) files: Vec<(String, String)>,
}

impl PoolFacts {
    /// The facts of an open pool.
    pub(crate) fn of(pool: &Pool, dtype: Option<Dtype>) -> Self {
        let file = |file: &mergesearch_merger::Object| (file.location.to_string(), file.etag.clone());
        let checkpoints = pool.sources().map(|source| CheckpointFacts {
            name: source.name.clone(),
            files: source.files.iter().map(file).collect(),
        });
        Self { layers: pool.layer_count(), dtype, checkpoints: checkpoints.collect() }
    }

    /// The first checkpoint that is another than it was, with the file that tells.
    pub(crate) fn changed<'a>(&self, now: &'a Self) -> Option<(&'a CheckpointName, &'a str)> {
        self.checkpoints.iter().zip(&now.checkpoints).find_map(|(before, now)| {
            let changed = now.files.iter().find(|file| !before.files.contains(file))?;
            Some((&now.name, changed.0.as_str()))
        })
    }
}

/// The facts noted in a state folder.
pub(crate) fn pool_facts(state: &Path) -> Result<Option<PoolFacts>, StateError> {
    read_json(&state.join(FILE))
}

/// Notes the facts.
pub(crate) fn set_pool_facts(state: &Path, facts: &PoolFacts) -> Result<(), StateError> {
    write_json(&state.join(FILE), facts)
}
