//! `merger pod merge` for several candidates: from one pass over the pool into the folders that evaluating pods read.

use mergesearch_merger::{Location, MergeOptions, Merging, Part, Progress, Stores, merge_all};
use mergesearch_search::contract::{FaultClass, INDEX_VARIABLE, MergeRequest, Message};

use super::fault::PodFault;
use super::merge::options;
use super::pool;
use super::retry::retry;
use crate::progress::watch;
use crate::terminal::note;

/// Whole merges that are tried in one pod. Files that an earlier attempt finished are not made again.
const ATTEMPTS: u32 = 3;

/// Makes this pod's part of every candidate.
pub(super) async fn run(stores: &Stores, request: &MergeRequest) -> Result<Message, PodFault> {
    let index = std::env::var(INDEX_VARIABLE).unwrap_or_default();
    let part = part(&index, request.parts)?;
    let options = MergeOptions { part: Some(part), ..options(request.memory, request.max_shard_size, true) };
    let Some(first) = request.candidates.first() else { return Ok(Message::Done) };
    let mut outputs: Vec<Location> = Vec::new();
    for candidate in &request.candidates {
        let output = stores.locate(&candidate.output);
        outputs.push(output.map_err(|error| PodFault::new(FaultClass::Input, &error))?);
    }
    retry(ATTEMPTS, async || {
        let pool = pool::open(stores, &first.recipe, &request.fingerprints).await?;
        let mergings = request.candidates.iter().zip(&outputs);
        let mergings: Result<Vec<_>, _> =
            mergings.map(|(candidate, output)| Merging::with_recipe(&candidate.recipe, output)).collect();
        let mergings = mergings.map_err(|error| PodFault::of_merge_into_storage(&error))?;
        let progress = Progress::default();
        let merges = merge_all(stores, &pool, mergings, &options, &progress);
        let reports = watch(&progress, "merging", merges)
            .await
            .map_err(|error| PodFault::of_merge_into_storage(&error))?;
        let warnings = reports.iter().flat_map(|report| &report.warnings).map(ToString::to_string);
        for warning in pool.warnings().iter().map(ToString::to_string).chain(warnings) {
            note(&format!("warning: {warning}"));
        }
        Ok(())
    })
    .await?;
    Ok(Message::Done)
}

/// Which part is this pod's.
fn part(index: &str, count: u32) -> Result<Part, PodFault> {
    match index.parse() {
        Ok(index) if index < count => Ok(Part { index, count }),
        _ => Err(PodFault::other(&format!(
            "{INDEX_VARIABLE}: expected a number below {count}, as in a Job of completion mode Indexed, found {index:?}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_without_an_index_of_its_job_makes_nothing() {
        assert_eq!(part("1", 2).unwrap(), Part { index: 1, count: 2 });
        for index in ["", "2", "-1", "one"] {
            assert_eq!(part(index, 2).unwrap_err().class, FaultClass::Other, "{index:?}");
        }
    }
}
