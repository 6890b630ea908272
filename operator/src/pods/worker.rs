//! Pods that work for the operator without the user's evaluator: preflight, collecting, publishing, cleaning up.

use k8s_openapi::api::core::v1::{PodSpec, ResourceRequirements};
use mergesearch_crds::labels;
use mergesearch_search::contract::Request;

use super::{Blueprint, claims, resources, security, volumes};
use crate::identity::{Role, Work};

/// How often one of these pods is run again before its Job has failed.
pub(super) const BACKOFF_LIMIT: i32 = 2;

/// Seconds that reading the headers of a pool may take.
const PREFLIGHT_SECONDS: i64 = 30 * 60;
/// Seconds that reading a report may take.
const COLLECT_SECONDS: i64 = 10 * 60;
/// Seconds that a merge may take that goes straight to object storage.
const PUBLISH_SECONDS: i64 = 24 * 60 * 60;
/// Seconds that deleting may take: the search's finalizer waits no longer.
const CLEANUP_SECONDS: i64 = 10 * 60;

impl Blueprint<'_> {
    /// One container of ours on the nodes of the merger. From the template comes what reaching registries and storage
    /// takes, and who the pod is.
    pub(super) fn worker_pod(&self, work: &Work, request: &Request) -> PodSpec {
        let role = work.role();
        let template = self.pod_template();
        let security = security::pod(template.security_context.as_ref());
        let read = match work {
            Work::Preflight => claims::volumes(self.config.checkpoints.iter().chain(&self.config.base)),
            Work::Publish { recipe, .. } => claims::volumes(recipe.checkpoints.iter().chain(&recipe.base)),
            Work::Trial(_) | Work::Collect(_) | Work::Cleanup => Vec::new(),
        };
        let mounted: Vec<_> =
            read.into_iter().chain(self.certificates()).chain([volumes::temporary()]).collect();
        let mounts = mounted.iter().map(|mounted| mounted.mount.clone()).collect();
        let worker = self.program(
            labels::REPORT_CONTAINER,
            role.as_str(),
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
            Role::Publish => self.merger_resources(false),
            // Headers of hundreds of checkpoints at a time.
            Role::Preflight => resources::small("250m", "512Mi", "2Gi"),
            Role::Trial | Role::Collect | Role::Cleanup => resources::small("100m", "128Mi", "1Gi"),
        }
    }
}

const fn deadline(role: Role) -> i64 {
    match role {
        Role::Preflight => PREFLIGHT_SECONDS,
        Role::Publish => PUBLISH_SECONDS,
        Role::Trial | Role::Collect => COLLECT_SECONDS,
        Role::Cleanup => CLEANUP_SECONDS,
    }
}
