//! `tokenizer.json`: which token has which row, and the file of a union.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::printable;

/// Rows beyond this are no vocabulary's.
const MOST_ROWS: u64 = 1 << 24;

/// What of a tokenizer says which token has which row.
#[derive(Debug)]
pub(super) struct TokenizerFile {
    rows: BTreeMap<String, u64>,
    added: Vec<Value>,
}

impl TokenizerFile {
    pub(super) fn parse(text: &[u8]) -> Result<Self, String> {
        let mut content = content(text)?;
        let mut rows = BTreeMap::new();
        match content.pointer("/model/vocab") {
            Some(Value::Object(entries)) => {
                let entries = entries.iter().filter_map(|(token, row)| Some((token.clone(), row.as_u64()?)));
                rows.extend(entries);
            }
            // Of Unigram models, pairs of token and score.
            Some(Value::Array(entries)) => {
                let tokens = entries.iter().map(|entry| entry.get(0).and_then(Value::as_str));
                let entries = (0..).zip(tokens).filter_map(|(row, token)| Some((token?.to_owned(), row)));
                rows.extend(entries);
            }
            _ => return Err("expected model.vocab, an object or a list".to_owned()),
        }
        let added = match content.get_mut("added_tokens").map(Value::take) {
            Some(Value::Array(added)) => added,
            _ => Vec::new(),
        };
        for token in &added {
            let entry =
                token.get("content").and_then(Value::as_str).zip(token.get("id").and_then(Value::as_u64));
            let (text, row) = entry.ok_or("expected id and content in each of added_tokens")?;
            rows.insert(text.to_owned(), row);
        }
        match rows.iter().find(|(_, row)| **row >= MOST_ROWS) {
            Some((token, row)) => {
                Err(format!("token {token:?}: its id is {row}, expected less than {MOST_ROWS}"))
            }
            None if rows.is_empty() => Err("expected tokens".to_owned()),
            None => Ok(Self { rows, added }),
        }
    }

    pub(super) fn has(&self, token: &str) -> bool {
        self.rows.contains_key(token)
    }

    pub(super) fn row(&self, token: &str) -> Option<u64> {
        self.rows.get(token).copied()
    }

    /// For each row up to the last its token; rows may have none, and of several the first by name counts.
    pub(super) fn by_row(&self) -> Vec<Option<&str>> {
        let count = self.rows.values().max().map_or(0, |last| last + 1);
        let mut tokens = vec![None; count as usize];
        for (token, &row) in self.rows.iter().rev() {
            tokens[row as usize] = Some(token.as_str());
        }
        tokens
    }

    fn added(&self, token: &str) -> Option<&Value> {
        self.added.iter().find(|entry| entry.get("content").and_then(Value::as_str) == Some(token))
    }
}

fn content(text: &[u8]) -> Result<Value, String> {
    serde_json::from_slice(text).map_err(|error| printable(&error.to_string()))
}

/// The donor's file with tokens added at those rows, each as the first of the files has it that has it as an added one.
pub(super) fn extended(
    donor: &[u8],
    added: &[(u64, &str)],
    files: &[Arc<TokenizerFile>],
) -> Result<Bytes, String> {
    let mut content = content(donor)?;
    let entries = added.iter().map(|&(row, token)| {
        let known = files.iter().find_map(|file| file.added(token)).cloned();
        let mut entry = known.unwrap_or_else(|| {
            // As the tokenizers library adds a text.
            json!({
                "content": token, "single_word": false, "lstrip": false, "rstrip": false, "normalized": true,
                "special": false,
            })
        });
        entry["id"] = row.into();
        entry
    });
    match content.get_mut("added_tokens") {
        Some(Value::Array(tokens)) => tokens.extend(entries),
        _ => content["added_tokens"] = entries.collect(),
    }
    Ok(Bytes::from(format!("{content:#}\n")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(content: &Value) -> TokenizerFile {
        TokenizerFile::parse(content.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn rows_come_from_vocabulary_and_added_tokens() {
        let added = json!([{"id": 4, "content": "<s>", "special": true}]);
        let words = file(&json!({"model": {"vocab": {"a": 0, "b": 1}}, "added_tokens": added}));
        assert_eq!(words.by_row(), [Some("a"), Some("b"), None, None, Some("<s>")]);
        let pieces = file(&json!({"model": {"vocab": [["a", -1.0], ["b", -2.0]]}}));
        assert_eq!(pieces.by_row(), [Some("a"), Some("b")]);
    }

    #[test]
    fn added_tokens_keep_what_they_are() {
        let donor = json!({"model": {"vocab": {"a": 0}}});
        let special = json!([{"id": 7, "content": "<s>", "special": true}]);
        let other = file(&json!({"model": {"vocab": {"b": 0}}, "added_tokens": special}));
        let files = [Arc::new(file(&donor)), Arc::new(other)];
        let text = extended(donor.to_string().as_bytes(), &[(1, "<s>"), (2, "b")], &files).unwrap();
        let written: Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(written["added_tokens"][0], json!({"id": 1, "content": "<s>", "special": true}));
        assert_eq!(written["added_tokens"][1]["id"], 2);
        assert_eq!(written["added_tokens"][1]["special"], false);
        assert_eq!(file(&written).by_row(), [Some("a"), Some("<s>"), Some("b")]);
    }

    #[test]
    fn what_is_no_tokenizer_is_refused() {
        let refused = |content: Value| TokenizerFile::parse(content.to_string().as_bytes()).unwrap_err();
        assert!(refused(json!({})).contains("model.vocab"));
        assert!(refused(json!({"model": {"vocab": {"a": 1_u64 << 40}}})).contains("its id is"));
        assert!(refused(json!({"model": {"vocab": {}}, "added_tokens": [1]})).contains("added_tokens"));
    }
}
