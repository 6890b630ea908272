//! What an evaluator left in its results folder, as the scores of a stage.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use mergesearch_search::results::{MetricName, Metrics, SelectError, parse};
use mergesearch_search::{Stage, StageScores};

/// Longest file that is read as results.
const MAX_RESULTS: u64 = 256 << 20;

/// Why there are no scores: the end of a sentence about the evaluator.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnusableResults {
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

/// Reads metrics from the newest results below a stage's folder, in the order asked for.
///
/// # Errors
/// When there are no results, or they lack a metric.
pub fn stage_scores<'a>(
    folder: &Path,
    stage: Stage,
    metrics: impl IntoIterator<Item = &'a MetricName>,
) -> Result<StageScores, UnusableResults> {
    let results = newest_results(folder)?;
    let scores = metrics.into_iter().map(|name| results.select(name)).collect::<Result<_, _>>()?;
    Ok(StageScores { stage, scores })
}

/// The newest results file below the folder: a retried evaluator may leave several, and other JSON beside them.
///
/// # Errors
/// When no file is a results file, or the folder can't be read.
pub fn newest_results(folder: &Path) -> Result<Metrics, UnusableResults> {
    let mut reason = None;
    for path in newest_first(folder, "json")? {
        let parsed = if fs::metadata(&path)?.len() > MAX_RESULTS {
            Err(format!("more than {MAX_RESULTS} bytes"))
        } else {
            parse(&String::from_utf8_lossy(&fs::read(&path)?)).map_err(|error| error.to_string())
        };
        match parsed {
            Ok(metrics) => return Ok(metrics),
            Err(problem) => {
                let file = path.strip_prefix(folder).unwrap_or(&path).display().to_string();
                reason = reason.or(Some((file, problem)));
            }
        }
    }
    Err(UnusableResults::None { reason })
}

/// The samples files of a stage, newest first; none when the folder can't be read.
pub fn samples(folder: &Path) -> Vec<PathBuf> {
    newest_first(folder, "jsonl").unwrap_or_default()
}

fn newest_first(folder: &Path, extension: &str) -> io::Result<Vec<PathBuf>> {
    let mut files: Vec<(SystemTime, PathBuf)> = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            // Links are not followed: they may lead in circles.
            let metadata = entry.metadata()?;
            let path = entry.path();
            if metadata.is_dir() {
                folders.push(path);
            } else if metadata.is_file() && path.extension().is_some_and(|own| own == extension) {
                files.push((metadata.modified()?, path));
            }
        }
    }
    files.sort();
    Ok(files.into_iter().rev().map(|(_, path)| path).collect())
}
