//! What every file of a merge says of where it came from, in its safetensors metadata.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use mergesearch_recipe::Recipe;
use sha2::{Digest, Sha256};

use crate::Error;
use crate::pool::Pool;

/// Texts of a safetensors header's `__metadata__`, by name.
pub(crate) type Metadata = BTreeMap<String, String>;

/// The version of the merger, and a digest of the recipe ([`Recipe::canonical`]) and of its sources' fingerprints
/// ([`Pool::fingerprints`]), which are others as soon as a file of theirs is: files of the same metadata are of the same merge.
/// Always of one length, so that a file's size is known before its recipe. transformers wants `format`. Recipe and sources
/// in full stand in the model card.
pub(crate) fn metadata(pool: &Pool, recipe: &Recipe) -> Result<Metadata, Error> {
    let fingerprints = pool.fingerprints();
    let mut digest = Sha256::new();
    digest.update(recipe.canonical());
    for checkpoint in recipe.checkpoints.iter().chain(&recipe.base) {
        // Fingerprints are of one length.
        digest.update(fingerprints.get(pool.member(checkpoint)?).map_or("", String::as_str));
    }
    if let Some(joined) = &pool.joined {
        digest.update(joined.digest);
    }
    let mut text = String::new();
    for byte in digest.finalize() {
        // A String takes every write.
        let _ = write!(text, "{byte:02x}");
    }
    let metadata = [
        ("format", "pt".to_owned()),
        ("mergesearch.merge", text),
        ("mergesearch.version", env!("CARGO_PKG_VERSION").to_owned()),
    ];
    Ok(metadata.map(|(name, text)| (name.to_owned(), text)).into())
}
