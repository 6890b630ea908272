//! Compares the checkpoints' tokenizers by what they mean: vocabulary, merges and added tokens, not bytes.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;

use crate::checkpoint::{MAX_CONFIG, OpenCheckpoint, read_json, read_small};
use crate::config_rules::shown;
use crate::error::{CheckpointError, PoolError};
use crate::storage::Stores;
use crate::{Error, Warning};

/// Longest tokenizer file.
pub(crate) const MAX_TOKENIZER: u64 = 256 << 20;

/// The parts of `tokenizer.json` that decide which text becomes which token.
struct Tokenizer {
    vocabulary: BTreeMap<String, Value>,
    merges: Vec<Value>,
    added: BTreeMap<u64, String>,
}

#[derive(Deserialize)]
struct TokenizerFile {
    #[serde(default)]
    added_tokens: Vec<AddedToken>,
    #[serde(default)]
    model: ModelPart,
}

#[derive(Default, Deserialize)]
struct ModelPart {
    /// An object from token to id, or for Unigram a list of tokens with scores.
    #[serde(default)]
    vocab: Value,
    /// Texts of two parts, or lists of two.
    #[serde(default)]
    merges: Vec<Value>,
}

#[derive(Deserialize)]
struct AddedToken {
    id: u64,
    content: String,
}

impl Tokenizer {
    fn parse(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        let file: TokenizerFile = serde_json::from_slice(bytes)?;
        let vocabulary = match file.model.vocab {
            Value::Object(entries) => entries.into_iter().collect(),
            Value::Array(entries) => {
                entries.into_iter().enumerate().map(|(id, entry)| (entry.to_string(), id.into())).collect()
            }
            _ => BTreeMap::new(),
        };
        let pair = |merge: Value| match merge {
            Value::String(text) => text.split(' ').map(Value::from).collect(),
            pair => pair,
        };
        let merges = file.model.merges.into_iter().map(pair).collect();
        let added = file.added_tokens.into_iter().map(|token| (token.id, token.content)).collect();
        Ok(Self { vocabulary, merges, added })
    }

    /// What differs first, with both values.
    fn difference(&self, other: &Self) -> Option<(String, String, String)> {
        let keys = self.vocabulary.keys().chain(other.vocabulary.keys());
        for token in keys {
            let (ours, theirs) = (self.vocabulary.get(token), other.vocabulary.get(token));
            if ours != theirs {
                return Some((format!("the id of token {token:?}"), shown(ours), shown(theirs)));
            }
        }
        let longest = self.merges.len().max(other.merges.len());
        for place in 0..longest {
            let (ours, theirs) = (self.merges.get(place), other.merges.get(place));
            if ours != theirs {
                return Some((format!("merge {place}"), shown(ours), shown(theirs)));
            }
        }
        for id in self.added.keys().chain(other.added.keys()) {
            let (ours, theirs) = (self.added.get(id), other.added.get(id));
            if ours != theirs {
                let text = |token: Option<&String>| shown(token.map(|token| token.as_str().into()).as_ref());
                return Some((format!("added token {id}"), text(ours), text(theirs)));
            }
        }
        None
    }
}

/// Fails when a checkpoint's tokenizer differs from the donor's; returns what is only worth a warning.
pub(crate) async fn compare(
    stores: &Stores,
    members: &[OpenCheckpoint],
    donor: &OpenCheckpoint,
) -> Result<Vec<Warning>, Error> {
    let mut warnings = Vec::new();
    let mut parsed = None;
    // What an adapter doesn't bring is its base's.
    let bare = |other: &OpenCheckpoint| other.adapter.is_some() && !is_tokenized(other);
    for other in members.iter().filter(|other| other.name != donor.name && !bare(other)) {
        let shared = |file: &str| donor.has(file) && other.has(file);
        if shared("tokenizer.json") {
            let ours = read(stores, donor, "tokenizer.json").await?;
            let theirs = read(stores, other, "tokenizer.json").await?;
            if ours != theirs {
                let ours = match &parsed {
                    Some(tokenizer) => tokenizer,
                    None => parsed.insert(parse(donor, &ours)?),
                };
                if let Some((what, first_value, value)) = ours.difference(&parse(other, &theirs)?) {
                    return Err(mismatch(donor, other, what, first_value, value).into());
                }
            }
        } else if shared("tokenizer.model") || shared("vocab.json") || shared("vocab.txt") {
            for file in ["tokenizer.model", "vocab.json", "vocab.txt", "merges.txt", "added_tokens.json"] {
                if shared(file) && read(stores, donor, file).await? != read(stores, other, file).await? {
                    let what = format!("the content of {file}");
                    return Err(mismatch(donor, other, what, "one".to_owned(), "another".to_owned()).into());
                }
            }
        } else if is_tokenized(donor) || is_tokenized(other) {
            warnings.push(Warning::NoTokenizer { used: donor.name.clone(), other: other.name.clone() });
        }
    }
    Ok(warnings)
}

/// Chat templates and end-of-text ids: a merge with another's still works, if not as its user expects.
pub(crate) async fn compare_conventions(
    stores: &Stores,
    members: &[OpenCheckpoint],
    donor: &OpenCheckpoint,
) -> Result<Vec<Warning>, Error> {
    let mut warnings = Vec::new();
    let template = chat_template(stores, donor).await?;
    let ends =
        [("config.json", donor.config.clone()), ("generation_config.json", generation(stores, donor).await?)];
    for other in members.iter().filter(|other| other.name != donor.name && other.adapter.is_none()) {
        if chat_template(stores, other).await? != template {
            warnings.push(Warning::ChatTemplate { used: donor.name.clone(), other: other.name.clone() });
        }
        let theirs = [other.config.clone(), generation(stores, other).await?];
        for ((file, ours), theirs) in ends.iter().zip(&theirs) {
            let key = "eos_token_id";
            if ours.get(key) != theirs.get(key) {
                warnings.push(Warning::EosToken {
                    file,
                    used: donor.name.clone(),
                    used_value: shown(ours.get(key)),
                    other: other.name.clone(),
                    value: shown(theirs.get(key)),
                });
            }
        }
    }
    Ok(warnings)
}

fn is_tokenized(checkpoint: &OpenCheckpoint) -> bool {
    ["tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt"].iter().any(|file| checkpoint.has(file))
}

fn mismatch(
    donor: &OpenCheckpoint,
    other: &OpenCheckpoint,
    what: String,
    first_value: String,
    value: String,
) -> PoolError {
    PoolError::Tokenizer { what, first: donor.name.clone(), first_value, other: other.name.clone(), value }
}

fn parse(checkpoint: &OpenCheckpoint, bytes: &[u8]) -> Result<Tokenizer, Error> {
    Tokenizer::parse(bytes).map_err(|error| {
        let file = "tokenizer.json".to_owned();
        checkpoint.blame(CheckpointError::Json { file, message: error.to_string() })
    })
}

async fn read(stores: &Stores, checkpoint: &OpenCheckpoint, file: &str) -> Result<Bytes, Error> {
    let bytes = read_small(stores, &checkpoint.location, file, MAX_TOKENIZER).await;
    bytes.map_err(|source| checkpoint.blame(source))
}

/// A JSON file that may be absent, then `null`.
async fn optional_json(stores: &Stores, checkpoint: &OpenCheckpoint, file: &str) -> Result<Value, Error> {
    if !checkpoint.has(file) {
        return Ok(Value::Null);
    }
    let value = read_json(stores, &checkpoint.location, file, MAX_CONFIG).await;
    value.map_err(|source| checkpoint.blame(source))
}

async fn generation(stores: &Stores, checkpoint: &OpenCheckpoint) -> Result<Value, Error> {
    optional_json(stores, checkpoint, "generation_config.json").await
}

async fn chat_template(stores: &Stores, checkpoint: &OpenCheckpoint) -> Result<Option<Value>, Error> {
    let file = "chat_template.jinja";
    if checkpoint.has(file) {
        let text = read(stores, checkpoint, file).await?;
        return Ok(Some(String::from_utf8_lossy(&text).into()));
    }
    let config = optional_json(stores, checkpoint, "tokenizer_config.json").await?;
    Ok(config.get("chat_template").cloned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn difference(first: &str, other: &str) -> Option<String> {
        let parse = |text: &str| Tokenizer::parse(text.as_bytes()).unwrap();
        parse(first).difference(&parse(other)).map(|(what, _, _)| what)
    }

    #[test]
    fn both_forms_of_merges_mean_the_same() {
        let old =
            r#"{"model":{"vocab":{"a":0,"b":1},"merges":["a b"]},"added_tokens":[{"id":2,"content":"<s>"}]}"#;
        let new = r#"{"added_tokens":[{"content":"<s>","id":2,"special":true}],"version":"1.0",
            "model":{"merges":[["a","b"]],"vocab":{"b":1,"a":0}}}"#;
        assert_eq!(difference(old, new), None);
    }

    #[test]
    fn what_differs_is_named() {
        let base = r#"{"model":{"vocab":{"a":0,"b":1},"merges":["a b"]},"added_tokens":[]}"#;
        let vocabulary = r#"{"model":{"vocab":{"a":0,"b":2},"merges":["a b"]},"added_tokens":[]}"#;
        let merges = r#"{"model":{"vocab":{"a":0,"b":1},"merges":[]},"added_tokens":[]}"#;
        let added =
            r#"{"model":{"vocab":{"a":0,"b":1},"merges":["a b"]},"added_tokens":[{"id":9,"content":"x"}]}"#;
        assert_eq!(difference(base, vocabulary).as_deref(), Some("the id of token \"b\""));
        assert_eq!(difference(base, merges).as_deref(), Some("merge 0"));
        assert_eq!(difference(base, added).as_deref(), Some("added token 9"));
    }

    #[test]
    fn a_unigram_vocabulary_is_compared_by_position() {
        let first = r#"{"model":{"vocab":[["a",-1.0],["b",-2.0]]}}"#;
        let other = r#"{"model":{"vocab":[["b",-2.0],["a",-1.0]]}}"#;
        assert_eq!(difference(first, first), None);
        assert!(difference(first, other).is_some());
    }
}
