//! One trial: merge once, evaluate in each stage, keep what the evaluator left.

use std::fs;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use mergesearch_search::{SearchConfig, Stage, StageScores, Trial, TrialOutcome, TrialResult, TrialTime};
use tokio::sync::oneshot;

use crate::evaluator::{Evaluator, Places};
use crate::merging::{MergeFault, Merging};
use crate::scores;
use crate::state::{StateError, write_json};
use crate::supervise::{Ending, SuperviseError, Supervised};

/// What every trial needs.
#[derive(Debug)]
pub(super) struct Workshop {
    /// This program's own file.
    pub(super) program: PathBuf,
    pub(super) config: SearchConfig,
    pub(super) merging: Merging,
    pub(super) evaluator: Evaluator,
    /// Seconds the evaluator may take for all stages of one attempt.
    pub(super) deadline_seconds: Option<f64>,
    /// How often an evaluator that fails is run again.
    pub(super) retries: usize,
    /// GPUs that one evaluation uses.
    pub(super) gpus: f64,
}

/// Where one trial works.
#[derive(Debug)]
pub(super) struct Folders {
    /// Receives results, logs and the trial's scores, for good.
    pub(super) kept: PathBuf,
    /// Holds the candidate and results in the making.
    pub(super) scratch: PathBuf,
    /// `kept` as people are told, relative to the state folder.
    pub(super) shown: String,
}

/// Why a trial has no result: nothing that its recipe or the evaluator did.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// It was told to stop.
    #[error("stopped")]
    Stopped,
    /// The machine or the storage fails.
    #[error(transparent)]
    Merge(#[from] MergeFault),
    /// No processes can be run.
    #[error(transparent)]
    Supervise(#[from] SuperviseError),
    /// Files can't be written.
    #[error(transparent)]
    State(#[from] StateError),
}

/// What comes of one evaluation: scores, or why there are none.
enum Evaluation {
    Scores(StageScores),
    /// The evaluator ended with an error; another attempt may help.
    Error(String),
    /// Another attempt would end the same.
    Final(String),
}

/// Removes a folder when the trial is over, however it ends.
struct Cleared<'a>(&'a Path);

impl Drop for Cleared<'_> {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(self.0);
    }
}

impl Workshop {
    /// Runs a trial until it has a result, which is then on the disk. Completing `stop`, or dropping its other end,
    /// stops the trial and its processes.
    pub(super) async fn run(
        &self,
        trial: &Trial,
        folders: &Folders,
        mut stop: oneshot::Receiver<()>,
    ) -> Result<(TrialResult, Duration), Fault> {
        let (date, started) = (SystemTime::now(), Instant::now());
        let _cleared = Cleared(&folders.scratch);
        fs::create_dir_all(&folders.kept).map_err(StateError::at(&folders.kept))?;
        fs::create_dir_all(&folders.scratch).map_err(StateError::at(&folders.scratch))?;
        let model = folders.scratch.join("model");
        let merged = tokio::select! {
            merged = self.merging.candidate(&trial.recipe, &model) => merged?,
            _ = &mut stop => return Err(Fault::Stopped),
        };
        let merging_time = started.elapsed();
        let is_merged = merged.is_ok();
        let mut evaluator_time = Duration::ZERO;
        let outcome = match merged {
            Err(reason) => TrialOutcome::Failed(format!("the merge failed: {reason}")),
            Ok(()) => self.evaluate(trial, folders, &model, &mut stop, &mut evaluator_time).await?,
        };
        // One date and durations: a clock that is set meanwhile puts nothing out of order.
        let time = TrialTime {
            started: epoch_seconds(date),
            merged: is_merged.then(|| epoch_seconds(date + merging_time)),
            ended: epoch_seconds(date + started.elapsed()),
        };
        if let TrialOutcome::Failed(_) = outcome {
            // An evaluator that fails because the disk is full says so in its own words only.
            probe(&folders.scratch)?;
        }
        let gpu_seconds = self.gpus * evaluator_time.as_secs_f64();
        let result = TrialResult { id: trial.id.clone(), outcome, gpu_seconds, time: Some(time) };
        write_json(&folders.kept.join("result.json"), &result)?;
        Ok((result, started.elapsed()))
    }

    async fn evaluate(
        &self,
        trial: &Trial,
        folders: &Folders,
        model: &Path,
        stop: &mut oneshot::Receiver<()>,
        evaluator_time: &mut Duration,
    ) -> Result<TrialOutcome, Fault> {
        let mut retries = self.retries;
        'attempt: loop {
            let started = Instant::now();
            let mut stages = Vec::new();
            for &stage in &trial.stages {
                let left =
                    self.deadline_seconds.map(|limit| (limit - started.elapsed().as_secs_f64()).max(0.0));
                let evaluation = self.evaluate_stage(stage, folders, model, left, stop).await;
                match evaluation? {
                    Evaluation::Scores(scores) => stages.push(scores),
                    Evaluation::Error(_) if retries > 0 => {
                        retries -= 1;
                        *evaluator_time += started.elapsed();
                        continue 'attempt;
                    }
                    Evaluation::Error(reason) | Evaluation::Final(reason) => {
                        *evaluator_time += started.elapsed();
                        return Ok(TrialOutcome::Failed(reason));
                    }
                }
            }
            *evaluator_time += started.elapsed();
            return Ok(TrialOutcome::Succeeded(stages));
        }
    }

    async fn evaluate_stage(
        &self,
        stage: Stage,
        folders: &Folders,
        model: &Path,
        deadline_seconds: Option<f64>,
        stop: &mut oneshot::Receiver<()>,
    ) -> Result<Evaluation, Fault> {
        let results = folders.scratch.join(stage.as_str());
        empty(&results).map_err(StateError::at(&results))?;
        let log = folders.kept.join(format!("{stage}.log"));
        // What an earlier attempt wrote stays readable until the next one starts.
        remove_file(&log).map_err(StateError::at(&log))?;
        let places = Places { model, results: &results, log: &log };
        let request = self.evaluator.request(stage, places, deadline_seconds);
        let mut supervised = Supervised::start(&self.program, &request).await?;
        let ending = tokio::select! {
            ending = supervised.ended() => ending?,
            _ = stop => {
                supervised.stop().await?;
                return Err(Fault::Stopped);
            }
        };
        let failed = |what: &dyn std::fmt::Display| {
            let last = last_line(&log).map_or_else(String::new, |line| format!(": {line}"));
            format!("the evaluator {what} in stage {stage}{last} (log: {}/{stage}.log)", folders.shown)
        };
        let evaluation = match ending {
            Ending::Exited(0) => match scores::read(&results, stage, &self.config) {
                Ok(scores) => Evaluation::Scores(scores),
                Err(problem) => Evaluation::Final(failed(&format!("succeeded, but {problem},"))),
            },
            Ending::Exited(_) | Ending::Signalled(_) => Evaluation::Error(failed(&ending)),
            Ending::Deadline => {
                let limit = self.deadline_seconds.unwrap_or_default();
                Evaluation::Final(failed(&format!("ran past its deadline of {limit} s and was killed")))
            }
            Ending::NotStarted(reason) => {
                return Err(SuperviseError::NotStarted(reason).into());
            }
            Ending::Stopped => return Err(Fault::Stopped),
        };
        let kept = folders.kept.join(stage.as_str());
        replace(&results, &kept).map_err(StateError::at(&kept))?;
        Ok(evaluation)
    }
}

/// Seconds since the Unix epoch, to the millisecond: more digits say nothing to people.
fn epoch_seconds(date: SystemTime) -> f64 {
    date.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as f64 / 1e3
}

/// Fails when the disk is full.
fn probe(folder: &Path) -> Result<(), StateError> {
    const BYTES: usize = 1 << 20;
    let path = folder.join("probe");
    let written = fs::write(&path, vec![0; BYTES]);
    let _ = fs::remove_file(&path);
    written.map_err(StateError::at(&path))
}

fn empty(folder: &Path) -> io::Result<()> {
    remove_folder(folder)?;
    fs::create_dir_all(folder)
}

fn replace(from: &Path, to: &Path) -> io::Result<()> {
    remove_folder(to)?;
    fs::rename(from, to)
}

fn remove_folder(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The last line of a log that says something, shortened and safe for a terminal.
fn last_line(log: &Path) -> Option<String> {
    const END: u64 = 4096;
    const LONGEST: usize = 200;
    let mut file = fs::File::open(log).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(END))).ok()?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let line = text.lines().map(str::trim).rfind(|line| !line.is_empty())?;
    let printable = line.chars().map(|character| if character.is_control() { ' ' } else { character });
    Some(printable.take(LONGEST).collect())
}
