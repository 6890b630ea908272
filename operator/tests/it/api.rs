//! An API server in memory: objects with uids and versions, and caches that lag behind it, each on its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use mergesearch_crds::{MergeSearch, MergeSearchJournal};
use mergesearch_operator::decide::{Refusal, Reply, Write};
use mergesearch_operator::identity::{JobKey, Role};
use mergesearch_operator::observe::{EventView, JobView};
use mergesearch_search::{Journal, Record};

/// Objects of one kind by name, and all earlier versions of the whole kind.
#[derive(Debug, Clone)]
pub(crate) struct Kind<T> {
    now: BTreeMap<String, Arc<T>>,
    past: Vec<BTreeMap<String, Arc<T>>>,
}

impl<T> Kind<T> {
    fn new() -> Self {
        Self { now: BTreeMap::new(), past: vec![BTreeMap::new()] }
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &T> {
        self.now.values().map(Arc::as_ref)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&T> {
        self.now.get(name).map(Arc::as_ref)
    }

    pub(crate) fn put(&mut self, name: &str, object: T) {
        self.now.insert(name.to_owned(), Arc::new(object));
        self.past.push(self.now.clone());
    }

    pub(crate) fn remove(&mut self, name: &str) {
        if self.now.remove(name).is_some() {
            self.past.push(self.now.clone());
        }
    }

    /// The newest version's number.
    pub(crate) fn version(&self) -> usize {
        self.past.len() - 1
    }

    /// The kind as it was.
    pub(crate) fn at(&self, version: usize) -> impl Iterator<Item = &T> {
        self.past[version].values().map(Arc::as_ref)
    }
}

/// The whole cluster.
pub(crate) struct Api {
    pub(crate) now: Timestamp,
    pub(crate) search: MergeSearch,
    pub(crate) jobs: Kind<Job>,
    pub(crate) pods: Kind<Pod>,
    pub(crate) journal: BTreeMap<String, MergeSearchJournal>,
    /// Events that the operator published.
    pub(crate) events: Vec<(&'static str, String)>,
    /// Events about Jobs and pods, by their uid.
    pub(crate) about: BTreeMap<String, Vec<EventView>>,
    /// What the API server says to every new Job, when it wants none.
    pub(crate) refuses_jobs: Option<String>,
    next: u64,
}

impl Api {
    pub(crate) fn new(search: MergeSearch) -> Self {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let (jobs, pods) = (Kind::new(), Kind::new());
        Self {
            now,
            search,
            jobs,
            pods,
            journal: BTreeMap::new(),
            events: Vec::new(),
            about: BTreeMap::new(),
            refuses_jobs: None,
            next: 1,
        }
    }

    /// A number that was never given before, as uid or version.
    pub(crate) fn fresh(&mut self) -> String {
        self.next += 1;
        format!("{:08}", self.next)
    }

    pub(crate) fn time(&self) -> Time {
        Time(Timestamp::from_second(self.now.as_second()).unwrap())
    }

    /// The journal's records so far.
    pub(crate) fn records(&self) -> Vec<Record> {
        let text: String = self.journal.values().map(|chunk| chunk.spec.records.as_str()).collect();
        let journal = Journal::read(&text).unwrap();
        assert_eq!(journal.length, text.len(), "a record was cut off");
        journal.records
    }

    /// Does a write as an API server does.
    pub(crate) fn apply(&mut self, write: &Write) -> Reply {
        match write {
            Write::Finalizer { present } => {
                let finalizers = present.then(|| mergesearch_crds::labels::FINALIZER.to_owned());
                self.search.metadata.finalizers = Some(finalizers.into_iter().collect());
                Reply::Done
            }
            Write::DeletePod { name, .. } => {
                self.pods.remove(name);
                Reply::Done
            }
            Write::Event { reason, message, .. } => {
                self.events.push((reason, message.clone()));
                Reply::Done
            }
            Write::Status(status) => {
                self.search.status = Some((**status).clone());
                Reply::Done
            }
            Write::Journal(chunk) => self.write_journal(chunk),
            Write::CreateJob { job, .. } => {
                let name = job.metadata.name.clone().unwrap();
                if let Some(message) = self.refuses_jobs.clone() {
                    return Reply::Refused(Refusal { message, at: self.now });
                }
                if let Some(there) = self.jobs.get(&name) {
                    return Reply::Job(there.metadata.uid.clone().unwrap());
                }
                let mut job = (**job).clone();
                let uid = self.fresh();
                job.metadata.uid = Some(uid.clone());
                job.metadata.creation_timestamp = Some(self.time());
                job.metadata.resource_version = Some(uid.clone());
                self.jobs.put(&name, job);
                Reply::Job(uid)
            }
            Write::DeleteJob { key, name, uid, version } => {
                let Some(job) = self.jobs.get(name) else { return Reply::Done };
                let metadata = &job.metadata;
                if metadata.uid.as_ref() != Some(uid) || metadata.resource_version.as_ref() != Some(version) {
                    return Reply::Failed;
                }
                self.check_delete(key, name);
                self.delete_job(name);
                Reply::Done
            }
        }
    }

    /// Deletes a Job and, as the garbage collector does, its pods.
    pub(crate) fn delete_job(&mut self, name: &str) {
        let uid = self.jobs.get(name).and_then(|job| job.metadata.uid.clone());
        self.jobs.remove(name);
        let of_job = |pod: &&Pod| {
            pod.metadata.owner_references.iter().flatten().any(|own| Some(&own.uid) == uid.as_ref())
        };
        let pods: Vec<String> =
            self.pods.all().filter(of_job).filter_map(|pod| pod.metadata.name.clone()).collect();
        for pod in pods {
            self.pods.remove(&pod);
        }
    }

    /// A result may go only when the journal has it, or when nobody wants it.
    fn check_delete(&self, key: &JobKey, name: &str) {
        let complete = self.jobs.get(name).and_then(JobView::of).is_some_and(|job| job.ended().is_some());
        let trial = key.trial.as_ref().filter(|_| matches!(key.role, Role::Trial | Role::Collect));
        let Some(trial) = trial.filter(|_| complete) else { return };
        let recorded = self
            .records()
            .iter()
            .any(|record| matches!(record, Record::Finished(result) if result.id == *trial));
        let newer = self.jobs.all().filter_map(JobView::of).any(|job| {
            job.key.role == key.role && job.key.trial == key.trial && job.key.attempt > key.attempt
        });
        assert!(recorded || newer, "{name} was deleted before its result was in the journal");
    }

    fn write_journal(&mut self, chunk: &MergeSearchJournal) -> Reply {
        let name = chunk.metadata.name.clone().unwrap();
        let there = self.journal.get(&name);
        let version = |chunk: &MergeSearchJournal| chunk.metadata.resource_version.clone();
        match there {
            Some(there) if version(there) != version(chunk) => return Reply::Failed,
            None if version(chunk).is_some() => return Reply::Failed,
            // The rules of the CRD.
            Some(there) => {
                assert!(!there.spec.sealed, "{name} is sealed");
                assert!(chunk.spec.records.starts_with(&there.spec.records), "{name} is only appended to");
                assert_eq!(there.spec.previous_hash, chunk.spec.previous_hash);
            }
            None => {}
        }
        let mut kept = chunk.clone();
        kept.metadata.resource_version = Some(self.fresh());
        self.journal.insert(name, kept.clone());
        Reply::Journal(Box::new(kept))
    }
}
