//! Jobs as decisions see them.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::jiff::Timestamp;
use mergesearch_crds::labels;
use mergesearch_search::TrialId;

use crate::identity::JobKey;

/// A Job of a search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobView {
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Its version: a Job that has changed since is not deleted.
    pub version: String,
    /// What it is for.
    pub key: JobKey,
    /// The trials whose candidates it merges; none but in a Job that merges for others.
    pub merges: Vec<TrialId>,
    /// When it was created.
    pub created: Timestamp,
    /// When the Job controller began with it, after any queue; its creation until then.
    pub started: Timestamp,
    /// Whether a queue holds it back.
    pub suspended: bool,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// The `metadata.generation` of the search that it was made from.
    pub search_generation: i64,
    /// How far it is.
    pub phase: JobPhase,
}

/// How far a Job is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobPhase {
    /// Not ended.
    Active,
    /// A pod succeeded.
    Complete {
        /// When.
        at: Timestamp,
    },
    /// It gave up.
    Failed {
        /// When.
        at: Timestamp,
        /// For instance `BackoffLimitExceeded` or `PodFailurePolicy`.
        reason: String,
        /// The Job controller's sentence.
        message: String,
    },
}

impl JobView {
    /// Reads a Job; `None` when it lacks what all Jobs of a search carry.
    pub fn of(job: &Job) -> Option<Self> {
        let metadata = &job.metadata;
        let label = |name: &str| metadata.labels.as_ref()?.get(name).map(String::as_str);
        let annotation = |name: &str| metadata.annotations.as_ref()?.get(name).map(String::as_str);
        let trial = annotation(labels::TRIAL).map(str::parse).transpose().ok()?;
        let key = JobKey {
            role: label(labels::ROLE)?.parse().ok()?,
            trial,
            attempt: label(labels::ATTEMPT)?.parse().ok()?,
        };
        let created = metadata.creation_timestamp.as_ref()?.0;
        let started = job.status.as_ref().and_then(|status| status.start_time.as_ref());
        Some(Self {
            name: metadata.name.clone()?,
            uid: metadata.uid.clone()?,
            version: metadata.resource_version.clone()?,
            key,
            merges: annotation(labels::MERGES).map_or_else(Vec::new, trials),
            created,
            started: started.map_or(created, |time| time.0),
            suspended: job.spec.as_ref().and_then(|spec| spec.suspend).unwrap_or(false),
            deleting: metadata.deletion_timestamp.is_some(),
            search_generation: annotation(labels::SEARCH_GENERATION)?.parse().ok()?,
            phase: phase(job),
        })
    }

    /// When it ended.
    pub const fn ended(&self) -> Option<Timestamp> {
        match &self.phase {
            JobPhase::Active => None,
            JobPhase::Complete { at } | JobPhase::Failed { at, .. } => Some(*at),
        }
    }

    /// Whether it has or may get pods.
    pub const fn is_active(&self) -> bool {
        !self.deleting && matches!(self.phase, JobPhase::Active)
    }
}

fn trials(list: &str) -> Vec<TrialId> {
    list.split(',').filter_map(|id| id.parse().ok()).collect()
}

fn phase(job: &Job) -> JobPhase {
    let conditions = job.status.iter().flat_map(|status| status.conditions.iter().flatten());
    for condition in conditions.filter(|condition| condition.status == "True") {
        let time = condition.last_transition_time.as_ref().or(job.metadata.creation_timestamp.as_ref());
        let Some(at) = time.map(|time| time.0) else { continue };
        match condition.type_.as_str() {
            "Complete" => return JobPhase::Complete { at },
            "Failed" => {
                return JobPhase::Failed {
                    at,
                    reason: condition.reason.clone().unwrap_or_default(),
                    message: condition.message.clone().unwrap_or_default(),
                };
            }
            // FailureTarget and SuccessCriteriaMet come before all pods have ended.
            _ => {}
        }
    }
    JobPhase::Active
}
