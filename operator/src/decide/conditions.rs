//! The conditions of a search. A condition's transition time changes only with its status.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::jiff::Timestamp;
use mergesearch_crds::MergeSearchStatus;
use mergesearch_crds::conditions::{
    ACCEPTED, COMPLETED, FAILED, POOL_VERIFIED, PROGRESSING, SUSPENDED, reason,
};
use mergesearch_search::{EndReason, FailReason};

use super::IntoTime as _;

/// The longest message that the API server takes is 32 KiB; people read less.
const LONGEST_MESSAGE: usize = 1024;

/// The conditions as they were and as they become.
#[derive(Debug, Clone)]
pub(super) struct Conditions {
    list: Vec<Condition>,
    generation: Option<i64>,
    now: Timestamp,
}

impl Conditions {
    pub(super) fn new(before: &[Condition], generation: Option<i64>, now: Timestamp) -> Self {
        Self { list: before.to_vec(), generation, now }
    }

    pub(super) fn into_list(self) -> Vec<Condition> {
        let order = [ACCEPTED, POOL_VERIFIED, PROGRESSING, SUSPENDED, COMPLETED, FAILED];
        let mut list = self.list;
        list.sort_by_key(|condition| order.iter().position(|type_| *type_ == condition.type_));
        list
    }

    pub(super) fn accepted(&mut self, warnings: &str) {
        let message = if warnings.is_empty() { "the spec keeps all rules" } else { warnings };
        self.set(ACCEPTED, true, reason::VALID, message);
    }

    pub(super) fn refused(&mut self, reason: &'static str, message: &str) -> bool {
        self.set(ACCEPTED, false, reason, message)
    }

    pub(super) fn pool_verified(&mut self, warnings: &str) {
        let message = if warnings.is_empty() { "all headers were read and agree" } else { warnings };
        self.set(POOL_VERIFIED, true, reason::VERIFIED, message);
    }

    /// Whether the pool was verified before, with what was said then.
    pub(super) fn is_pool_verified(&self) -> bool {
        self.list.iter().any(|condition| condition.type_ == POOL_VERIFIED && condition.status == "True")
    }

    pub(super) fn pool_not_verified(&mut self, reason: &'static str, message: &str) -> bool {
        self.set(POOL_VERIFIED, false, reason, message)
    }

    pub(super) fn suspended(&mut self, suspended: bool) {
        if suspended {
            self.set(SUSPENDED, true, reason::SUSPENDED_BY_USER, "spec.suspend is true");
        } else {
            self.set(SUSPENDED, false, reason::NOT_SUSPENDED, "spec.suspend is false");
        }
    }

    /// Sets `Progressing`; tells whether its reason is a new one.
    pub(super) fn progressing(&mut self, reason: &'static str, message: &str, progresses: bool) -> bool {
        self.set(PROGRESSING, progresses, reason, message)
    }

    /// The search has not ended.
    pub(super) fn running(&mut self) {
        self.set(COMPLETED, false, reason::RUNNING, "the search goes on");
        self.set(FAILED, false, reason::RUNNING, "the search goes on");
    }

    pub(super) fn completed(&mut self, cause: &EndReason, status: &MergeSearchStatus) {
        let reason = match cause {
            EndReason::MaxTrials => reason::MAX_TRIALS,
            EndReason::GpuBudget => reason::MAX_GPU_HOURS,
            EndReason::Time => reason::MAX_DURATION,
            EndReason::Converged(_) | EndReason::Duplicates => reason::CONVERGED,
        };
        let published = match status.published.len() {
            0 => String::new(),
            1 => "; 1 merge is published".to_owned(),
            several => format!("; {several} merges are published"),
        };
        self.set(COMPLETED, true, reason, &format!("{cause}{published}"));
        self.set(FAILED, false, reason::ENDED, "the search has completed");
        self.set(PROGRESSING, false, reason::ENDED, "the search has completed");
    }

    pub(super) fn failed(&mut self, cause: FailReason, message: &str) {
        let reason = match cause {
            FailReason::MaxFailedTrials => reason::MAX_FAILED_TRIALS,
            FailReason::Baselines => reason::BASELINES_FAILED,
        };
        self.ended_badly(reason, message);
    }

    /// The journal is damaged.
    pub(super) fn damaged(&mut self, message: &str) {
        self.ended_badly(reason::JOURNAL_DAMAGED, message);
    }

    fn ended_badly(&mut self, reason: &'static str, message: &str) {
        self.set(FAILED, true, reason, message);
        self.set(COMPLETED, false, reason::ENDED, "the search has failed");
        self.set(PROGRESSING, false, reason::ENDED, "the search has failed");
    }

    /// Sets a condition; tells whether its reason is a new one.
    fn set(&mut self, type_: &str, status: bool, reason: &'static str, message: &str) -> bool {
        let end = message.floor_char_boundary(LONGEST_MESSAGE);
        let status = if status { "True" } else { "False" };
        let before = self.list.iter().position(|condition| condition.type_ == type_);
        let before = before.map(|index| self.list.remove(index));
        let since = before.as_ref().filter(|before| before.status == status);
        let changed = before.as_ref().is_none_or(|before| before.reason != reason);
        self.list.push(Condition {
            type_: type_.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            message: message[..end].to_owned(),
            observed_generation: self.generation,
            last_transition_time: since
                .map_or_else(|| self.now.into_time(), |before| before.last_transition_time.clone()),
        });
        changed
    }
}
