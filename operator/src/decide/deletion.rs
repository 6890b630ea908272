//! The end of a search object: its Jobs stop, and under `deletionPolicy: Delete` its artifacts go before it does.

use std::time::Duration;

use k8s_openapi::jiff::SignedDuration;
use mergesearch_crds::conditions::reason;
use mergesearch_crds::{labels, search_config};
use mergesearch_search::contract::Message;

use super::Pass;
use super::jobs::Seen;
use super::verdict::{Verdict, verdict};
use super::waiting::trouble_of;
use crate::identity::{JobKey, Role, Work};
use crate::pods::left_folders;

/// Seconds after which artifacts are left behind rather than the search kept.
const PATIENCE: i64 = 600;

impl Pass<'_> {
    fn has_finalizer(&self) -> bool {
        let finalizers = self.resource().metadata.finalizers.iter().flatten();
        finalizers.into_iter().any(|finalizer| finalizer == labels::FINALIZER)
    }

    /// Keeps the finalizer while something is to be deleted with the search: artifacts, or candidates on their way.
    pub(super) fn keep_finalizer(&mut self) {
        let wanted = !left_folders(self.resource(), true).is_empty();
        if wanted != self.has_finalizer() {
            self.writes.finalizer = Some(wanted);
        }
    }

    /// Stops everything and deletes the artifacts. What has no finalizer is deleted by its owner references.
    pub(super) fn delete(&mut self) {
        if !self.has_finalizer() {
            return;
        }
        if left_folders(self.resource(), true).is_empty() {
            self.writes.finalizer = Some(false);
            return;
        }
        self.stop_all();
        let pods = self.observed.pods.values().flatten();
        let mut working = pods.filter(|pod| pod.role != Role::Cleanup);
        if !self.writes.delete.is_empty() || working.any(|pod| !pod.has_ended()) {
            self.wake_after(Duration::from_secs(5));
            if self.patience_is_over() {
                self.leave("its pods do not end");
            }
            return;
        }
        let attempts = self.attempts(Role::Cleanup, None);
        let Some(&attempt) = attempts.last() else {
            self.clean_up(0);
            return;
        };
        let key = JobKey { role: Role::Cleanup, trial: None, attempt };
        match self.seen(&key) {
            Some(Seen::There(job)) => {
                let confirmed = self.observed.confirmed.contains(&key);
                match verdict(job, self.observed.pods_of(job), confirmed) {
                    Verdict::Answer(Message::Done) => self.writes.finalizer = Some(false),
                    Verdict::Open => {
                        let trouble = trouble_of(job, self.observed);
                        let missing = trouble.filter(|trouble| {
                            matches!(trouble.reason, reason::CONFIGURATION_MISSING | reason::PODS_REFUSED)
                        });
                        match missing {
                            Some(trouble) => self.leave(&trouble.message),
                            None if self.patience_is_over() => self.leave("deleting them takes too long"),
                            None => self.wake_after(Duration::from_secs(10)),
                        }
                    }
                    Verdict::Failed(message) => self.clean_up_again(job.ended(), attempt, &message),
                    Verdict::Fault(fault) => self.clean_up_again(job.ended(), attempt, &fault.message),
                    Verdict::Answer(_) | Verdict::Lost => self.clean_up(attempt + 1),
                }
            }
            Some(Seen::Vanished) => self.clean_up(attempt + 1),
            Some(Seen::Going | Seen::Assumed) => self.wake_after(Duration::from_secs(10)),
            None => self.clean_up(attempt),
        }
    }

    fn clean_up_again(&mut self, ended: Option<k8s_openapi::jiff::Timestamp>, attempt: u32, message: &str) {
        let due = ended.unwrap_or_else(|| self.now()) + SignedDuration::from_secs(60);
        if self.patience_is_over() {
            self.leave(message);
        } else if due <= self.now() {
            self.clean_up(attempt + 1);
        } else {
            self.wake_at(due);
        }
    }

    fn clean_up(&mut self, attempt: u32) {
        // Only names and places are needed, and those do not depend on the layers.
        let Ok(config) = search_config(self.observed.resource, u32::MAX) else {
            return self.leave("the spec can't be read");
        };
        let key = Work::Cleanup.key(attempt);
        // A namespace that is being deleted takes no new Jobs.
        if let Some(refusal) = self.memory.refused.get(&key) {
            let message = refusal.message.clone();
            return self.leave(&message);
        }
        self.start(&config, &Work::Cleanup, attempt);
    }

    fn patience_is_over(&self) -> bool {
        let since = self.resource().metadata.deletion_timestamp.as_ref();
        since.is_some_and(|since| self.now() >= since.0 + SignedDuration::from_secs(PATIENCE))
    }

    /// Lets the search go and says what stays behind.
    fn leave(&mut self, why: &str) {
        let folders = left_folders(self.resource(), true).join(" and ");
        let message = format!("artifacts stay behind in {folders}: {why}");
        self.writes.events.push((reason::ARTIFACTS_LEFT, message, true));
        self.writes.finalizer = Some(false);
    }
}
