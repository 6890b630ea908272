//! The Jobs of a search, and the pods in them.

use k8s_openapi::api::batch::v1::Job;
use mergesearch_crds::{JournalStart, MergeSearch};
use mergesearch_search::SearchConfig;

use crate::identity::Work;
use crate::settings::Settings;

/// What every Job of a search is made from.
#[derive(Debug, Clone, Copy)]
pub struct Blueprint<'a> {
    /// The search as it is in the cluster, checked.
    pub resource: &'a MergeSearch,
    /// The engine's configuration of the search. Its locations are as in the manifest: `pvc://` is not yet a folder.
    pub config: &'a SearchConfig,
    /// What preflight found out; `None` before it has.
    pub start: Option<&'a JournalStart>,
    /// The operator's own settings.
    pub settings: &'a Settings,
}

impl Blueprint<'_> {
    /// The Job for a piece of work, ready to be created.
    pub fn job(&self, work: &Work, attempt: u32) -> Job {
        let _ = (work, attempt);
        Job::default()
    }
}
