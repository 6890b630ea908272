//! Starts the programs that the study runs: a search, its report, a merge, and the evaluator.

use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::Duration;

use mergesearch_search::Stage;

use crate::error::StudyError;

/// What `mergesearch run` says when another run has its state folder.
const IN_USE: &str = "in use by another run";
/// How long to wait before asking for the folder again.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where programs are looked for.
#[derive(Debug, Clone)]
pub struct Programs {
    /// `PATH`, and after it the folder of this program.
    path: OsString,
}

impl Programs {
    /// Those in `PATH`, or beside this program.
    pub fn find() -> Self {
        let path = env::var_os("PATH").unwrap_or_default();
        let beside = env::current_exe().ok().and_then(|program| program.parent().map(Path::to_owned));
        let folders: Vec<PathBuf> = env::split_paths(&path).chain(beside).collect();
        Self { path: env::join_paths(folders).unwrap_or(path) }
    }

    /// Runs a search to its end, or goes on with one; what it says goes to `log`.
    ///
    /// A search that outlived an earlier study that was killed is waited for, then gone on with.
    ///
    /// # Errors
    /// When the program can't be started or the search fails.
    pub fn search(&self, manifest: &Path, state: &Path, log: &Path) -> Result<(), StudyError> {
        loop {
            let mut command = self.command("mergesearch");
            command.arg("run").arg("--file").arg(manifest).arg("--state").arg(state);
            let status = Self::logged(&mut command, log)?;
            let said = || fs::read_to_string(log).map_err(StudyError::at(log));
            if status.code() == Some(1) && said()?.contains(IN_USE) {
                sleep(PATIENCE);
            } else {
                return ended("mergesearch run", status, log);
            }
        }
    }

    /// The report of a search as JSON.
    ///
    /// # Errors
    /// When the program can't be started or there is no such search.
    pub fn report(&self, state: &Path) -> Result<String, StudyError> {
        let mut command = self.command("mergesearch");
        command.arg("show").arg("--state").arg(state).args(["--output", "json"]);
        let output = command.output().map_err(|source| start(&command, source))?;
        let problem = |problem: String| StudyError::Search { folder: state.to_owned(), problem };
        if !output.status.success() {
            return Err(problem(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
        }
        String::from_utf8(output.stdout).map_err(|error| problem(error.to_string()))
    }

    /// Merges by a recipe into a new folder, on one thread.
    ///
    /// # Errors
    /// When the program can't be started or the merge fails.
    pub fn merge(&self, recipe: &Path, model: &Path, log: &Path) -> Result<(), StudyError> {
        let mut command = self.command("merger");
        command.arg("merge").arg("--recipe").arg(recipe);
        command.args(["--threads", "1", "--output", &format!("file://{}", model.display())]);
        ended("merger merge", Self::logged(&mut command, log)?, log)
    }

    /// Evaluates a model, as a search's evaluator does.
    ///
    /// # Errors
    /// When the program can't be started or fails.
    pub fn evaluate(&self, model: &Path, results: &Path, stage: Stage, log: &Path) -> Result<(), StudyError> {
        let mut command = self.command("quickstart-evaluate");
        command.env("MERGESEARCH_MODEL_DIR", model).env("MERGESEARCH_RESULTS_DIR", results);
        command.env("MERGESEARCH_STAGE", stage.as_str());
        ended("quickstart-evaluate", Self::logged(&mut command, log)?, log)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("PATH", &self.path).stdin(Stdio::null());
        command
    }

    fn logged(command: &mut Command, log: &Path) -> Result<ExitStatus, StudyError> {
        let file = File::create(log).map_err(StudyError::at(log))?;
        let other = file.try_clone().map_err(StudyError::at(log))?;
        command.stdout(file).stderr(other).status().map_err(|source| start(command, source))
    }
}

fn start(command: &Command, source: std::io::Error) -> StudyError {
    StudyError::Start { program: command.get_program().to_string_lossy().into_owned(), source }
}

fn ended(program: &str, status: ExitStatus, log: &Path) -> Result<(), StudyError> {
    if status.success() {
        return Ok(());
    }
    Err(StudyError::Ended { program: program.to_owned(), status: status.to_string(), log: log.to_owned() })
}
