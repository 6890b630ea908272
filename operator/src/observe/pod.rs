//! Pods as decisions see them.

use k8s_openapi::api::core::v1::{ContainerState as State, ContainerStatus, Pod};
use k8s_openapi::jiff::Timestamp;
use mergesearch_crds::labels;

use crate::identity::Role;

/// A pod of a Job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodView {
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// The uid of its Job.
    pub job_uid: String,
    /// What its Job is for.
    pub role: Role,
    /// The label of its trial, for roles that have one.
    pub trial: Option<String>,
    /// When it was created.
    pub created: Timestamp,
    /// When it was bound to a node.
    pub scheduled: Option<Timestamp>,
    /// Why no node takes it, and since when.
    pub unschedulable: Option<(Timestamp, String)>,
    /// Whether its phase is `Failed`.
    pub failed: bool,
    /// Why it failed, when that is the pod's and not a container's affair: `Evicted`, `DeadlineExceeded`.
    pub reason: String,
    /// The sentence of [`Self::reason`].
    pub message: String,
    /// Whether it was disrupted: evicted, preempted, its node drained or gone.
    pub disrupted: bool,
    /// When its grace period ends or ended, while it is being deleted.
    pub deletion: Option<Timestamp>,
    /// Its init containers and then its containers, in order.
    pub containers: Vec<ContainerView>,
}

/// A container of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerView {
    /// Its name.
    pub name: String,
    /// What it does.
    pub state: ContainerState,
}

/// What a container does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContainerState {
    /// Not running yet, or not again.
    Waiting {
        /// For instance `PodInitializing`, `ImagePullBackOff` or `CreateContainerConfigError`.
        reason: String,
        /// The sentence, if any.
        message: String,
    },
    /// Running.
    Running {
        /// Since when.
        since: Timestamp,
    },
    /// Ended.
    Terminated {
        /// The exit code.
        code: i32,
        /// For instance `Completed`, `Error` or `OOMKilled`.
        reason: String,
        /// The termination message.
        message: String,
        /// When it started.
        started: Option<Timestamp>,
        /// When it ended.
        finished: Option<Timestamp>,
    },
}

impl PodView {
    /// Reads a pod; `None` when no Job of a search controls it.
    pub fn of(pod: &Pod) -> Option<Self> {
        let owners = pod.metadata.owner_references.iter().flatten();
        let job = owners.into_iter().find(|owner| owner.kind == "Job" && owner.controller == Some(true))?;
        let label = |name: &str| pod.metadata.labels.as_ref()?.get(name).map(String::as_str);
        let status = pod.status.clone().unwrap_or_default();
        let condition = |name: &str| {
            status.conditions.iter().flatten().find(|condition| condition.type_ == name).cloned()
        };
        let scheduling = condition("PodScheduled");
        let at = |condition: &k8s_openapi::api::core::v1::PodCondition| {
            condition.last_transition_time.as_ref().map(|time| time.0)
        };
        let created = pod.metadata.creation_timestamp.as_ref()?.0;
        let statuses = status.init_container_statuses.iter().flatten();
        Some(Self {
            name: pod.metadata.name.clone()?,
            uid: pod.metadata.uid.clone()?,
            job_uid: job.uid.clone(),
            role: label(labels::ROLE)?.parse().ok()?,
            trial: label(labels::TRIAL).map(str::to_owned),
            created,
            scheduled: scheduling
                .as_ref()
                .filter(|scheduling| scheduling.status == "True")
                .map(|scheduling| at(scheduling).unwrap_or(created)),
            unschedulable: scheduling
                .filter(|scheduling| {
                    scheduling.status == "False" && scheduling.reason.as_deref() == Some("Unschedulable")
                })
                .map(|scheduling| {
                    (at(&scheduling).unwrap_or(created), scheduling.message.unwrap_or_default())
                }),
            failed: status.phase.as_deref() == Some("Failed"),
            reason: status.reason.clone().unwrap_or_default(),
            message: status.message.clone().unwrap_or_default(),
            disrupted: condition("DisruptionTarget").is_some_and(|condition| condition.status == "True"),
            deletion: pod.metadata.deletion_timestamp.as_ref().map(|time| time.0),
            containers: statuses
                .chain(status.container_statuses.iter().flatten())
                .map(ContainerView::of)
                .collect(),
        })
    }

    /// A container by its name.
    pub fn container(&self, name: &str) -> Option<&ContainerView> {
        self.containers.iter().find(|container| container.name == name)
    }

    /// Whether its containers have ended or never ran, for good.
    pub fn has_ended(&self) -> bool {
        self.failed || self.containers.last().is_some_and(|last| last.termination().is_some())
    }

    /// Whether a person, a drain or a lost node ended it, so that its containers' exit codes say nothing.
    pub const fn was_interrupted(&self) -> bool {
        self.disrupted || self.deletion.is_some()
    }

    /// When the last of its containers ended; its creation when none ran. `None` while it has not ended.
    pub fn ended(&self) -> Option<Timestamp> {
        let finished = self.containers.iter().filter_map(ContainerView::finished);
        self.has_ended().then(|| finished.max().unwrap_or(self.created))
    }

    /// Whether one of its containers runs.
    pub fn is_running(&self) -> bool {
        let runs = |container: &ContainerView| matches!(container.state, ContainerState::Running { .. });
        !self.has_ended() && self.containers.iter().any(runs)
    }

    /// Seconds for which it held its node's resources until now or its end.
    pub fn held_seconds(&self, now: Timestamp) -> f64 {
        let Some(from) = self.scheduled else { return 0.0 };
        let until = self.ended().map_or(now, |ended| ended.max(from));
        until.duration_since(from).as_secs_f64().max(0.0)
    }
}

impl ContainerView {
    fn of(status: &ContainerStatus) -> Self {
        let state = status.state.clone().unwrap_or_default();
        let state = match state {
            State { terminated: Some(ended), .. } => ContainerState::Terminated {
                code: ended.exit_code,
                reason: ended.reason.unwrap_or_default(),
                message: ended.message.unwrap_or_default(),
                started: ended.started_at.map(|time| time.0),
                finished: ended.finished_at.map(|time| time.0),
            },
            State { running: Some(running), .. } => ContainerState::Running {
                since: running.started_at.map_or(Timestamp::UNIX_EPOCH, |time| time.0),
            },
            State { waiting, .. } => {
                let waiting = waiting.unwrap_or_default();
                ContainerState::Waiting {
                    reason: waiting.reason.unwrap_or_default(),
                    message: waiting.message.unwrap_or_default(),
                }
            }
        };
        Self { name: status.name.clone(), state }
    }

    /// When it ended, once it has.
    pub const fn finished(&self) -> Option<Timestamp> {
        match &self.state {
            ContainerState::Terminated { finished, .. } => *finished,
            _ => None,
        }
    }

    /// The exit code, reason and message, once it has ended.
    pub fn termination(&self) -> Option<(i32, &str, &str)> {
        match &self.state {
            ContainerState::Terminated { code, reason, message, .. } => Some((*code, reason, message)),
            _ => None,
        }
    }
}
