//! `merger pod fetch`: the candidate that other pods have merged, into the scratch volume.

use std::path::Path;

use mergesearch_merger::{Location, Progress, Stores, fetch, is_published};
use mergesearch_search::contract::{FaultClass, TrialRequest};

use super::fault::PodFault;
use super::retry::retry;
use crate::progress::watch;

/// Whole copies that are tried: the pod would otherwise give back its GPUs and queue for them again.
const ATTEMPTS: u32 = 3;

/// Copies the candidate from object storage. One in a folder that the pod has mounted needs to be whole, no more.
pub(super) async fn run(stores: &Stores, request: &TrialRequest, model: &Path) -> Result<(), PodFault> {
    let Some(uri) = &request.candidate else {
        return Err(PodFault::other(&"MERGESEARCH_REQUEST: it names no candidate to fetch"));
    };
    let source = stores.locate(uri).map_err(|error| PodFault::new(FaultClass::Storage, &error))?;
    retry(ATTEMPTS, async || {
        let is_whole = is_published(stores, &request.recipe, &source).await;
        if !is_whole.map_err(|error| PodFault::of_fetch(&error))? {
            let message =
                format!("candidate {uri}: it is not there any more, or not whole; it is merged again");
            return Err(PodFault::new(FaultClass::Candidate, &message));
        }
        if matches!(source, Location::File(_)) {
            return Ok(());
        }
        let progress = Progress::default();
        let copy = fetch(stores, &source, model, &progress);
        watch(&progress, "fetching", copy).await.map_err(|error| PodFault::of_fetch(&error))
    })
    .await
}
