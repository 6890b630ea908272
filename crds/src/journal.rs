//! The journal of a search in a cluster: chunks of its history, chained by hash.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
    /// SHA-256 of the previous chunk's `previousHash` and `records`, in hexadecimal; empty for the first chunk.
    /// Immutable.
    #[schemars(length(max = 64), regex(pattern = "^([0-9a-f]{64})?$"))]
    pub previous_hash: String,
    /// The records, one JSON value a line, each line ending with a line feed. Only appended to.
    #[serde(default)]
    #[schemars(length(max = 786_432))]
    pub records: String,
}
