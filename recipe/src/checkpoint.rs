//! A checkpoint of the pool: its name in recipes and reports, and where its files are.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The name of a checkpoint within a pool: 1 to 63 characters of `a-z`, `0-9`, `-`, beginning and ending with a letter
/// or digit (an RFC 1123 label), so that it can be part of Kubernetes names, file names and trial names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CheckpointName(String);

/// Why a text is no [`CheckpointName`].
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "checkpoint name {name:?}: expected 1 to 63 of a-z, 0-9 and '-', beginning and ending with a letter or digit"
)]
pub struct CheckpointNameError {
    name: String,
}

impl CheckpointName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for CheckpointName {
    type Error = CheckpointNameError;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        let edge = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let bytes = name.as_bytes();
        let valid = (1..=63).contains(&bytes.len())
            && bytes.iter().all(|&byte| edge(byte) || byte == b'-')
            && bytes.first().is_some_and(|&byte| edge(byte))
            && bytes.last().is_some_and(|&byte| edge(byte));
        if valid { Ok(Self(name)) } else { Err(CheckpointNameError { name }) }
    }
}

impl TryFrom<&str> for CheckpointName {
    type Error = CheckpointNameError;

    fn try_from(name: &str) -> Result<Self, Self::Error> {
        Self::try_from(name.to_owned())
    }
}

impl From<CheckpointName> for String {
    fn from(name: CheckpointName) -> Self {
        name.0
    }
}

impl fmt::Display for CheckpointName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// One member of the pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// Unique within the pool.
    pub name: CheckpointName,
    /// Where the checkpoint's folder is: `s3://bucket/prefix`, `file:///absolute/folder`.
    pub uri: String,
}
