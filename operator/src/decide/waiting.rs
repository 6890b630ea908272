//! Why a Job's pods do not run: everything that would otherwise look like a search that hangs.

use k8s_openapi::jiff::SignedDuration;
use mergesearch_crds::conditions::reason;

use super::Trouble;
use super::verdict::outgrew_scratch;
use crate::observe::{ContainerState, JobView, Observed, PodView};

/// Seconds after which a Job without pods, or a pod without a running container, is looked into.
const PATIENCE: i64 = 25;

/// Reasons for which a search waits, the gravest first.
pub(super) const ORDER: [&str; 13] = [
    reason::POOL_CHANGED,
    reason::STORAGE_UNAVAILABLE,
    reason::CANDIDATE_LOST,
    reason::SCRATCH_TOO_SMALL,
    reason::REPEATED_DISRUPTION,
    reason::ATTEMPTS_EXHAUSTED,
    reason::PODS_REFUSED,
    reason::IMAGE_PULL_FAILED,
    reason::CONFIGURATION_MISSING,
    reason::NODE_LOST,
    reason::PUBLISH_FAILED,
    reason::EVALUATOR_FAILED,
    reason::QUEUED,
];

/// An object whose Events have to be listed: refusals and missing volumes show nowhere else.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subject {
    /// Its kind.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
}

/// The Jobs and pods whose Events a decision will ask for.
pub fn troubled(observed: &Observed<'_>) -> Vec<Subject> {
    let mut subjects = Vec::new();
    for job in observed.jobs.values().filter(|job| job.is_active() && !job.suspended) {
        let pods = observed.pods_of(job);
        if is_without_pods(job, observed) {
            subjects.push(Subject { kind: "Job", name: job.name.clone(), uid: job.uid.clone() });
        }
        let stuck = pods.iter().filter(|pod| is_stuck(pod, observed));
        subjects.extend(stuck.map(|pod| Subject {
            kind: "Pod",
            name: pod.name.clone(),
            uid: pod.uid.clone(),
        }));
    }
    subjects
}

/// Why an active Job does not run.
pub(super) fn trouble_of(job: &JobView, observed: &Observed<'_>) -> Option<Trouble> {
    let trouble = |reason, message: String| Some(Trouble { reason, message });
    if job.suspended {
        return trouble(reason::QUEUED, format!("Job {} waits for admission by its queue", job.name));
    }
    let pods = observed.pods_of(job);
    if let Some(pod) = pods.iter().rev().find(|pod| outgrew_scratch(pod)) {
        return trouble(reason::SCRATCH_TOO_SMALL, format!("pod {}: {}", pod.name, pod.message));
    }
    if is_without_pods(job, observed) {
        let refusal = observed.events_of(&job.uid).iter().find(|event| event.reason == "FailedCreate")?;
        return trouble(reason::PODS_REFUSED, format!("Job {}: {}", job.name, refusal.message));
    }
    let pod = pods.iter().rev().find(|pod| !pod.has_ended() && pod.deletion.is_none())?;
    if let Some((_, message)) = &pod.unschedulable {
        return trouble(reason::QUEUED, format!("pod {} waits for a node: {message}", pod.name));
    }
    for container in &pod.containers {
        let ContainerState::Waiting { reason: why, message } = &container.state else { continue };
        let what = match why.as_str() {
            "ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull" => {
                reason::IMAGE_PULL_FAILED
            }
            "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => {
                reason::CONFIGURATION_MISSING
            }
            _ => continue,
        };
        return trouble(what, format!("container {} of pod {}: {message}", container.name, pod.name));
    }
    if is_stuck(pod, observed) {
        let events = observed.events_of(&pod.uid).iter();
        let mount = events.into_iter().find(|event| {
            matches!(event.reason.as_str(), "FailedMount" | "FailedAttachVolume" | "FailedCreatePodSandBox")
        })?;
        return trouble(reason::CONFIGURATION_MISSING, format!("pod {}: {}", pod.name, mount.message));
    }
    None
}

/// Whether a Job has had time to get a pod and has none.
fn is_without_pods(job: &JobView, observed: &Observed<'_>) -> bool {
    let pods = observed.pods_of(job);
    let since = pods.iter().filter_map(PodView::ended).max().unwrap_or(job.created);
    pods.iter().all(PodView::has_ended) && observed.now >= since + SignedDuration::from_secs(PATIENCE)
}

/// Whether a pod has a node and has had time to start a container, and has started none.
fn is_stuck(pod: &PodView, observed: &Observed<'_>) -> bool {
    let waits = |state: &ContainerState| matches!(state, ContainerState::Waiting { .. });
    let patience = SignedDuration::from_secs(PATIENCE);
    !pod.has_ended()
        && pod.containers.iter().all(|container| waits(&container.state))
        && pod.scheduled.is_some_and(|scheduled| observed.now >= scheduled + patience)
}
