//! Starting, retrying and stopping Jobs, whatever they are for.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use mergesearch_crds::conditions::reason;
use mergesearch_search::SearchConfig;

use super::verdict::{Fault, SOURCES, Verdict, verdict};
use super::waiting::trouble_of;
use super::{Pass, Write};
use crate::identity::{JobKey, Role, Work, label_value};
use crate::observe::{ContainerView, JobView, PodView};
use crate::pods::Blueprint;

/// Attempts that follow each other quickly; later ones wait for things to change.
pub(super) const QUICK_ATTEMPTS: u32 = 3;
/// Seconds before the second attempt; three times as many before the third.
const QUICK_DELAY: i64 = 10;
/// Seconds between attempts after that.
const SLOW_DELAY: i64 = 120;
/// Failed attempts that are kept for their logs.
const KEPT_ATTEMPTS: usize = 2;
/// Seconds after which a Job that was refused is tried again.
const REFUSED_DELAY: i64 = 30;

/// What is known of the Job of a key.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Seen<'a> {
    /// As observed.
    There(&'a JobView),
    /// Made by us or seen before; not in the cache, and not known to be gone.
    Assumed,
    /// Being deleted.
    Going,
    /// Gone without our doing.
    Vanished,
}

impl<'a> Pass<'a> {
    /// What is known of a key's Job; `None` when there is none.
    pub(super) fn seen(&self, key: &JobKey) -> Option<Seen<'a>> {
        let job = self.observed.jobs.get(key);
        let expected = self.memory.expected.get(key);
        if self.memory.vanished.contains(key) {
            return Some(Seen::Vanished);
        }
        match job {
            Some(job) if Some(&job.uid) == expected && !job.deleting => Some(Seen::There(job)),
            Some(job) if Some(&job.uid) == expected || expected.is_none() => Some(Seen::Going),
            _ => expected.map(|_| Seen::Assumed),
        }
    }

    /// Attempts of a piece of work that are known, in order.
    pub(super) fn attempts(&self, role: Role, trial: Option<&mergesearch_search::TrialId>) -> Vec<u32> {
        let keys = self.observed.jobs.keys().chain(self.memory.expected.keys()).chain(&self.memory.vanished);
        let own = keys.filter(|key| key.role == role && key.trial.as_ref() == trial);
        own.map(|key| key.attempt).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Starts a Job unless pods of an earlier one for the same work still run, or the API server refused it just now.
    pub(super) fn start(&mut self, config: &SearchConfig, work: &Work, attempt: u32) {
        let key = work.key(attempt);
        if let Some(refusal) = self.memory.refused.get(&key).cloned() {
            self.trouble(reason::PODS_REFUSED, format!("the Job for {key} is refused: {}", refusal.message));
            let due = refusal.at + SignedDuration::from_secs(REFUSED_DELAY);
            if due > self.now() {
                self.wake_at(due);
                return;
            }
        }
        let trial = key.trial.as_ref().map(|trial| label_value(&trial.to_string()));
        let pods = self.observed.pods.values().flatten();
        let mut own = pods.filter(|pod| pod.role == key.role && pod.trial == trial);
        if own.any(|pod| !pod.has_ended()) || self.seen(&key).is_some_and(|seen| seen == Seen::Going) {
            self.wake_after(Duration::from_secs(5));
            return;
        }
        let blueprint = Blueprint {
            resource: self.observed.resource,
            config,
            start: self.memory.journal().map(crate::journal::Journal::start),
            settings: self.settings,
        };
        let job = blueprint.job(work, attempt);
        self.memory.vanished.remove(&key);
        self.writes.create.push((key, job));
    }

    /// Whether another attempt is due after one that failed for no fault of its own; says what is waited for if not.
    pub(super) fn retry_is_due(&mut self, job: &JobView, ended: Timestamp, fault: &Fault) -> bool {
        let attempt = job.key.attempt % super::trials::COLLECTS;
        let quick = attempt + 1 < QUICK_ATTEMPTS;
        let changed = Some(job.search_generation) != self.resource().metadata.generation;
        let what = told(job, fault);
        if fault.until_changed {
            if !changed {
                self.trouble(fault.reason, what);
            }
            return changed;
        }
        match fault.reason {
            reason::ATTEMPTS_EXHAUSTED if quick => {}
            reason => self.trouble(reason, what),
        }
        let delay = if quick { QUICK_DELAY * 3_i64.pow(attempt) } else { SLOW_DELAY };
        let due = ended + SignedDuration::from_secs(delay);
        if changed || due <= self.now() {
            return true;
        }
        self.wake_at(due);
        false
    }

    /// Notes why an active Job does not run, or why the attempt before it failed while it has not come further.
    pub(super) fn look_into(&mut self, job: &JobView) {
        self.wake_after(Duration::from_secs(15));
        if let Some(trouble) = trouble_of(job, self.observed) {
            return self.trouble(trouble.reason, trouble.message);
        }
        let merged = |pod: &PodView| {
            let sources = SOURCES.into_iter().filter_map(|name| pod.container(name));
            sources.filter_map(ContainerView::termination).any(|(code, ..)| code == 0)
        };
        let Some(before) = job.key.attempt.checked_sub(1) else { return };
        let before = JobKey { attempt: before, ..job.key.clone() };
        let Some(before) = self.observed.jobs.get(&before) else { return };
        if let Verdict::Fault(fault) = verdict(before, self.observed.pods_of(before), false)
            && fault.reason != reason::ATTEMPTS_EXHAUSTED
            && !self.observed.pods_of(job).iter().any(merged)
        {
            let what = told(before, &fault);
            self.trouble(fault.reason, what);
        }
    }

    /// Deletes a Job and its pods. One that was made in this very pass has to be seen first.
    pub(super) fn stop(&mut self, key: &JobKey) {
        let listed = self.writes.delete.iter().any(|(other, _)| other == key);
        if let Some(Seen::There(job)) = self.seen(key).filter(|_| !listed) {
            self.writes.delete.push((key.clone(), job.clone()));
        }
    }

    /// Deletes every Job that may have pods, except those for cleaning up.
    pub(super) fn stop_all(&mut self) {
        let keys: Vec<JobKey> = self.memory.expected.keys().cloned().collect();
        for key in keys.iter().filter(|key| key.role != Role::Cleanup) {
            let Some(Seen::There(job)) = self.seen(key) else { continue };
            // A pod that has just ended well holds nothing any more, and its Job is about to say so.
            let answered = self.observed.pods_of(job).iter().any(|pod| pod.has_ended() && !pod.failed);
            if job.is_active() && !answered {
                self.stop(key);
            }
        }
    }

    /// Deletes Jobs that have ended and that nobody needs: all but the last failed attempts of `keys`, which are in
    /// order.
    pub(super) fn tidy(&mut self, keys: &[JobKey]) {
        let kept = keys.len().saturating_sub(KEPT_ATTEMPTS);
        for key in &keys[..kept] {
            if matches!(self.seen(key), Some(Seen::There(job)) if job.ended().is_some()) {
                self.stop(key);
            }
        }
    }
}

/// A fault with the work it befell; a pool is named by the fault itself.
fn told(job: &JobView, fault: &Fault) -> String {
    match &job.key.trial {
        Some(trial) => format!("{} of {trial}: {}", job.key.role, fault.message),
        None => fault.message.clone(),
    }
}

impl Write {
    /// The verb and kind, for logs and metrics.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Finalizer { .. } => "finalizer",
            Self::Journal(_) => "journal",
            Self::CreateJob { .. } => "create-job",
            Self::DeleteJob { .. } => "delete-job",
            Self::DeletePod { .. } => "delete-pod",
            Self::Event { .. } => "event",
            Self::Status(_) => "status",
        }
    }
}
