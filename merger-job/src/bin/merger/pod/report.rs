//! `merger pod report`: a trial's scores into the termination log, then the report and the results into storage.

use std::path::Path;
use std::time::Duration;

use mergesearch_merger::{Stores, stage_scores};
use mergesearch_search::StageScores;
use mergesearch_search::contract::{FaultClass, Message, Scores, StageRequest, TrialReport, TrialRequest};

use super::fault::PodFault;
use super::retry::within;
use super::termination::TerminationLog;
use super::upload::upload;
use crate::arguments::Places;
use crate::terminal::note;

/// The pod holds its GPUs while the candidate is deleted.
const LONGEST_DISCARD: Duration = Duration::from_mins(1);

/// Answers the scores first, so that no fault of storage costs what the GPUs have earned.
pub(super) async fn run(
    stores: &Stores,
    request: &TrialRequest,
    places: &Places,
    log: &TerminationLog,
) -> Result<Message, PodFault> {
    let (folder, asked) = (places.results_dir.clone(), request.stages.clone());
    // Beside the runtime: a folder of results may be slow, and the pod must still end when it is asked to.
    let read = tokio::task::spawn_blocking(move || read(&folder, &asked)).await;
    let stages = read.map_err(|error| PodFault::other(&error))??;
    let answer = |uploaded| Message::Scores {
        trial: request.trial.clone(),
        attempt: request.attempt,
        recipe_hash: request.recipe_hash.clone(),
        scores: Scores::pack(&stages),
        uploaded,
    };
    let answered = log.fits(&answer(Some(false)));
    if answered && let Err(error) = log.write(&answer(None)) {
        note(&format!(
            "the scores could not be written to the termination log ({error}); the report has them"
        ));
    }
    let report = TrialReport {
        search: request.search.clone(),
        trial: request.trial.clone(),
        attempt: request.attempt,
        recipe_hash: request.recipe_hash.clone(),
        recipe: request.recipe.clone(),
        stages: stages.clone(),
    };
    let limit = Duration::from_secs(places.upload_seconds);
    match (answered, upload(stores, &report, &places.results_dir, &request.output, limit).await) {
        (true, Ok(())) => {
            discard(stores, request, limit).await;
            Ok(answer(Some(true)))
        }
        (true, Err(fault)) => {
            note(&format!("the results were not uploaded: {}", fault.message));
            Ok(answer(Some(false)))
        }
        (false, Ok(())) => {
            discard(stores, request, limit).await;
            Ok(Message::InReport { trial: request.trial.clone() })
        }
        // The scores are nowhere but in this pod.
        (false, Err(fault)) => Err(fault),
    }
}

/// Makes room in the handoff: nothing needs the candidate once its report is in storage. What can't be deleted now goes
/// at the end of the search.
async fn discard(stores: &Stores, request: &TrialRequest, limit: Duration) {
    let Some(uri) = &request.candidate else { return };
    let deleted = within(limit.min(LONGEST_DISCARD), async {
        let location = stores.locate(uri).map_err(|error| PodFault::new(FaultClass::Storage, &error))?;
        stores.delete_folder(&location).await.map_err(|error| PodFault::storage(&error))
    });
    if let Err(fault) = deleted.await {
        note(&format!("the candidate stays in the handoff until the search ends: {}", fault.message));
    }
}

fn read(results: &Path, asked: &[StageRequest]) -> Result<Vec<StageScores>, PodFault> {
    let of_stage = |StageRequest { stage, metrics }: &StageRequest| {
        stage_scores(&results.join(stage.as_str()), *stage, metrics).map_err(|problem| {
            let message = format!("the evaluator succeeded, but {problem}, in stage {stage}");
            PodFault::new(FaultClass::Results, &message)
        })
    };
    asked.iter().map(of_stage).collect()
}
