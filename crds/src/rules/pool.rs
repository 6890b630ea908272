//! Rules of the pool and of the merges that are known beforehand: names.

use crate::manifest::Findings;
use crate::{CheckpointSource, MergeSearchSpec};

/// Names that stand for baselines in reports and in `relativeTo`.
const RESERVED: [&str; 4] = ["base", "uniform", "greedy", "best-single"];

pub(super) fn check(spec: &MergeSearchSpec, findings: &mut Findings) {
    let pool = &spec.pool;
    for (index, checkpoint) in pool.checkpoints.iter().enumerate() {
        let path = format!("spec.pool.checkpoints[{index}]");
        if RESERVED.contains(&checkpoint.name.as_str()) {
            findings.error(
                format!("{path}.name"),
                format!("{:?} is the name of a baseline; expected another", checkpoint.name),
            );
        }
        let twin = pool.checkpoints[..index].iter().position(|other| other.uri == checkpoint.uri);
        if let Some(twin) = twin {
            findings.warning(
                format!("{path}.uri"),
                format!("the same folder as spec.pool.checkpoints[{twin}]: one checkpoint counts twice"),
            );
        }
    }
    if let Some(base) = &pool.base
        && let Some(index) = pool.checkpoints.iter().position(|checkpoint| checkpoint.name == base.name)
    {
        findings.error(
            "spec.pool.base.name",
            format!("{:?} is the name of spec.pool.checkpoints[{index}]; expected another: the base is not in the pool", base.name),
        );
    }
    if let Some(donor) = &spec.merge.tokenizer_from
        && !members(spec).any(|member| member.name == *donor)
    {
        findings.error(
            "spec.merge.tokenizerFrom",
            format!("no checkpoint has the name {donor:?}; expected one of {}", names(spec)),
        );
    }
    baselines(spec, findings);
}

fn baselines(spec: &MergeSearchSpec, findings: &mut Findings) {
    for (index, baseline) in spec.baselines.iter().enumerate() {
        let path = format!("spec.baselines[{index}]");
        let taken = RESERVED.contains(&baseline.name.as_str())
            || members(spec).any(|member| member.name == baseline.name);
        if taken {
            findings.error(
                format!("{path}.name"),
                format!(
                    "{:?} is the name of a checkpoint or of a built-in baseline; expected another",
                    baseline.name
                ),
            );
        }
        for name in baseline.weights.keys() {
            if !spec.pool.checkpoints.iter().any(|checkpoint| checkpoint.name == *name) {
                findings.error(format!("{path}.weights.{name}"), "no checkpoint of the pool has this name");
            }
        }
        let sum: f64 = baseline.weights.values().sum();
        if (sum - 1.0).abs() > 1e-6 {
            findings.error(
                format!("{path}.weights"),
                format!("expected weights that sum to 1, found a sum of {sum}"),
            );
        }
    }
}

/// The pool and the base.
fn members(spec: &MergeSearchSpec) -> impl Iterator<Item = &CheckpointSource> {
    spec.pool.checkpoints.iter().chain(&spec.pool.base)
}

/// The first names of the pool, for a message.
pub(super) fn names(spec: &MergeSearchSpec) -> String {
    let names: Vec<&str> = members(spec).take(8).map(|member| member.name.as_str()).collect();
    let more = if members(spec).count() > names.len() { ", ..." } else { "" };
    format!("{}{more}", names.join(", "))
}
