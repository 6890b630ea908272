//! The level `restricted` of the Pod Security Standards, as far as its rules concern what these pods can have.

use k8s_openapi::api::core::v1::{Container, PodSpec};

use super::containers;

/// What the admission of a namespace at level `restricted` would refuse.
pub(super) fn violations(pod: &PodSpec) -> Vec<String> {
    let mut found: Vec<String> = containers(pod).flat_map(|container| of_container(pod, container)).collect();
    for volume in pod.volumes.iter().flatten() {
        let allowed = volume.config_map.is_some()
            || volume.empty_dir.is_some()
            || volume.ephemeral.is_some()
            || volume.persistent_volume_claim.is_some();
        if !allowed {
            found.push(format!("volume {}", volume.name));
        }
    }
    for (given, what) in
        [(pod.host_network, "hostNetwork"), (pod.host_pid, "hostPID"), (pod.host_ipc, "hostIPC")]
    {
        if given == Some(true) {
            found.push(what.to_owned());
        }
    }
    found
}

fn of_container(pod: &PodSpec, container: &Container) -> Vec<String> {
    let context = container.security_context.clone().unwrap_or_default();
    let pod = pod.security_context.clone().unwrap_or_default();
    let capabilities = context.capabilities.unwrap_or_default();
    let drops_all = capabilities.drop.iter().flatten().any(|name| name == "ALL");
    let adds = capabilities.add.iter().flatten().any(|name| name != "NET_BIND_SERVICE");
    let seccomp = context.seccomp_profile.or(pod.seccomp_profile).map(|profile| profile.type_);
    let kept = [
        (context.allow_privilege_escalation == Some(false), "allowPrivilegeEscalation"),
        (context.privileged != Some(true), "privileged"),
        (drops_all && !adds, "capabilities"),
        (context.run_as_non_root.or(pod.run_as_non_root) == Some(true), "runAsNonRoot"),
        (context.run_as_user.or(pod.run_as_user) != Some(0), "runAsUser"),
        (matches!(seccomp.as_deref(), Some("RuntimeDefault" | "Localhost")), "seccompProfile"),
    ];
    kept.iter().filter(|(kept, _)| !kept).map(|(_, rule)| format!("{}: {rule}", container.name)).collect()
}
