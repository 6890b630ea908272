//! Pods that work for the operator without the user's evaluator: preflight, merging for others, collecting, publishing,
//! cleaning up.

use k8s_openapi::api::core::v1::{PodSpec, ResourceRequirements};
use mergesearch_crds::labels;
use mergesearch_recipe::{Checkpoint, Recipe};
use mergesearch_search::contract::Request;

use super::{Blueprint, claims, resources, security, volumes};
use crate::identity::{Role, Work};

/// How often one of these pods is run again before its Job has failed.
pub(super) const BACKOFF_LIMIT: i32 = 2;

/// Seconds that reading the headers of a pool may take.
const PREFLIGHT_SECONDS: i64 = 30 * 60;
/// Seconds that reading a report may take.
const COLLECT_SECONDS: i64 = 10 * 60;
/// Seconds that a merge may take that goes straight to object storage or to a claim.
const MERGE_SECONDS: i64 = 24 * 60 * 60;
/// Seconds that deleting may take: the search's finalizer waits no longer.
const CLEANUP_SECONDS: i64 = 10 * 60;

impl Blueprint<'_> {
    /// One container of ours on the nodes of the merger. From the template comes what reaching registries and storage
    /// takes, and who the pod is.
    pub(super) fn worker_pod(&self, work: &Work, request: &Request) -> PodSpec {
        let role = work.role();
        let template = self.pod_template();
        let security = security::pod(template.security_context.as_ref());
        let handoff = self.handoff_claim();
        let sources = |recipe: &Recipe| recipe.checkpoints.iter().chain(&recipe.base).cloned().collect();
        let (read, handoff): (Vec<Checkpoint>, _) = match work {
            Work::Preflight => {
                (self.config.checkpoints.iter().chain(&self.config.base).cloned().collect(), handoff)
            }
            Work::Merge(trials) => {
                (trials.first().map_or_else(Vec::new, |trial| sources(&trial.recipe)), handoff)
            }
            Work::Publish { recipe, .. } => (sources(recipe), None),
            Work::Discard | Work::Cleanup => (Vec::new(), handoff),
            Work::Trial(_) | Work::Collect(_) => (Vec::new(), None),
        };
        let read = claims::volumes(&read, handoff.as_deref());
        let mounted: Vec<_> =
            read.into_iter().chain(self.certificates()).chain([volumes::temporary()]).collect();
        let mounts = mounted.iter().map(|mounted| mounted.mount.clone()).collect();
        let worker = self.program(
            labels::REPORT_CONTAINER,
            command(role),
            request,
            self.worker_resources(role),
            &security,
            mounts,
        );
        let merger = &self.resource.spec.execution.merger;
        PodSpec {
            containers: vec![worker],
            volumes: Some(mounted.into_iter().map(|mounted| mounted.volume).collect()),
            security_context: Some(security),
            restart_policy: Some("Never".to_owned()),
            active_deadline_seconds: Some(deadline(role)),
            service_account_name: self.service_account(),
            automount_service_account_token: Some(false),
            node_selector: Some(merger.node_selector.clone()).filter(|selector| !selector.is_empty()),
            tolerations: Some(merger.tolerations.clone()).filter(|tolerations| !tolerations.is_empty()),
            image_pull_secrets: template.image_pull_secrets,
            dns_config: template.dns_config,
            dns_policy: template.dns_policy,
            host_aliases: template.host_aliases,
            ..PodSpec::default()
        }
    }

    fn worker_resources(&self, role: Role) -> ResourceRequirements {
        match role {
            Role::Merge | Role::Publish => self.merger_resources(false),
            // Headers of hundreds of checkpoints at a time.
            Role::Preflight => resources::small("250m", "512Mi", "2Gi"),
            Role::Trial | Role::Collect | Role::Discard | Role::Cleanup => {
                resources::small("100m", "128Mi", "1Gi")
            }
        }
    }
}

const fn deadline(role: Role) -> i64 {
    match role {
        Role::Preflight => PREFLIGHT_SECONDS,
        Role::Merge | Role::Publish => MERGE_SECONDS,
        Role::Trial | Role::Collect => COLLECT_SECONDS,
        Role::Discard | Role::Cleanup => CLEANUP_SECONDS,
    }
}

/// What the merger's program is told to do.
const fn command(role: Role) -> &'static str {
    match role {
        Role::Discard => Role::Cleanup.as_str(),
        role => role.as_str(),
    }
}
