//! Rules of execution: volumes, sizes, and what goes with which strategy.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::Place;
use crate::manifest::Findings;
use crate::quantity::bytes;
use crate::{Execution, MergeSearchSpec, ScratchMedium};

pub(super) fn check(spec: &MergeSearchSpec, place: Place, findings: &mut Findings) {
    let execution = &spec.execution;
    size("spec.merge.maxShardSize", Some(&spec.merge.max_shard_size), findings);
    let limits = execution.merger.resources.as_ref().and_then(|resources| resources.limits.as_ref());
    size(
        "spec.execution.merger.resources.limits.memory",
        limits.and_then(|limits| limits.get("memory")),
        findings,
    );
    volumes(execution, findings);
    if execution.strategy.hands_off() && execution.handoff.is_none() && place == Place::Cluster {
        findings.error(
            "spec.execution.handoff",
            format!("required by spec.execution.strategy {:?}, but missing", execution.strategy),
        );
    }
}

fn volumes(execution: &Execution, findings: &mut Findings) {
    if let Some(scratch) = &execution.scratch {
        size("spec.execution.scratch.sizeLimit", scratch.size_limit.as_ref(), findings);
        if scratch.medium == Some(ScratchMedium::Memory) && scratch.volume_claim_template.is_some() {
            findings.error("spec.execution.scratch", "expected medium or volumeClaimTemplate, found both");
        }
    }
    if let Some(handoff) = &execution.handoff
        && handoff.uri.is_some() == handoff.claim_name.is_some()
    {
        findings.error("spec.execution.handoff", "expected exactly one of uri and claimName");
    }
    if let Some(cache) = &execution.pool_cache {
        size("spec.execution.poolCache.sizeLimit", cache.size_limit.as_ref(), findings);
        if cache.host_path.is_some() == cache.claim_name.is_some() {
            findings.error("spec.execution.poolCache", "expected exactly one of hostPath and claimName");
        }
        if let Some(path) = &cache.host_path
            && !path.starts_with('/')
        {
            findings.error(
                "spec.execution.poolCache.hostPath",
                format!("expected an absolute path, found {path:?}"),
            );
        }
    }
}

fn size(path: &str, quantity: Option<&Quantity>, findings: &mut Findings) {
    let Some(quantity) = quantity else { return };
    if bytes(quantity).is_none_or(|bytes| bytes == 0) {
        findings.error(
            path,
            format!("expected a size in bytes above 0, such as 5G or 512Mi, found {:?}", quantity.0),
        );
    }
}
