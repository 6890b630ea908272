//! Rules of the evaluator's pod template.

use std::path::Path;

use k8s_openapi::api::core::v1::{Container, PodSpec};

use super::Place;
use crate::labels::{RESERVED_CONTAINERS, RESERVED_ENV_PREFIX, RESERVED_FOLDER, RESERVED_VOLUME_PREFIX};
use crate::manifest::Findings;
use crate::{EVALUATOR, MergeSearchSpec};

const POD: &str = "spec.evaluation.template.spec";

pub(super) fn check(spec: &MergeSearchSpec, place: Place, findings: &mut Findings) {
    let Some(pod) = &spec.evaluation.template.spec else {
        findings.error(POD, "required, but missing");
        return;
    };
    match pod.containers.as_slice() {
        [container] if container.name == EVALUATOR => evaluator(container, place, findings),
        [container] => {
            let path = format!("{POD}.containers[0].name");
            findings.error(path, format!("expected {EVALUATOR}, found {:?}", container.name));
        }
        containers => findings.error(
            format!("{POD}.containers"),
            format!(
                "expected exactly one container, named {EVALUATOR}, found {}; a server beside it is an init container with restartPolicy: Always",
                containers.len()
            ),
        ),
    }
    for (index, container) in pod.init_containers.iter().flatten().enumerate() {
        let name = container.name.as_str();
        if RESERVED_CONTAINERS.contains(&name) || name == EVALUATOR {
            findings.error(
                format!("{POD}.initContainers[{index}].name"),
                format!("{name:?} is reserved; expected another"),
            );
        }
        reserved(container, &format!("{POD}.initContainers[{index}]"), findings);
    }
    for (index, volume) in pod.volumes.iter().flatten().enumerate() {
        if volume.name.starts_with(RESERVED_VOLUME_PREFIX) {
            findings.error(
                format!("{POD}.volumes[{index}].name"),
                format!(
                    "names that begin with {RESERVED_VOLUME_PREFIX} are reserved, found {:?}",
                    volume.name
                ),
            );
        }
    }
    pod_fields(spec, pod, findings);
}

/// Variables and folders that a trial's containers get from us.
fn reserved(container: &Container, path: &str, findings: &mut Findings) {
    for (index, variable) in container.env.iter().flatten().enumerate() {
        if variable.name.starts_with(RESERVED_ENV_PREFIX) {
            findings.error(
                format!("{path}.env[{index}].name"),
                format!(
                    "names that begin with {RESERVED_ENV_PREFIX} are reserved, found {:?}",
                    variable.name
                ),
            );
        }
    }
    for (index, mount) in container.volume_mounts.iter().flatten().enumerate() {
        if Path::new(&mount.mount_path).starts_with(RESERVED_FOLDER) {
            findings.error(
                format!("{path}.volumeMounts[{index}].mountPath"),
                format!(
                    "{RESERVED_FOLDER} is reserved, found {:?}; expected another folder",
                    mount.mount_path
                ),
            );
        }
    }
}

fn evaluator(container: &Container, place: Place, findings: &mut Findings) {
    let path = format!("{POD}.containers[0]");
    if container.command.as_ref().is_none_or(Vec::is_empty) {
        findings.error(
            format!("{path}.command"),
            "required, but missing: local runs start it, and so does the pod",
        );
    }
    if place == Place::Cluster && container.image.as_ref().is_none_or(String::is_empty) {
        findings.error(format!("{path}.image"), "required in a cluster, but missing");
    }
    let hooks = [
        ("livenessProbe", container.liveness_probe.is_some()),
        ("readinessProbe", container.readiness_probe.is_some()),
        ("startupProbe", container.startup_probe.is_some()),
        ("lifecycle", container.lifecycle.is_some()),
        ("restartPolicy", container.restart_policy.is_some()),
    ];
    for (field, _) in hooks.iter().filter(|(_, given)| *given) {
        findings.error(
            format!("{path}.{field}"),
            format!("the evaluator runs to its end, so it has no {field}; a server is an init container with restartPolicy: Always"),
        );
    }
    reserved(container, &path, findings);
    for (index, variable) in container.env.iter().flatten().enumerate() {
        if place == Place::Local && variable.value_from.is_some() {
            findings.warning(
                format!("{path}.env[{index}].valueFrom"),
                format!("a local run can't read it; give the value with --env {}=...", variable.name),
            );
        }
    }
}

fn pod_fields(spec: &MergeSearchSpec, pod: &PodSpec, findings: &mut Findings) {
    if let Some(policy) = pod.restart_policy.as_deref()
        && policy != "Never"
    {
        findings.error(
            format!("{POD}.restartPolicy"),
            format!("expected Never or nothing, found {policy:?}: spec.evaluation.backoffLimit says how often to retry"),
        );
    }
    if pod.active_deadline_seconds.is_some() {
        findings.error(
            format!("{POD}.activeDeadlineSeconds"),
            "expected it in spec.evaluation.activeDeadlineSeconds",
        );
    }
    let accounts = (pod.service_account_name.as_deref(), spec.storage.service_account_name.as_deref());
    if let (Some(template), Some(storage)) = accounts
        && template != storage
    {
        findings.error(
            "spec.storage.serviceAccountName",
            format!("expected {template:?} as in {POD}.serviceAccountName, or one of the two left out, found {storage:?}"),
        );
    }
}
