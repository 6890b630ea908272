//! The rules of a search that its schema can't say, in Rust: the same in local runs, in `mergesearch validate` and in the
//! operator (`Accepted=False`).

use crate::MergeSearch;
use crate::manifest::Findings;

/// Where a search will run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// On one machine: evaluators are child processes.
    Local,
    /// In a Kubernetes cluster.
    Cluster,
}

pub(crate) fn check(resource: &MergeSearch, place: Place, findings: &mut Findings) {
    let _ = (resource, place, findings);
}
