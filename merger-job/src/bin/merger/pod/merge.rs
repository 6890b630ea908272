//! `merger pod merge`: the candidate of a trial, into the scratch volume.

use std::path::Path;

use mergesearch_merger::{Location, MergeOptions, Progress, Stores};
use mergesearch_search::contract::TrialRequest;

use super::fault::PodFault;
use super::pool;
use super::retry::retry;
use crate::progress::watch;
use crate::terminal::note;

/// Whole merges that are tried: the pod would otherwise give back its GPUs and queue for them again.
const ATTEMPTS: u32 = 3;

/// Merges the recipe over whatever an earlier attempt left.
pub(super) async fn run(stores: &Stores, request: &TrialRequest, model: &Path) -> Result<(), PodFault> {
    let output = Location::File(model.to_owned());
    let options = options(request.memory, request.max_shard_size, true);
    retry(ATTEMPTS, async || {
        let pool = pool::open(stores, &request.recipe, &request.fingerprints).await?;
        let progress = Progress::default();
        let merge = mergesearch_merger::merge(stores, &pool, &request.recipe, &output, &options, &progress);
        let report = watch(&progress, "merging", merge).await.map_err(|error| PodFault::of_merge(&error))?;
        for warning in pool.warnings().iter().chain(&report.warnings) {
            note(&format!("warning: {warning}"));
        }
        Ok(())
    })
    .await
}

/// How a request wants merges to be made.
pub(super) fn options(memory: Option<u64>, max_shard_size: u64, overwrite: bool) -> MergeOptions {
    let default = MergeOptions::default();
    let memory_budget = memory.unwrap_or(default.memory_budget);
    MergeOptions { memory_budget, max_shard_size, overwrite, ..default }
}
