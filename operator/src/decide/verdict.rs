//! What came of a Job: whose fault a failure is.
//!
//! Only the evaluator's own failure, its deadline, unusable results and a recipe that can't be merged fail a trial.
//! Everything else is the infrastructure's, and infrastructure must not steer the search.

use mergesearch_crds::conditions::reason;
use mergesearch_crds::{EVALUATOR, labels};
use mergesearch_search::contract::{FaultClass, Message, exit_code};

use crate::identity::Role;
use crate::observe::{JobPhase, JobView, PodView};

/// The container that brings a trial's candidate: one of these.
pub(super) const SOURCES: [&str; 2] = [labels::MERGE_CONTAINER, labels::FETCH_CONTAINER];

/// What came of a Job.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Verdict {
    /// It goes on, or its pods are not in the cache yet.
    Open,
    /// It answered.
    Answer(Message),
    /// It did its work, and its answer is lost.
    Lost,
    /// The trial has failed, for good; one sentence.
    Failed(String),
    /// It failed for no fault of its own.
    Fault(Fault),
}

/// A failure that another attempt may not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// A reason of [`mergesearch_crds::conditions::reason`].
    pub(super) reason: &'static str,
    /// One sentence.
    pub(super) message: String,
    /// Whether another attempt makes no sense before the search's spec has changed.
    pub(super) until_changed: bool,
}

impl Fault {
    /// One of nobody in particular.
    pub(super) fn other(message: impl Into<String>) -> Self {
        Self { reason: reason::ATTEMPTS_EXHAUSTED, message: message.into(), until_changed: false }
    }

    fn of(class: FaultClass, message: String) -> Self {
        let (reason, until_changed) = match class {
            FaultClass::Storage => (reason::STORAGE_UNAVAILABLE, false),
            FaultClass::Scratch => (reason::SCRATCH_TOO_SMALL, true),
            FaultClass::PoolChanged => (reason::POOL_CHANGED, false),
            FaultClass::Candidate => (reason::CANDIDATE_LOST, false),
            FaultClass::Input | FaultClass::Results | FaultClass::Other => {
                (reason::ATTEMPTS_EXHAUSTED, false)
            }
        };
        Self { reason, message, until_changed }
    }
}

/// Judges a Job by its conditions and pods. `confirmed`: the pods were just read from the API server.
pub(super) fn verdict(job: &JobView, pods: &[PodView], confirmed: bool) -> Verdict {
    match &job.phase {
        JobPhase::Active => Verdict::Open,
        JobPhase::Complete { .. } => {
            let answers =
                pods.iter().rev().filter_map(|pod| pod.container(labels::REPORT_CONTAINER)?.termination());
            let answer =
                answers.filter(|(code, ..)| *code == exit_code::DONE).find_map(|(.., text)| message(text));
            match answer {
                Some(Message::InReport { .. }) => Verdict::Lost,
                Some(Message::Fault { class, message }) => Verdict::Fault(Fault::of(class, message)),
                Some(answer) => Verdict::Answer(answer),
                None if confirmed || pods.iter().any(PodView::has_ended) => Verdict::Lost,
                None => Verdict::Open,
            }
        }
        // Of several pods that share the work some may have succeeded. Of equals the newest is the last.
        JobPhase::Failed { message, .. } => {
            match pods.iter().filter(|pod| !pod.was_interrupted()).max_by_key(|pod| pod.failed) {
                Some(pod) => failure(pod),
                None if pods.is_empty() && !confirmed => Verdict::Open,
                None => Verdict::Fault(Fault::other(format!("its pods were deleted or evicted ({message})"))),
            }
        }
    }
}

/// Whether a pod was evicted because its own volumes grew too large.
pub(super) fn outgrew_scratch(pod: &PodView) -> bool {
    // Evictions that the node's other pods cause carry a condition.
    pod.failed && pod.reason == "Evicted" && !pod.disrupted && pod.message.contains("exceeds")
}

fn failure(pod: &PodView) -> Verdict {
    let terminated = |name: &str| pod.container(name).and_then(|container| container.termination());
    let failed = |name: &str| terminated(name).filter(|(code, ..)| *code != 0);
    let mut sources = SOURCES.into_iter().filter_map(terminated);
    let has_candidate = sources.any(|(code, ..)| code == exit_code::DONE);
    if outgrew_scratch(pod) {
        return Verdict::Fault(Fault::of(FaultClass::Scratch, pod.message.clone()));
    }
    if pod.reason == "DeadlineExceeded" {
        return if has_candidate {
            Verdict::Failed(
                "the evaluator ran past spec.evaluation.activeDeadlineSeconds and was killed".into(),
            )
        } else {
            Verdict::Fault(Fault::other("its deadline passed before it had merged or read anything"))
        };
    }
    if !pod.reason.is_empty() {
        return Verdict::Fault(Fault::other(format!("{}: {}", pod.reason, pod.message)));
    }
    if let Some(ended) = failed(labels::MERGE_CONTAINER) {
        return of_ours("the merge", ended);
    }
    if let Some(ended) = failed(labels::FETCH_CONTAINER) {
        return of_ours("fetching the candidate", ended);
    }
    let evaluators = [EVALUATOR, labels::HELD_OUT_CONTAINER];
    let evaluator = evaluators.iter().find_map(|name| failed(name));
    if let Some((code, why, text)) = evaluator {
        return Verdict::Failed(format!("the evaluator {}", ending(code, why, text)));
    }
    if let Some(ended) = failed(labels::REPORT_CONTAINER) {
        // The container of all pods that only work for the operator.
        let what = if pod.role == Role::Merge { "the merge" } else { "reading the results" };
        return of_ours(what, ended);
    }
    // A step of the template's own. Sidecars are killed at the end and fail only when nothing else did.
    let step = pod.containers.iter().find_map(|container| {
        let (code, why, text) = container.termination().filter(|(code, ..)| *code != 0)?;
        Some(format!("init container {} {}", container.name, ending(code, why, text)))
    });
    step.map_or_else(
        || Verdict::Fault(Fault::other(format!("pod {} failed without a reason", pod.name))),
        Verdict::Failed,
    )
}

/// The failure of a container with our own program.
fn of_ours(what: &str, (code, why, text): (i32, &str, &str)) -> Verdict {
    match message(text) {
        Some(Message::Fault { class: FaultClass::Input, message }) => {
            Verdict::Failed(format!("{what} failed: {message}"))
        }
        Some(Message::Fault { class: FaultClass::Results, message }) => Verdict::Failed(message),
        Some(Message::Fault { class, message }) => Verdict::Fault(Fault::of(class, message)),
        Some(Message::InReport { .. } | Message::Scores { .. }) => Verdict::Lost,
        _ if code == exit_code::BAD_INPUT => Verdict::Failed(format!("{what} {}", ending(code, why, text))),
        _ if code == exit_code::POOL_CHANGED => {
            Verdict::Fault(Fault::of(FaultClass::PoolChanged, format!("{what} {}", ending(code, why, text))))
        }
        _ if code == exit_code::CANDIDATE_LOST => {
            Verdict::Fault(Fault::of(FaultClass::Candidate, format!("{what} {}", ending(code, why, text))))
        }
        _ => Verdict::Fault(Fault::other(format!("{what} {}", ending(code, why, text)))),
    }
}

/// How a container ended, with the last line of what it said.
fn ending(code: i32, why: &str, text: &str) -> String {
    const LONGEST: usize = 200;
    let how = match why {
        "OOMKilled" => "was killed: it needs more memory than its limit".to_owned(),
        _ => format!("exited with code {code}"),
    };
    let Some(line) = text.lines().map(str::trim).rfind(|line| !line.is_empty()) else { return how };
    let printable = line.chars().map(|character| if character.is_control() { ' ' } else { character });
    format!("{how}: {}", printable.take(LONGEST).collect::<String>())
}

fn message(text: &str) -> Option<Message> {
    serde_json::from_str(text.trim()).ok()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::jiff::Timestamp;

    use super::*;
    use crate::identity::JobKey;
    use crate::observe::{ContainerState, ContainerView};

    /// A failed Job of pods that share a merge.
    fn job() -> JobView {
        let at = Timestamp::UNIX_EPOCH;
        let trial: mergesearch_search::TrialId = "g0001-c000".parse().unwrap();
        JobView {
            name: "recycle".to_owned(),
            uid: "1".to_owned(),
            version: "1".to_owned(),
            key: JobKey { role: Role::Merge, trial: Some(trial.clone()), attempt: 0 },
            merges: vec![trial],
            created: at,
            started: at,
            suspended: false,
            deleting: false,
            search_generation: 1,
            phase: JobPhase::Failed { at, reason: String::new(), message: "pods failed".to_owned() },
        }
    }

    fn pod(name: &str, code: i32, message: &str) -> PodView {
        let state = ContainerState::Terminated {
            code,
            reason: String::new(),
            message: message.to_owned(),
            started: None,
            finished: Some(Timestamp::UNIX_EPOCH),
        };
        PodView {
            name: name.to_owned(),
            uid: name.to_owned(),
            job_uid: "1".to_owned(),
            role: Role::Merge,
            trial: None,
            created: Timestamp::UNIX_EPOCH,
            scheduled: None,
            unschedulable: None,
            failed: code != 0,
            reason: String::new(),
            message: String::new(),
            disrupted: false,
            deletion: None,
            containers: vec![ContainerView { name: labels::REPORT_CONTAINER.to_owned(), state }],
        }
    }

    #[test]
    fn of_pods_that_share_a_merge_the_one_that_failed_tells() {
        let bad = r#"{"kind":"fault","class":"input","message":"no such layer"}"#;
        let (whole, failed) = (pod("b", 0, ""), pod("a", exit_code::BAD_INPUT, bad));
        // The others are stopped when one has failed for good.
        let stopped =
            PodView { deletion: Some(Timestamp::UNIX_EPOCH), ..pod("c", exit_code::TRANSIENT, "stopped") };
        let found = verdict(&job(), &[failed, whole, stopped.clone()], true);
        assert_eq!(found, Verdict::Failed("the merge failed: no such layer".to_owned()));
        assert!(matches!(verdict(&job(), &[stopped], true), Verdict::Fault(_)));
    }
}
