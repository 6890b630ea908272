//! Short names for what a checkpoint is now, so that a merge of tomorrow knows whether it still is.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::adapter;
use crate::carried::is_carried;
use crate::checkpoint::Opened;

/// Characters of a fingerprint, 6 bits each: a changed checkpoint is overlooked once in 10^18 times, and 64 of them fit
/// in a message of a kibibyte.
const LENGTH: usize = 10;

impl Opened {
    /// A hash over the config, over names, sizes and versions of the shards, and over names and sizes of the other files
    /// that belong to the model.
    pub(crate) fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        let mut add = |kind: &str, name: &str, size: u64, version: &str| {
            // Lengths first: no two lists of files have the same text.
            for text in [kind, name, version] {
                hash.update((text.len() as u64).to_le_bytes());
                hash.update(text);
            }
            hash.update(size.to_le_bytes());
        };
        for shard in &self.shards {
            add("shard", shard.name(), shard.size, &shard.etag);
        }
        let mut carried: Vec<_> = self.entries.iter().filter(|entry| is_carried(&entry.name)).collect();
        carried.sort_by(|one, other| one.name.cmp(&other.name));
        for entry in carried {
            add("carried", &entry.name, entry.size, "");
        }
        add("config", "config.json", 0, &self.config.to_string());
        if let Some(adapter) = &self.adapter {
            add("config", adapter::CONFIG_FILE, 0, adapter);
        }
        let mut text = URL_SAFE_NO_PAD.encode(hash.finalize());
        text.truncate(LENGTH);
        text
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{Entry, Location, Object};

    fn opened() -> Opened {
        let object = |name: &str| Object {
            location: Location::File(format!("/models/a/{name}").into()),
            size: 100,
            etag: "\"one\"".to_owned(),
        };
        let entry = |name: &str| Entry { name: name.to_owned(), size: 10 };
        Opened {
            entries: vec![entry("README.md"), entry("model.safetensors"), entry("tokenizer.json")],
            shards: vec![object("model.safetensors")],
            tensors: std::collections::BTreeMap::new(),
            config: json!({"rope_theta": 10_000.0}),
            adapter: None,
        }
    }

    #[test]
    fn what_matters_to_a_merge_changes_the_fingerprint_and_nothing_else_does() {
        let before = opened().fingerprint();
        assert_eq!(before.len(), LENGTH);
        let changed = |change: fn(&mut Opened)| {
            let mut opened = opened();
            change(&mut opened);
            opened.fingerprint() != before
        };
        assert!(changed(|opened| opened.shards[0].etag = "\"two\"".to_owned()));
        assert!(changed(|opened| opened.shards[0].size += 1));
        assert!(changed(|opened| opened.entries[2].size += 1));
        assert!(changed(|opened| opened.config = json!({"rope_theta": 500_000.0})));
        assert!(!changed(|opened| opened.entries[0].size += 1));
        assert!(!changed(|opened| opened.entries.reverse()));
    }
}
