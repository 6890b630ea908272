//! The metrics that a stage of a search asks for, read from what an evaluator left.

use std::path::Path;

use mergesearch_merger::{UnusableResults, newest_results, stage_scores};
use mergesearch_search::results::MetricName;
use mergesearch_search::{Direction, SearchConfig, Stage, StageScores};

/// Reads the metrics that a stage asks for, in the configuration's order.
pub(crate) fn read(
    folder: &Path,
    stage: Stage,
    config: &SearchConfig,
) -> Result<StageScores, UnusableResults> {
    stage_scores(folder, stage, wanted(stage, config).map(|(name, _)| name))
}

/// Sentences about metrics whose direction the evaluator sees otherwise; none when there are no results.
pub(crate) fn direction_warnings(folder: &Path, stage: Stage, config: &SearchConfig) -> Vec<String> {
    let Ok(metrics) = newest_results(folder) else { return Vec::new() };
    wanted(stage, config)
        .filter_map(|(name, direction)| metrics.direction_warning(name, direction == Direction::Maximize))
        .collect()
}

fn wanted(stage: Stage, config: &SearchConfig) -> impl Iterator<Item = (&MetricName, Direction)> {
    let objectives = config.objectives.iter().filter(move |_| stage != Stage::HeldOut);
    let held_out = config.held_out.iter().filter(move |_| stage == Stage::HeldOut);
    objectives
        .filter_map(move |objective| Some((objective.metric.get(&stage)?, objective.direction)))
        .chain(held_out.map(|metric| (&metric.metric, metric.direction)))
}
