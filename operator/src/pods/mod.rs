//! The Jobs of a search, and the pods in them.
//!
//! Everything here is pure: the same search, start and work give the same Job.

mod claims;
mod environment;
mod handoff;
mod program;
mod request;
mod resources;
mod security;
#[cfg(test)]
mod tests;
mod trial;
mod volumes;
mod worker;

use std::collections::BTreeMap;

use k8s_openapi::api::batch::v1::{
    Job, JobSpec, PodFailurePolicy, PodFailurePolicyOnExitCodesRequirement,
    PodFailurePolicyOnPodConditionsPattern, PodFailurePolicyRule,
};
use k8s_openapi::api::core::v1::{Container, PodSpec, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::Resource as _;
use mergesearch_crds::{EVALUATOR, JournalStart, MergeSearch, labels};
use mergesearch_search::SearchConfig;
use mergesearch_search::contract::exit_code;

use crate::identity::{JobKey, Work};
use crate::settings::Settings;

pub use self::request::{evaluator_hash, identity, left_folders, published_uri, recipe_hash, stage_requests};

/// kubectl's annotation for the container whose logs are meant when none is named.
const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";

/// What every Job of a search is made from.
#[derive(Debug, Clone, Copy)]
pub struct Blueprint<'a> {
    /// The search as it is in the cluster, checked.
    pub resource: &'a MergeSearch,
    /// The engine's configuration of the search. Its locations are as in the manifest; the merger itself finds `pvc://` in
    /// the folder of mounted claims.
    pub config: &'a SearchConfig,
    /// What preflight found out; `None` before it has.
    pub start: Option<&'a JournalStart>,
    /// The operator's own settings.
    pub settings: &'a Settings,
}

impl Blueprint<'_> {
    /// The Job for a piece of work, ready to be created.
    pub fn job(&self, work: &Work, attempt: u32) -> Job {
        let key = work.key(attempt);
        let request = self.request(work, attempt);
        let (pod, final_in, backoff_limit) = match work {
            Work::Trial(trial) => {
                let source = if self.handed(&trial.id).is_some() {
                    labels::FETCH_CONTAINER
                } else {
                    labels::MERGE_CONTAINER
                };
                (self.trial_pod(trial, &request), source, self.resource.spec.evaluation.backoff_limit)
            }
            _ => (self.worker_pod(work, &request), labels::REPORT_CONTAINER, worker::BACKOFF_LIMIT),
        };
        let (mut metadata, mut pods, mut mode) = (self.metadata(&key), 1, None);
        if let Work::Merge(trials) = work {
            (pods, mode) =
                (self.resource.spec.execution.merger.parallelism.max(1), Some("Indexed".to_owned()));
            let ids: Vec<String> = trials.iter().map(|trial| trial.id.to_string()).collect();
            metadata.annotations.get_or_insert_default().insert(labels::MERGES.to_owned(), ids.join(","));
        }
        Job {
            metadata,
            spec: Some(JobSpec {
                parallelism: Some(pods),
                completions: Some(pods),
                completion_mode: mode,
                backoff_limit: Some(backoff_limit.saturating_mul(pods)),
                pod_failure_policy: Some(failure_policy(final_in)),
                // A pod that hangs in termination still holds its GPUs: the next one waits until it has ended.
                pod_replacement_policy: Some("Failed".to_owned()),
                template: self.template(&key, pod),
                ..JobSpec::default()
            }),
            status: None,
        }
    }

    fn metadata(&self, key: &JobKey) -> ObjectMeta {
        let search = identity(self.resource);
        let mut own = key.labels(&search.name, &search.uid);
        if let Some(queue) = &self.resource.spec.execution.queue_name {
            own.insert(labels::QUEUE_NAME.to_owned(), queue.clone());
        }
        let mut annotations = trial_annotation(key);
        if let Some(generation) = self.resource.metadata.generation {
            annotations.insert(labels::SEARCH_GENERATION.to_owned(), generation.to_string());
        }
        let owner = self.resource.controller_owner_ref(&());
        // A search that is deleted in the foreground goes only after its Jobs.
        let owner = owner.map(|owner| OwnerReference { block_owner_deletion: Some(true), ..owner });
        ObjectMeta {
            name: Some(key.name(&search.name, &search.uid)),
            namespace: self.resource.metadata.namespace.clone(),
            labels: Some(own),
            annotations: Some(annotations).filter(|annotations| !annotations.is_empty()),
            owner_references: owner.map(|owner| vec![owner]),
            ..ObjectMeta::default()
        }
    }

    /// The pod with its labels and annotations. Those of the user's template are on trials only: they speak of the
    /// evaluator, for instance to inject something beside it.
    fn template(&self, key: &JobKey, pod: PodSpec) -> PodTemplateSpec {
        let search = identity(self.resource);
        let is_trial = pod.init_containers.iter().flatten().any(|container| container.name == EVALUATOR);
        let theirs = self.resource.spec.evaluation.template.metadata.clone().filter(|_| is_trial);
        let theirs = theirs.unwrap_or_default();
        let mut all_labels = theirs.labels.unwrap_or_default();
        all_labels.extend(key.labels(&search.name, &search.uid));
        let mut annotations = theirs.annotations.unwrap_or_default();
        annotations.extend(trial_annotation(key));
        if is_trial {
            annotations.insert(DEFAULT_CONTAINER.to_owned(), EVALUATOR.to_owned());
        }
        let metadata = ObjectMeta {
            labels: Some(all_labels),
            annotations: Some(annotations).filter(|annotations| !annotations.is_empty()),
            ..ObjectMeta::default()
        };
        PodTemplateSpec { metadata: Some(metadata), spec: Some(pod) }
    }

    /// The pod of the user's template.
    fn pod_template(&self) -> PodSpec {
        self.resource.spec.evaluation.template.spec.clone().unwrap_or_default()
    }

    /// The user's container. A checked search has one.
    fn evaluator(&self) -> Container {
        self.resource.spec.evaluation.evaluator().cloned().unwrap_or_default()
    }

    /// The account of every pod.
    fn service_account(&self) -> Option<String> {
        let template = || self.resource.spec.evaluation.template.spec.as_ref()?.service_account_name.clone();
        self.resource.spec.storage.service_account_name.clone().or_else(template)
    }
}

/// The whole identity of the trial: a label holds 63 characters only.
fn trial_annotation(key: &JobKey) -> BTreeMap<String, String> {
    key.trial.iter().map(|trial| (labels::TRIAL.to_owned(), trial.to_string())).collect()
}

/// Disruptions cost no retry, and what stays wrong is not tried again. All else counts against the backoff limit.
fn failure_policy(final_in: &str) -> PodFailurePolicy {
    let disruption = PodFailurePolicyOnPodConditionsPattern {
        type_: "DisruptionTarget".to_owned(),
        status: "True".to_owned(),
    };
    let wrong = PodFailurePolicyOnExitCodesRequirement {
        container_name: Some(final_in.to_owned()),
        operator: "In".to_owned(),
        values: vec![exit_code::BAD_INPUT, exit_code::POOL_CHANGED, exit_code::CANDIDATE_LOST],
    };
    PodFailurePolicy {
        rules: vec![
            PodFailurePolicyRule {
                action: "Ignore".to_owned(),
                on_pod_conditions: Some(vec![disruption]),
                ..PodFailurePolicyRule::default()
            },
            PodFailurePolicyRule {
                action: "FailJob".to_owned(),
                on_exit_codes: Some(wrong),
                ..PodFailurePolicyRule::default()
            },
        ],
    }
}
