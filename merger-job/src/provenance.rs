//! What every file of a merge says of where it came from, in its safetensors metadata.

use std::collections::BTreeMap;

use mergesearch_recipe::Recipe;
use serde_json::json;

use crate::Error;
use crate::pool::Pool;

/// Texts of a safetensors header's `__metadata__`, by name.
pub(crate) type Metadata = BTreeMap<String, String>;

/// The version of the merger, the recipe as [`Recipe::canonical`] has it, and for each source by name its place and
/// fingerprint, which is another one as soon as one of its files is ([`Pool::fingerprints`]). Two merges with the same
/// metadata have the same tensors. transformers wants `format`.
pub(crate) fn metadata(pool: &Pool, recipe: &Recipe) -> Result<Metadata, Error> {
    let fingerprints = pool.fingerprints();
    let mut sources = serde_json::Map::new();
    for checkpoint in recipe.checkpoints.iter().chain(&recipe.base) {
        let fingerprint = fingerprints.get(pool.member(checkpoint)?);
        let source = json!({"uri": checkpoint.uri, "fingerprint": fingerprint});
        sources.insert(checkpoint.name.to_string(), source);
    }
    let metadata = [
        ("format", "pt".to_owned()),
        ("mergesearch.recipe", recipe.canonical()),
        ("mergesearch.sources", serde_json::Value::from(sources).to_string()),
        ("mergesearch.version", env!("CARGO_PKG_VERSION").to_owned()),
    ];
    Ok(metadata.map(|(name, text)| (name.to_owned(), text)).into())
}
