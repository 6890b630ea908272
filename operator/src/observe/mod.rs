//! What is seen of a search in the cluster, reduced to what decisions need.
//!
//! Parsing is total: an object that no search of ours can have made is left out.

mod job;
mod pod;

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::Event;
use k8s_openapi::jiff::Timestamp;
use mergesearch_crds::MergeSearch;

pub use self::job::{JobPhase, JobView};
pub use self::pod::{ContainerState, ContainerView, PodView};

use crate::identity::JobKey;

/// Everything one decision may depend on, besides the memory of earlier ones.
#[derive(Debug, Clone)]
pub struct Observed<'a> {
    /// The search.
    pub resource: &'a MergeSearch,
    /// Its Jobs.
    pub jobs: BTreeMap<JobKey, JobView>,
    /// Pods by the uid of their Job, oldest first.
    pub pods: BTreeMap<String, Vec<PodView>>,
    /// Messages of Events by the uid of the Job or pod they are about, newest first; listed only for what
    /// [`troubled`](crate::decide::troubled) names.
    pub events: BTreeMap<String, Vec<EventView>>,
    /// Jobs that were just read from the API server and not from a cache, with their pods. What is absent then is gone.
    pub confirmed: BTreeSet<JobKey>,
    /// The time.
    pub now: Timestamp,
}

/// An Event about a Job or a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventView {
    /// For instance `FailedCreate` or `FailedMount`.
    pub reason: String,
    /// The sentence.
    pub message: String,
    /// When it was seen last.
    pub last: Timestamp,
}

impl Observed<'_> {
    /// The pods of a Job, oldest first.
    pub fn pods_of(&self, job: &JobView) -> &[PodView] {
        self.pods.get(&job.uid).map_or(&[], Vec::as_slice)
    }

    /// The Events about an object.
    pub fn events_of(&self, uid: &str) -> &[EventView] {
        self.events.get(uid).map_or(&[], Vec::as_slice)
    }

    /// Adds pods under their Jobs, oldest first.
    pub fn add_pods(&mut self, pods: impl IntoIterator<Item = PodView>) {
        for pod in pods {
            let of_job = self.pods.entry(pod.job_uid.clone()).or_default();
            // A pod that was read directly is newer than the cached one.
            of_job.retain(|other| other.uid != pod.uid);
            of_job.push(pod);
            of_job.sort_by(|one, other| (one.created, &one.name).cmp(&(other.created, &other.name)));
        }
    }
}

impl EventView {
    /// Reads an Event; `None` when it says neither what nor when.
    pub fn of(event: &Event) -> Option<Self> {
        let last = [
            event.series.as_ref().and_then(|series| series.last_observed_time.as_ref()).map(|time| time.0),
            event.last_timestamp.as_ref().map(|time| time.0),
            event.event_time.as_ref().map(|time| time.0),
            event.metadata.creation_timestamp.as_ref().map(|time| time.0),
        ];
        Some(Self {
            reason: event.reason.clone()?,
            message: event.message.clone().unwrap_or_default(),
            last: last.into_iter().flatten().max()?,
        })
    }
}
