//! What is to be done now: a pure function of what is remembered, what is observed, and the time.
//!
//! [`decide`] gives every write of a pass, in an order in which each may be the last one before a crash: results reach
//! the journal before anything that follows from them is made, and Jobs go only after the journal has their results.
//! When all writes have succeeded, deciding again asks for none.

mod acceptance;
mod budget;
mod conditions;
mod deletion;
mod jobs;
mod memory;
mod merges;
mod preflight;
mod publishing;
mod status;
mod times;
mod trials;
mod verdict;
mod waiting;
mod watching;

use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::jiff::Timestamp;
use mergesearch_crds::conditions::reason;
use mergesearch_crds::{MergeSearch, MergeSearchJournal, MergeSearchStatus};
use mergesearch_search::{Outcome, SearchConfig};

pub use self::memory::{History, Memory, Refusal, Reply};
pub use self::waiting::{Subject, troubled};

use self::conditions::Conditions;
use crate::identity::JobKey;
use crate::metrics::TrialPhase;
use crate::observe::{JobView, Observed, PodView};
use crate::settings::Settings;

/// A search is looked at again after this time whatever happens.
const IDLE: Duration = Duration::from_mins(5);

/// One change to the cluster.
#[derive(Debug, Clone, PartialEq)]
pub enum Write {
    /// Adds our finalizer to the search, or removes it.
    Finalizer {
        /// Whether it should be there.
        present: bool,
    },
    /// Creates a chunk of the journal (without a resource version) or replaces it.
    Journal(Box<MergeSearchJournal>),
    /// Creates a Job.
    CreateJob {
        /// What it is for.
        key: JobKey,
        /// The Job.
        job: Box<Job>,
    },
    /// Deletes a Job and its pods.
    DeleteJob {
        /// What it was for.
        key: JobKey,
        /// Its name.
        name: String,
        /// Its uid: no other Job of this name is deleted.
        uid: String,
        /// Its version: a Job that has ended in the meantime is not deleted before its result is taken over.
        version: String,
    },
    /// Deletes a pod by force: its node does not answer.
    DeletePod {
        /// Its name.
        name: String,
        /// Its uid.
        uid: String,
    },
    /// Publishes an Event about the search.
    Event {
        /// A reason of [`mergesearch_crds::conditions::reason`].
        reason: &'static str,
        /// One sentence.
        message: String,
        /// Whether a person should do something.
        warning: bool,
    },
    /// Writes the status.
    Status(Box<MergeSearchStatus>),
}

/// Everything that follows from one look at a search.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Decision {
    /// What to write, in this order; when one fails, the rest is not written.
    pub writes: Vec<Write>,
    /// When to look again if nothing happens before.
    pub requeue: Option<Duration>,
    /// Durations of trials that have just ended, in seconds.
    pub durations: Vec<(TrialPhase, f64)>,
    /// The reason for which the search waits, if it does.
    pub waiting: Option<&'static str>,
}

/// Decides. `memory` is ahead of the cluster afterwards: tell it the answers to the writes ([`Memory::answered`]).
pub fn decide(memory: &mut Memory, observed: &Observed<'_>, settings: &Settings) -> Decision {
    let resource = observed.resource;
    let status = memory.status(resource);
    let mut pass = Pass {
        observed,
        settings,
        conditions: Conditions::new(&status.conditions, resource.metadata.generation, observed.now),
        status,
        memory,
        writes: Writes::default(),
        wake: IDLE,
        durations: Vec::new(),
        trouble: None,
        may_start: true,
    };
    pass.memory.refresh(observed);
    if resource.metadata.deletion_timestamp.is_some() {
        pass.delete();
    } else {
        pass.go_on();
    }
    pass.finish()
}

/// One pass over a search.
struct Pass<'a> {
    observed: &'a Observed<'a>,
    settings: &'a Settings,
    memory: &'a mut Memory,
    /// As it will be.
    status: MergeSearchStatus,
    conditions: Conditions,
    writes: Writes,
    /// Look again after this at the latest.
    wake: Duration,
    durations: Vec<(TrialPhase, f64)>,
    /// What the search waits for: the gravest that was found.
    trouble: Option<Trouble>,
    /// Whether new work may be started.
    may_start: bool,
}

/// The writes of a pass, by kind.
#[derive(Default)]
struct Writes {
    finalizer: Option<bool>,
    journal: Vec<MergeSearchJournal>,
    create: Vec<(JobKey, Job)>,
    delete: Vec<(JobKey, JobView)>,
    delete_pods: Vec<(String, String)>,
    events: Vec<(&'static str, String, bool)>,
}

/// Why a search waits.
#[derive(Debug, Clone, PartialEq)]
struct Trouble {
    /// A reason of [`mergesearch_crds::conditions::reason`].
    reason: &'static str,
    /// One sentence.
    message: String,
}

impl Pass<'_> {
    fn now(&self) -> Timestamp {
        self.observed.now
    }

    fn resource(&self) -> &MergeSearch {
        self.observed.resource
    }

    /// Everything but deletion.
    fn go_on(&mut self) {
        self.keep_finalizer();
        let suspended = self.resource().spec.suspend;
        self.conditions.suspended(suspended);
        let config = self.accept();
        let accepted = config.is_some();
        if let History::Damaged(message) = &self.memory.history {
            let message = message.clone();
            self.conditions.damaged(&message);
            return;
        }
        self.may_start = accepted && !suspended;
        if let Some(config) = &config {
            self.verify_pool(config);
        }
        self.run();
        if suspended {
            self.stop_all();
        }
        self.keep_time();
        self.conclude(accepted, suspended);
    }

    /// Sets `Progressing`, `Completed` and `Failed`.
    fn conclude(&mut self, accepted: bool, suspended: bool) {
        let now = self.now();
        let outcome = self.memory.search().and_then(mergesearch_search::Search::outcome);
        let published = self.publishing_is_over();
        match outcome {
            Some(Outcome::Failed(cause, message)) => {
                self.conditions.failed(cause, &message);
                self.status.completion_time.get_or_insert_with(|| now.into_time());
                return;
            }
            Some(Outcome::Completed(cause)) if published => {
                self.conditions.completed(&cause, &self.status);
                self.status.completion_time.get_or_insert_with(|| now.into_time());
                return;
            }
            _ => self.status.completion_time = None,
        }
        self.conditions.running();
        let (reason, message) = if !accepted {
            (reason::NOT_ACCEPTED, "the spec is not accepted; see condition Accepted".to_owned())
        } else if suspended {
            (reason::SUSPENDED, "spec.suspend is true; nothing that has finished is lost".to_owned())
        } else if let Some(Trouble { reason, message }) = &self.trouble {
            (*reason, message.clone())
        } else {
            self.phase()
        };
        let waits = self.trouble.is_some() && accepted && !suspended;
        if self.conditions.progressing(reason, &message, accepted && !suspended && !waits) && waits {
            self.writes.events.push((reason, message, true));
        }
    }

    /// Notes why the search waits; the first of equal gravity stays.
    fn trouble(&mut self, reason: &'static str, message: impl Into<String>) {
        // A queue that lets some trials run is a slow cluster, not a reason to look into.
        if reason == reason::QUEUED && self.observed.pods.values().flatten().any(PodView::is_running) {
            return;
        }
        let gravity = |reason| waiting::ORDER.iter().position(|other| *other == reason);
        if self.trouble.as_ref().is_none_or(|known| gravity(reason) < gravity(known.reason)) {
            self.trouble = Some(Trouble { reason, message: message.into() });
        }
    }

    /// Looks again after a time, at the latest.
    fn wake_after(&mut self, duration: Duration) {
        self.wake = self.wake.min(duration);
    }

    /// Looks again at a time, at the latest.
    fn wake_at(&mut self, time: Timestamp) {
        let seconds = time.duration_since(self.now()).as_secs_f64().max(0.0);
        self.wake_after(Duration::from_secs_f64(seconds) + Duration::from_millis(100));
    }

    /// Journal, Jobs, pods, Events, status: in this order.
    fn finish(mut self) -> Decision {
        self.save();
        let deleting = self.resource().metadata.deletion_timestamp.is_some();
        let status = if deleting { None } else { self.summary() };
        let Writes { finalizer, journal, create, delete, delete_pods, events } = self.writes;
        let removes = finalizer == Some(false) && deleting;
        let mut writes: Vec<Write> = Vec::new();
        if !removes {
            writes.extend(finalizer.map(|present| Write::Finalizer { present }));
        }
        writes.extend(journal.into_iter().map(|chunk| Write::Journal(Box::new(chunk))));
        writes.extend(create.into_iter().map(|(key, job)| Write::CreateJob { key, job: Box::new(job) }));
        writes.extend(delete.into_iter().map(|(key, JobView { name, uid, version, .. })| Write::DeleteJob {
            key,
            name,
            uid,
            version,
        }));
        writes.extend(delete_pods.into_iter().map(|(name, uid)| Write::DeletePod { name, uid }));
        let event = |(reason, message, warning)| Write::Event { reason, message, warning };
        writes.extend(events.into_iter().map(event));
        writes.extend(status.map(|status| Write::Status(Box::new(status))));
        // The search is gone after this one.
        if removes {
            writes.push(Write::Finalizer { present: false });
        }
        let waiting = self.trouble.map(|trouble| trouble.reason);
        Decision { writes, requeue: Some(self.wake), durations: self.durations, waiting }
    }

    /// Puts new records into the journal.
    fn save(&mut self) {
        if let Some(chunks) = self.memory.save(self.observed.resource) {
            if !chunks.is_empty() {
                // Jobs whose results it has are deleted in a pass of their own.
                self.wake_after(Duration::from_secs(1));
            }
            self.writes.journal = chunks;
        }
    }

    fn config(&self) -> Option<&SearchConfig> {
        self.memory.search().map(mergesearch_search::Search::config)
    }
}

/// Seconds and microseconds as the API keeps them.
trait IntoTime {
    fn into_time(self) -> k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
}

impl IntoTime for Timestamp {
    fn into_time(self) -> k8s_openapi::apimachinery::pkg::apis::meta::v1::Time {
        // The API server keeps whole seconds: anything finer would come back different and be written again.
        let seconds = Self::from_second(self.as_second()).unwrap_or(self);
        k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(seconds)
    }
}
