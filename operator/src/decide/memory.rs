//! What is remembered from one pass to the next. All of it may be lost at any moment: it is read again from the
//! journal and the Jobs.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::jiff::Timestamp;
use mergesearch_crds::{MergeSearch, MergeSearchJournal, MergeSearchStatus, search_config};
use mergesearch_search::{ReplayError, Search, TrialId};

use super::Write;
use super::acceptance::Checked;
use crate::identity::JobKey;
use crate::journal::Journal;
use crate::observe::Observed;

/// What is remembered of a search.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    /// The search and its journal.
    pub(super) history: History,
    /// Uids of Jobs that exist as far as we know: seen, or made by us and perhaps not in a cache yet.
    pub(super) expected: BTreeMap<JobKey, String>,
    /// Uids of Jobs that we have deleted: a cache may still show them.
    pub(super) deleted: BTreeSet<String>,
    /// Jobs that were there and are gone without our doing.
    pub(super) vanished: BTreeSet<JobKey>,
    /// The status that we wrote last: a cache may still show an older one.
    pub(super) status: Option<MergeSearchStatus>,
    /// Pods of a trial that were disrupted.
    pub(super) disrupted: BTreeMap<TrialId, BTreeSet<String>>,
    /// Trials that wait until the search's spec changes from this `metadata.generation`.
    pub(super) held: BTreeMap<TrialId, i64>,
    /// What was found of the spec of a `metadata.generation`, before the search began or since.
    pub(super) checked: Option<((Option<i64>, bool), Checked)>,
    /// Jobs that the API server refused to make.
    pub(super) refused: BTreeMap<JobKey, Refusal>,
}

/// A search's history as it was read.
#[derive(Debug, Clone, Default)]
pub enum History {
    /// It has not been read since the operator started or since a write failed.
    #[default]
    Unread,
    /// There is none: the pool has not been verified.
    None,
    /// The search as far as it has come.
    Known(Box<Known>),
    /// It can't be continued; one sentence.
    Damaged(String),
    /// What may not change has changed; one sentence.
    Changed(String),
}

/// See [`History::Known`].
#[derive(Debug, Clone)]
pub struct Known {
    /// The state machine.
    pub(super) search: Search,
    /// Its journal.
    pub(super) journal: Journal,
}

/// A Job that could not be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What the API server said.
    pub message: String,
    /// When.
    pub at: Timestamp,
}

/// What came of a write.
#[derive(Debug)]
pub enum Reply {
    /// Done.
    Done,
    /// A Job was made, or was there already; its uid.
    Job(String),
    /// A chunk of the journal as it is now.
    Journal(Box<MergeSearchJournal>),
    /// The API server refused it for good.
    Refused(Refusal),
    /// It did not work, and what we remember may be wrong: a conflict, or no answer.
    Failed,
}

impl Memory {
    /// Whether the journal has to be read before anything is decided. A damaged one may have been restored since.
    pub const fn needs_journal(&self) -> bool {
        matches!(self.history, History::Unread | History::Damaged(_) | History::Changed(_))
    }

    /// Takes over the journal's chunks.
    pub fn read(&mut self, resource: &MergeSearch, chunks: Vec<MergeSearchJournal>) {
        let named = resource.status.as_ref().map_or(&[][..], |status| &status.journal);
        self.history = match Journal::read(chunks, named) {
            Ok(None) => History::None,
            Err(damage) => History::Damaged(damage.to_string()),
            Ok(Some((journal, records))) => {
                let layers = u32::try_from(journal.start().layers).unwrap_or(0);
                // What is not accepted changes nothing: the search stays as it was left.
                let replayed = match search_config(resource, layers) {
                    Ok(config) => Search::replay(config, records),
                    Err(_) => Search::recorded(records),
                };
                match replayed {
                    Ok(search) => History::Known(Box::new(Known { search, journal })),
                    Err(error @ ReplayError::Changed { .. }) => History::Changed(error.to_string()),
                    Err(error) => History::Damaged(error.to_string()),
                }
            }
        };
    }

    /// The search, once it has begun.
    pub fn search(&self) -> Option<&Search> {
        match &self.history {
            History::Known(known) => Some(&known.search),
            _ => None,
        }
    }

    pub(super) fn search_mut(&mut self) -> Option<&mut Search> {
        match &mut self.history {
            History::Known(known) => Some(&mut known.search),
            _ => None,
        }
    }

    pub(super) fn journal(&self) -> Option<&Journal> {
        match &self.history {
            History::Known(known) => Some(&known.journal),
            _ => None,
        }
    }

    pub(super) fn begin(&mut self, search: Search, journal: Journal) {
        self.history = History::Known(Box::new(Known { search, journal }));
    }

    /// New records as chunks to write. Records are numbers and names, so `None` stands for a defect: nothing is then
    /// written, and the history is read again.
    pub(super) fn save(&mut self, resource: &MergeSearch) -> Option<Vec<MergeSearchJournal>> {
        let History::Known(known) = &mut self.history else { return None };
        let records = known.search.take_records();
        let chunks = known.journal.append(resource, &records);
        if chunks.is_err() {
            self.history = History::Unread;
        }
        chunks.ok()
    }

    /// The newest status: what we wrote or what the resource has.
    pub(super) fn status(&self, resource: &MergeSearch) -> MergeSearchStatus {
        self.status.clone().or_else(|| resource.status.clone()).unwrap_or_default()
    }

    /// The status that was written last, if this operator has written one.
    pub const fn written_status(&self) -> Option<&MergeSearchStatus> {
        self.status.as_ref()
    }

    /// Compares the Jobs that should be there with those that are.
    pub(super) fn refresh(&mut self, observed: &Observed<'_>) {
        for (key, job) in &observed.jobs {
            if !job.deleting && !self.deleted.contains(&job.uid) {
                self.expected.insert(key.clone(), job.uid.clone());
                self.vanished.remove(key);
            }
        }
        let gone = |key: &JobKey, uid: &String| {
            observed.confirmed.contains(key) && observed.jobs.get(key).is_none_or(|job| job.uid != *uid)
        };
        let gone: Vec<JobKey> =
            self.expected.iter().filter(|(key, uid)| gone(key, uid)).map(|(key, _)| key.clone()).collect();
        for key in gone {
            self.expected.remove(&key);
            self.vanished.insert(key);
        }
        let shown: BTreeSet<&String> = observed.jobs.values().map(|job| &job.uid).collect();
        // Caches move forward only: what has left them does not come back.
        if self.deleted.len() > 1000 {
            self.deleted.retain(|uid| shown.contains(uid));
        }
        let generation = observed.resource.metadata.generation.unwrap_or(0);
        self.held.retain(|_, held| *held == generation);
    }

    /// Jobs that should be there and that the observation lacks, and ended ones whose pods it lacks: to be read from
    /// the API server itself before they are taken for lost.
    pub fn unconfirmed(&mut self, observed: &Observed<'_>) -> Vec<JobKey> {
        self.refresh(observed);
        let absent = self
            .expected
            .iter()
            .filter(|(key, uid)| observed.jobs.get(key).is_none_or(|job| job.uid != **uid))
            .map(|(key, _)| key);
        let silent = observed.jobs.values().filter(|job| {
            job.ended().is_some()
                && !job.deleting
                && !self.deleted.contains(&job.uid)
                && self.is_awaited(&job.key)
                && !observed.pods_of(job).iter().any(crate::observe::PodView::has_ended)
        });
        absent
            .chain(silent.map(|job| &job.key))
            .filter(|key| !observed.confirmed.contains(key))
            .cloned()
            .collect()
    }

    /// Whether the answer of a Job is still to be taken over.
    fn is_awaited(&self, key: &JobKey) -> bool {
        match (&key.trial, self.search()) {
            (Some(trial), Some(search)) if key.role != crate::identity::Role::Publish => {
                !search.has_ended(trial)
            }
            _ => true,
        }
    }

    /// Takes over what came of a write. `false`: the rest of the writes must not be done.
    pub fn answered(&mut self, write: &Write, reply: Reply) -> bool {
        match (write, reply) {
            (Write::CreateJob { key, .. }, Reply::Job(uid)) => {
                self.vanished.remove(key);
                self.refused.remove(key);
                self.deleted.remove(&uid);
                self.expected.insert(key.clone(), uid);
            }
            (Write::CreateJob { key, .. }, Reply::Refused(refusal)) => {
                self.refused.insert(key.clone(), refusal);
            }
            (Write::DeleteJob { key, uid, .. }, Reply::Done) => {
                self.deleted.insert(uid.clone());
                if self.expected.get(key) == Some(uid) {
                    self.expected.remove(key);
                }
            }
            (Write::Journal(_), Reply::Journal(chunk)) => {
                if let History::Known(known) = &mut self.history {
                    known.journal.written(*chunk);
                }
            }
            (Write::Journal(_), _) => {
                self.history = History::Unread;
                return false;
            }
            (Write::Status(status), Reply::Done) => self.status = Some((**status).clone()),
            (_, Reply::Done | Reply::Refused(_)) | (Write::Event { .. } | Write::DeletePod { .. }, _) => {}
            _ => return false,
        }
        true
    }
}
