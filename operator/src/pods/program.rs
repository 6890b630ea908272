//! A container of ours: the merger's program, doing one thing.

use k8s_openapi::api::core::v1::{Container, PodSecurityContext, ResourceRequirements, VolumeMount};
use mergesearch_crds::ImagePullPolicy;
use mergesearch_search::contract::Request;

use super::{Blueprint, security};

/// So that a program that ends without a message, or an evaluator that knows of none, is heard.
pub(super) const MESSAGE_POLICY: &str = "FallbackToLogsOnError";

impl Blueprint<'_> {
    /// A container that runs `pod COMMAND` of the merger's program.
    pub(super) fn program(
        &self,
        name: &str,
        command: &str,
        request: &Request,
        resources: ResourceRequirements,
        pod: &PodSecurityContext,
        mounts: Vec<VolumeMount>,
    ) -> Container {
        let merger = &self.resource.spec.execution.merger;
        let pull_policy = merger.image_pull_policy.or(self.settings.merger_image_pull_policy);
        Container {
            name: name.to_owned(),
            image: Some(merger.image.clone().unwrap_or_else(|| self.settings.merger_image.clone())),
            image_pull_policy: pull_policy.map(|policy| pull_policy_name(policy).to_owned()),
            args: Some(vec!["pod".to_owned(), command.to_owned()]),
            env: Some(self.program_environment(request)),
            resources: Some(resources),
            security_context: Some(security::program(pod, &self.evaluator())),
            termination_message_policy: Some(MESSAGE_POLICY.to_owned()),
            volume_mounts: Some(mounts),
            ..Container::default()
        }
    }
}

const fn pull_policy_name(policy: ImagePullPolicy) -> &'static str {
    match policy {
        ImagePullPolicy::Always => "Always",
        ImagePullPolicy::IfNotPresent => "IfNotPresent",
        ImagePullPolicy::Never => "Never",
    }
}
