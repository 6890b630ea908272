//! Rules of objectives and held-out metrics.

use std::collections::BTreeMap;

use mergesearch_search::results::MetricName;

use super::pool;
use crate::manifest::Findings;
use crate::{Bound, Direction, MergeSearchSpec, Metric, Objective};

pub(super) fn check(spec: &MergeSearchSpec, findings: &mut Findings) {
    let mut metrics = BTreeMap::new();
    for (index, objective) in spec.objectives.iter().enumerate() {
        let path = format!("spec.objectives[{index}]");
        match &objective.metric {
            Metric::Every(name) => metric(&format!("{path}.metric"), name, findings),
            Metric::ByStage(stages) => {
                metric(&format!("{path}.metric.search"), &stages.search, findings);
                if let Some(test) = &stages.test {
                    metric(&format!("{path}.metric.test"), test, findings);
                }
            }
        }
        for (field, value) in [("weight", objective.weight), ("scale", objective.scale)] {
            if value.is_nan() || value <= 0.0 {
                findings
                    .error(format!("{path}.{field}"), format!("expected a number above 0, found {value}"));
            }
        }
        if let Some(first) = metrics.insert(objective.metric.search(), index) {
            findings.error(
                format!("{path}.metric"),
                format!("{:?} is the metric of spec.objectives[{first}] already", objective.metric.search()),
            );
        }
        constraint(spec, objective, &path, findings);
    }
    held_out(spec, findings);
}

fn held_out(spec: &MergeSearchSpec, findings: &mut Findings) {
    for (index, held_out) in spec.held_out.iter().enumerate() {
        let path = format!("spec.heldOut[{index}]");
        metric(&format!("{path}.metric"), &held_out.metric, findings);
        if let Some(objective) = spec.objectives.iter().position(|objective| objective.name == held_out.name)
        {
            findings.error(
                format!("{path}.name"),
                format!(
                    "{:?} is the name of spec.objectives[{objective}] already; expected a unique one",
                    held_out.name
                ),
            );
        }
        let optimised = |objective: &Objective| {
            objective.metric.search() == held_out.metric || objective.metric.test() == held_out.metric
        };
        if let Some(objective) = spec.objectives.iter().position(optimised) {
            findings.error(
                format!("{path}.metric"),
                format!(
                    "{:?} is the metric of spec.objectives[{objective}]; expected one that is not optimised",
                    held_out.metric
                ),
            );
        }
    }
}

fn metric(path: &str, name: &str, findings: &mut Findings) {
    if MetricName::try_from(name).is_err() {
        findings.error(
            path,
            format!("expected TASK/METRIC,FILTER, such as gsm8k/exact_match,strict-match, found {name:?}"),
        );
    }
}

fn constraint(spec: &MergeSearchSpec, objective: &Objective, path: &str, findings: &mut Findings) {
    let Some(constraint) = &objective.constraint else { return };
    let (right, wrong, other) = match objective.direction {
        Direction::Maximize => ("min", "max", &constraint.max),
        Direction::Minimize => ("max", "min", &constraint.min),
    };
    if other.is_some() {
        findings.error(
            format!("{path}.constraint.{wrong}"),
            format!("an objective to {:?} is limited by {right} only", objective.direction),
        );
    }
    if constraint.min.is_none() && constraint.max.is_none() {
        findings.error(format!("{path}.constraint"), format!("expected {right}, found nothing"));
    }
    for (side, bound) in [("min", &constraint.min), ("max", &constraint.max)] {
        let Some(Bound::Relative(bound)) = bound else { continue };
        let path = format!("{path}.constraint.{side}.relativeTo");
        let to = bound.relative_to.as_str();
        match to {
            "uniform" | "bestSingle" => {}
            "base" if spec.pool.base.is_some() => {}
            "base" => findings.error(path, "there is no spec.pool.base to compare with"),
            _ if spec.pool.checkpoints.iter().chain(&spec.pool.base).any(|member| member.name == to) => {}
            _ => findings.error(
                path,
                format!(
                    "expected base, uniform, bestSingle or a checkpoint ({}), found {to:?}",
                    pool::names(spec)
                ),
            ),
        }
    }
}
