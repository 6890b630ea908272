//! Security contexts: ours are strict, the user's are completed so that namespaces which enforce `restricted` accept them.

use k8s_openapi::api::core::v1::{
    Capabilities, Container, PodSecurityContext, SeccompProfile, SecurityContext,
};

/// User and group of pods whose template names none: `nonroot` of distroless images.
const NOBODY: i64 = 65532;

/// The context of a pod: the template's, completed where it is silent.
pub(super) fn pod(template: Option<&PodSecurityContext>) -> PodSecurityContext {
    let mut context = template.cloned().unwrap_or_default();
    if context.run_as_user.is_none() {
        context.run_as_user = Some(NOBODY);
        // With a user of its own, the template may count on that user's own group.
        context.run_as_group.get_or_insert(NOBODY);
    }
    context.fs_group.get_or_insert(NOBODY);
    let is_root = context.run_as_user == Some(0);
    context.run_as_non_root.get_or_insert(!is_root);
    context.seccomp_profile.get_or_insert_with(runtime_default);
    context
}

/// The context of a container of ours. It runs as the evaluator's user: another could not read the files that the
/// evaluator leaves, nor it the merged checkpoint.
pub(super) fn program(pod: &PodSecurityContext, evaluator: &Container) -> SecurityContext {
    let theirs = evaluator.security_context.clone().unwrap_or_default();
    let user = theirs.run_as_user.or(pod.run_as_user);
    SecurityContext {
        run_as_user: theirs.run_as_user,
        run_as_group: theirs.run_as_group,
        run_as_non_root: Some(user != Some(0)),
        se_linux_options: theirs.se_linux_options,
        read_only_root_filesystem: Some(true),
        allow_privilege_escalation: Some(false),
        capabilities: Some(drop_all()),
        seccomp_profile: Some(runtime_default()),
        ..SecurityContext::default()
    }
}

/// Completes the context of a container of the user's where it is silent. Its root file system stays as it is.
pub(super) fn complete(container: &mut Container) {
    let context = container.security_context.get_or_insert_default();
    let privileged = context.privileged == Some(true);
    let added = context.capabilities.iter().flat_map(|capabilities| capabilities.add.iter().flatten());
    let mut added = added.map(|name| name.trim_start_matches("CAP_"));
    // With either of these the API server refuses a container that may not gain privileges.
    if !privileged && !added.any(|name| name == "SYS_ADMIN") {
        context.allow_privilege_escalation.get_or_insert(false);
    }
    if !privileged {
        context.capabilities.get_or_insert_with(drop_all);
    }
    // The pod's default would keep a container from starting that is root by its own words.
    if context.run_as_user == Some(0) {
        context.run_as_non_root.get_or_insert(false);
    }
}

fn drop_all() -> Capabilities {
    Capabilities { add: None, drop: Some(vec!["ALL".to_owned()]) }
}

fn runtime_default() -> SeccompProfile {
    SeccompProfile { type_: "RuntimeDefault".to_owned(), localhost_profile: None }
}
