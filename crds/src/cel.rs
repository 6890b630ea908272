//! The rules that the API server itself checks, in CEL. All of those for manifests, and more, stand in `rules` too.
//!
//! The API server estimates what a rule may cost from the largest value that the schema allows, so rules go over lists of
//! limited length only; rules over lists within lists stand in `rules` alone.

use mergesearch_recipe::MergeMethod;
use serde_json::{Value, json};

use crate::Method;

/// A rule and the message for when it does not hold.
fn rule(rule: &str, message: &str) -> Value {
    json!({ "rule": rule, "message": message })
}

/// `self.field == oldSelf.field` alone would not see an optional field come or go, so `has` is compared too.
fn immutable(field: &str) -> Value {
    rule(
        &format!(
            "has(self.{field}) == has(oldSelf.{field}) && (!has(self.{field}) || self.{field} == oldSelf.{field})"
        ),
        &format!("{field} is immutable"),
    )
}

/// The methods for which something holds, as a CEL list.
fn methods(holds: impl Fn(MergeMethod) -> bool) -> String {
    let names = Method::ALL.iter().filter(|&&method| holds(method.into()));
    format!("[{}]", names.map(|method| format!("'{method:?}'")).collect::<Vec<_>>().join(", "))
}

pub(crate) fn merge_search_spec() -> Value {
    json!([
        immutable("pool"),
        immutable("merge"),
        immutable("objectives"),
        immutable("heldOut"),
        immutable("baselines"),
        rule(
            &format!("self.merge.method in {}", methods(MergeMethod::is_searchable)),
            "merge.method: a search can't use this method",
        ),
        rule(
            &format!("has(self.pool.base) || !(self.merge.method in {})", methods(MergeMethod::needs_base)),
            "merge.method: task-vector methods require pool.base",
        ),
        rule(
            &format!(
                "!(self.merge.method in {}) || self.pool.checkpoints.size() == 2",
                methods(MergeMethod::takes_two)
            ),
            "merge.method: this method merges exactly 2 checkpoints",
        ),
        rule(
            "!has(self.budget.maxGpuHours) || has(self.evaluation.activeDeadlineSeconds)",
            "budget.maxGpuHours requires evaluation.activeDeadlineSeconds"
        ),
        rule(
            "self.pool.checkpoints.all(c, c.uri.startsWith('s3://') || c.uri.startsWith('pvc://'))",
            "pool.checkpoints: in a cluster, uri begins with s3:// or pvc://"
        ),
        rule(
            "!has(self.pool.base) || self.pool.base.uri.startsWith('s3://') || self.pool.base.uri.startsWith('pvc://')",
            "pool.base: in a cluster, uri begins with s3:// or pvc://"
        ),
        rule(
            "!has(self.pool.base) || self.pool.checkpoints.all(c, c.name != self.pool.base.name)",
            "pool.base: has the name of a checkpoint of the pool"
        )
    ])
}

pub(crate) fn granularity() -> Value {
    json!([rule(
        "!(has(self.blocks) && has(self.patterns) && self.patterns.size() > 0)",
        "expected blocks or patterns, found both"
    )])
}

pub(crate) fn parameter_range() -> Value {
    json!([
        rule(
            "!has(self.value) || !(has(self.min) || has(self.max) || has(self.start))",
            "expected value, or some of min, max and start; found both"
        ),
        rule("!(has(self.min) && has(self.max)) || self.min < self.max", "expected min below max")
    ])
}

pub(crate) fn objective() -> Value {
    json!([
        rule("!has(self.weight) || self.weight > 0.0", "weight: expected a number above 0"),
        rule("!has(self.scale) || self.scale > 0.0", "scale: expected a number above 0")
    ])
}

pub(crate) fn search_spec() -> Value {
    json!([
        immutable("algorithm"),
        immutable("fitness"),
        immutable("start"),
        immutable("barrier"),
        immutable("populationSize"),
        immutable("sigma"),
        immutable("seed"),
        immutable("restarts"),
        immutable("stop"),
        immutable("greedy"),
        immutable("finalists"),
        rule("!has(self.sigma) || self.sigma > 0.0", "sigma: expected a number above 0")
    ])
}

pub(crate) fn evaluation() -> Value {
    // A template without `spec` breaks the first rule only.
    let pod = |on_pod: &str, message: &str| {
        let on_pod = on_pod.replace("POD", "self.template.spec");
        rule(&format!("!has(self.template.spec) || ({on_pod})"), message)
    };
    json!([
        rule(
            "has(self.template.spec) && self.template.spec.containers.size() == 1 && self.template.spec.containers[0].name == 'evaluator'",
            "template: expected exactly one container, named evaluator; a server beside it is an init container with restartPolicy: Always"
        ),
        pod(
            "POD.containers.all(c, has(c.command) && c.command.size() > 0)",
            "template: the evaluator's command is required"
        ),
        pod(
            "POD.containers.all(c, has(c.image) && c.image != '')",
            "template: the evaluator's image is required in a cluster"
        ),
        pod(
            "POD.containers.all(c, !has(c.livenessProbe) && !has(c.readinessProbe) && !has(c.startupProbe) && !has(c.lifecycle) && !has(c.restartPolicy))",
            "template: the evaluator runs to its end, so it has no probes, lifecycle or restartPolicy; a server is an init container with restartPolicy: Always"
        ),
        pod(
            "!has(POD.initContainers) || POD.initContainers.all(c, !(c.name in ['merge', 'fetch-candidate', 'report', 'evaluator', 'evaluator-heldout']))",
            "template: the container names merge, fetch-candidate, report, evaluator and evaluator-heldout are reserved"
        ),
        pod(
            "!has(POD.volumes) || POD.volumes.all(v, !v.name.startsWith('mergesearch-'))",
            "template: volume names that begin with mergesearch- are reserved"
        ),
        pod(
            "!has(POD.restartPolicy) || POD.restartPolicy == 'Never'",
            "template: expected restartPolicy Never or nothing; evaluation.backoffLimit says how often to retry"
        ),
        pod(
            "!has(POD.activeDeadlineSeconds)",
            "template: expected activeDeadlineSeconds in evaluation.activeDeadlineSeconds"
        )
    ])
}

pub(crate) fn execution() -> Value {
    json!([rule(
        "self.strategy == 'PerTrial' || has(self.handoff)",
        "handoff: required by strategies MergeThenEvaluate and PerGeneration"
    )])
}

pub(crate) fn scratch() -> Value {
    json!([rule(
        "!has(self.medium) || self.medium != 'Memory' || !has(self.volumeClaimTemplate)",
        "expected medium or volumeClaimTemplate, found both"
    )])
}

pub(crate) fn handoff() -> Value {
    json!([
        rule("has(self.uri) != has(self.claimName)", "expected exactly one of uri and claimName"),
        rule("!has(self.uri) || self.uri.startsWith('s3://')", "uri: expected s3://bucket/prefix")
    ])
}

pub(crate) fn pool_cache() -> Value {
    json!([
        rule("has(self.hostPath) != has(self.claimName)", "expected exactly one of hostPath and claimName"),
        rule("!has(self.hostPath) || self.hostPath.startsWith('/')", "hostPath: expected an absolute path")
    ])
}

pub(crate) fn storage() -> Value {
    json!([
        rule("self.output == oldSelf.output", "output is immutable"),
        rule("self.output.startsWith('s3://')", "output: in a cluster, expected s3://bucket/prefix"),
        rule(
            "!has(self.endpoint) || self.endpoint.startsWith('http://') || self.endpoint.startsWith('https://')",
            "endpoint: expected a URL of http:// or https://"
        )
    ])
}

pub(crate) fn publish() -> Value {
    json!([rule(
        "!has(self.uri) || self.uri.startsWith('s3://')",
        "uri: in a cluster, expected s3://bucket/prefix"
    )])
}

pub(crate) fn merge_search_journal_spec() -> Value {
    json!([
        rule(
            "self.searchUid == oldSelf.searchUid && self.index == oldSelf.index && self.previousHash == oldSelf.previousHash",
            "searchUid, index and previousHash are immutable"
        ),
        rule(
            "has(self.start) == has(oldSelf.start) && (!has(self.start) || self.start == oldSelf.start)",
            "start is immutable"
        ),
        rule("!oldSelf.sealed || self == oldSelf", "a sealed chunk is immutable"),
        rule("self.records.startsWith(oldSelf.records)", "records are only appended")
    ])
}
