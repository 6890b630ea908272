//! The journal of a search in a cluster: chunks of its history, chained by hash.

mod read;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::read::{JournalContents, JournalDamage, read_journal};
use crate::cel;

/// Size in bytes of [`MergeSearchJournalSpec::records`] at which a chunk is sealed and the next one begins.
pub const SEAL_BYTES: usize = 128 * 1024;

/// A chunk of a search's history. Written by the operator only; owned by its search.
#[derive(CustomResource, JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[kube(
    group = "mergesearch.dev",
    version = "v1alpha1",
    kind = "MergeSearchJournal",
    plural = "mergesearchjournals",
    singular = "mergesearchjournal",
    namespaced,
    derive = "PartialEq",
    doc = "A chunk of the history of a MergeSearch. Written by the operator only: a search whose chunk is missing or altered fails.",
    printcolumn(name = "Index", type_ = "integer", json_path = ".spec.index"),
    printcolumn(name = "Sealed", type_ = "boolean", json_path = ".spec.sealed"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[schemars(extend("x-kubernetes-validations" = cel::merge_search_journal_spec()))]
#[serde(rename_all = "camelCase")]
pub struct MergeSearchJournalSpec {
    /// The `metadata.uid` of the search. Immutable.
    #[schemars(length(min = 1, max = 63))]
    pub search_uid: String,
    /// The place of the chunk in the journal, from 0. Immutable.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub index: i32,
    /// Whether the chunk is complete; it then never changes again, and the next one begins.
    #[serde(default)]
    pub sealed: bool,
    /// What the search began with; in the first chunk only. Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<JournalStart>,
    /// SHA-256 of the previous chunk's `previousHash` and `records`, in hexadecimal; empty for the first chunk.
    /// Immutable.
    #[schemars(length(max = 64), regex(pattern = "^([0-9a-f]{64})?$"))]
    pub previous_hash: String,
    /// The records, one JSON value a line, each line ending with a line feed. Only appended to.
    #[serde(default)]
    #[schemars(length(max = 786_432))]
    pub records: String,
}

/// What a search began with and is held to.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct JournalStart {
    /// Layers of the models; 0 when their config says nothing.
    #[schemars(range(min = 0))]
    pub layers: i32,
    /// Bytes of a merged checkpoint with everything beside its tensors.
    #[schemars(range(min = 0))]
    pub candidate_bytes: i64,
    /// Fingerprints of the checkpoints in manifest order, then of the base: names, sizes and versions of their files.
    #[schemars(length(max = 257), inner(length(max = 64)))]
    pub fingerprints: Vec<String>,
    /// SHA-256 of the evaluator's image, command, args and env, in hexadecimal.
    #[schemars(length(max = 64))]
    pub evaluator_hash: String,
}
