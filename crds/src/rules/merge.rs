//! Rules of the merge: what a method needs, and what a search can't use.

use mergesearch_recipe::{MergeMethod, Parameter};

use crate::manifest::Findings;
use crate::{Merge, MergeSearchSpec, Method, defaults};

pub(super) fn check(spec: &MergeSearchSpec, findings: &mut Findings) {
    let merge = &spec.merge;
    let method = MergeMethod::from(merge.method);
    let name = format!("{:?}", merge.method);
    let pool = spec.pool.checkpoints.len();
    if !method.is_searchable() {
        let known: Vec<String> = Method::searchable().map(|method| format!("{method:?}")).collect();
        findings.error(
            "spec.merge.method",
            format!("a search can't use {name}; expected one of {}", known.join(", ")),
        );
        return;
    }
    if method.needs_base() && spec.pool.base.is_none() {
        findings.error("spec.pool.base", format!("required by spec.merge.method {name}, but missing"));
    }
    if method.takes_two() && pool != 2 {
        findings.error("spec.pool.checkpoints", format!("{name} merges exactly 2 checkpoints, found {pool}"));
    }
    if merge.granularity.blocks.is_some() && !merge.granularity.patterns.is_empty() {
        findings.error("spec.merge.granularity", "expected blocks or patterns, found both");
    }
    for (index, pattern) in merge.granularity.patterns.iter().enumerate() {
        // A tensor belongs to the first pattern that its name contains, so a pattern within a later one shadows it.
        let first =
            merge.granularity.patterns[..index].iter().position(|earlier| pattern.contains(earlier.as_str()));
        if let Some(first) = first {
            findings.error(
                format!("spec.merge.granularity.patterns[{index}]"),
                format!("every name that contains {pattern:?} belongs to patterns[{first}] already; put the longer first"),
            );
        }
    }
    lambda(merge, findings);
}

fn lambda(merge: &Merge, findings: &mut Findings) {
    const PATH: &str = "spec.merge.parameters.lambda";
    let Some(range) = merge.parameters.lambda else { return };
    if !MergeMethod::from(merge.method).takes(Parameter::Lambda) {
        findings.error(PATH, format!("{:?} has no lambda; only task-vector methods have", merge.method));
    }
    let (min, max, start) = defaults::LAMBDA;
    let (min, max, start) = range.bounds(min, max, start);
    if range.value.is_some() && (range.min.is_some() || range.max.is_some() || range.start.is_some()) {
        findings.error(PATH, "expected value, or some of min, max and start; found both");
    } else if range.value.is_none() && !(min < max && (min..=max).contains(&start)) {
        findings.error(
            PATH,
            format!("expected min < max and start between them, found {min}, {max} and {start}"),
        );
    }
}
