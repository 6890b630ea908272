//! `spec.evaluation`: the user's evaluator as a pod template.

use k8s_openapi::api::core::v1::{Container, PodTemplateSpec};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::quantity::bytes;
use crate::{cel, defaults};

/// Name of the evaluator's container in the template.
pub const EVALUATOR: &str = "evaluator";

/// The evaluator: the pod that scores a merged checkpoint, and how long and how often it may try.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[schemars(extend("x-kubernetes-validations" = cel::evaluation()))]
#[serde(rename_all = "camelCase")]
pub struct Evaluation {
    /// The pod to evaluate with: exactly one container, named `evaluator`, with a `command`, without probes and lifecycle
    /// hooks. Its init containers run after the merge; one with `restartPolicy: Always` may be an inference server. A
    /// local run starts the command with its args and env as a process and does not use the rest. Immutable: image,
    /// command, args and env of the evaluator. Mutable: resources and scheduling.
    pub template: PodTemplateSpec,
    /// Seconds from the start of a trial's pod after which it is stopped and the trial has failed. Default: no limit.
    /// Mutable. Example: `3600`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 31_536_000))]
    pub active_deadline_seconds: Option<i64>,
    /// How often an evaluator that exits with an error is run again before its trial has failed. Default: 1. Mutable.
    #[serde(default = "defaults::backoff_limit")]
    #[schemars(range(min = 0, max = 10))]
    pub backoff_limit: i32,
}

impl Evaluation {
    /// The evaluator's container, if the template has it.
    pub fn evaluator(&self) -> Option<&Container> {
        self.template.spec.as_ref()?.containers.iter().find(|container| container.name == EVALUATOR)
    }

    /// GPUs that a trial's pod holds: those of the evaluator, or of one plain init container if that has more, and those
    /// of the servers beside it.
    pub fn gpus(&self) -> u64 {
        let Some(pod) = &self.template.spec else { return 0 };
        let (servers, steps): (Vec<&Container>, Vec<&Container>) = pod
            .init_containers
            .iter()
            .flatten()
            .partition(|container| container.restart_policy.as_deref() == Some("Always"));
        let most = steps.into_iter().chain(&pod.containers).map(gpus).max().unwrap_or(0);
        most + servers.into_iter().map(gpus).sum::<u64>()
    }
}

/// GPUs of one container; their limits and requests are equal. `nvidia.com/gpu`, `nvidia.com/mig-1g.10gb`, `amd.com/gpu`
/// and `gpu.intel.com/xe` are all GPUs.
fn gpus(container: &Container) -> u64 {
    let limits = container.resources.as_ref().and_then(|resources| resources.limits.as_ref());
    let is_gpu = |name: &str| name.contains("gpu") || name.starts_with("nvidia.com/mig-");
    limits
        .into_iter()
        .flatten()
        .filter(|(name, _)| is_gpu(name))
        .filter_map(|(_, amount)| bytes(amount))
        .sum()
}
