//! What an evaluator left in its results folder, as the scores of a stage.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use mergesearch_search::results::{MetricName, Metrics, SelectError, parse};
use mergesearch_search::{Direction, SearchConfig, Stage, StageScores};

/// Why there are no scores: the end of a sentence about the evaluator.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ScoresError {
    /// No file is a results file.
    #[error("wrote no results under MERGESEARCH_RESULTS_DIR{}", reason.as_ref().map_or_else(String::new, |(file, problem)| format!(" ({file}: {problem})")))]
    None {
        /// The newest JSON file, if any, and what is wrong with it.
        reason: Option<(String, String)>,
    },
    /// The results lack a metric, or it is no number.
    #[error(transparent)]
    Select(#[from] SelectError),
    /// The folder can't be read.
    #[error("left results that can't be read ({0})")]
    Io(#[from] io::Error),
}

/// Reads the metrics that a stage asks for, in the configuration's order.
pub(crate) fn read(folder: &Path, stage: Stage, config: &SearchConfig) -> Result<StageScores, ScoresError> {
    let metrics = newest(folder)?;
    let scores = wanted(stage, config).map(|(name, _)| metrics.select(name)).collect::<Result<_, _>>()?;
    Ok(StageScores { stage, scores })
}

/// Sentences about metrics whose direction the evaluator sees otherwise; none when there are no results.
pub(crate) fn direction_warnings(folder: &Path, stage: Stage, config: &SearchConfig) -> Vec<String> {
    let Ok(metrics) = newest(folder) else { return Vec::new() };
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

/// The newest results file below the folder: a retried evaluator may leave several, and other JSON beside them.
fn newest(folder: &Path) -> Result<Metrics, ScoresError> {
    let mut reason = None;
    for path in newest_first(folder, "json")? {
        let text = String::from_utf8_lossy(&fs::read(&path)?).into_owned();
        match parse(&text) {
            Ok(metrics) => return Ok(metrics),
            Err(error) => {
                let file = path.strip_prefix(folder).unwrap_or(&path).display().to_string();
                reason = reason.or_else(|| Some((file, error.to_string())));
            }
        }
    }
    Err(ScoresError::None { reason })
}

/// The samples files of a stage, newest first; none when the folder can't be read.
pub(crate) fn samples(folder: &Path) -> Vec<PathBuf> {
    newest_first(folder, "jsonl").unwrap_or_default()
}

fn newest_first(folder: &Path, extension: &str) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    collect(folder, extension, &mut files)?;
    files.sort();
    Ok(files.into_iter().rev().map(|(_, path)| path).collect())
}

fn collect(folder: &Path, extension: &str, files: &mut Vec<(SystemTime, PathBuf)>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        // Links are not followed: they may lead in circles.
        let metadata = entry.metadata()?;
        let path = entry.path();
        if metadata.is_dir() {
            collect(&path, extension, files)?;
        } else if metadata.is_file() && path.extension().is_some_and(|own| own == extension) {
            files.push((metadata.modified()?, path));
        }
    }
    Ok(())
}
