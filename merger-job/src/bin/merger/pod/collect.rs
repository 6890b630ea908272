//! `merger pod collect`: a trial's scores from its report, when its message was lost.

use mergesearch_merger::{Fault, Stores};
use mergesearch_search::contract::{CollectRequest, FaultClass, Message, Scores, TrialReport};

use super::REPORT;
use super::fault::PodFault;
use super::termination::TerminationLog;

/// Longest report that is read.
const MAX_REPORT: u64 = 64 << 20;

/// Answers what the trial would have answered, or that there is no report. A report of something else is refused.
pub(super) async fn run(
    stores: &Stores,
    request: &CollectRequest,
    log: &TerminationLog,
) -> Result<Message, PodFault> {
    let output =
        stores.locate(&request.output).map_err(|error| PodFault::new(FaultClass::Storage, &error))?;
    let file = output.join(REPORT);
    let text = match stores.get(&file, MAX_REPORT).await {
        Ok(text) => text,
        Err(error) if matches!(error.fault, Fault::NotFound(_)) => return Ok(Message::Absent),
        Err(error) => return Err(PodFault::storage(&error)),
    };
    let refused = |problem: String| PodFault::new(FaultClass::Input, &format!("{file}: {problem}"));
    let report: TrialReport = serde_json::from_slice(&text)
        .map_err(|error| refused(format!("expected a trial's report: {error}")))?;
    let TrialReport { search, trial, attempt, recipe_hash, recipe: _, stages } = report;
    let compared = [
        ("search", search.uid, request.search.uid.clone()),
        ("trial", trial.to_string(), request.trial.to_string()),
        ("recipe", recipe_hash.clone(), request.recipe_hash.clone()),
    ];
    for (what, found, expected) in compared {
        if found != expected {
            return Err(refused(format!("it is of another {what}: expected {expected:?}, found {found:?}")));
        }
    }
    let same = stages.len() == request.stages.len()
        && stages
            .iter()
            .zip(&request.stages)
            .all(|(found, asked)| found.stage == asked.stage && found.scores.len() == asked.metrics.len());
    if !same {
        return Err(refused("it has other stages or metrics than the search asks for".to_owned()));
    }
    let message =
        Message::Scores { trial, attempt, recipe_hash, scores: Scores::pack(&stages), uploaded: Some(true) };
    if log.fits(&message) {
        Ok(message)
    } else {
        Err(refused("its scores are too many for a message".to_owned()))
    }
}
