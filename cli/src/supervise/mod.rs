//! Runs an evaluator so that it never outlives the run: not its grandchildren, and not even after `kill -9`.
//!
//! Between mergesearch and an evaluator stands a supervisor: this same program, started with the hidden command
//! `supervise`. It reads one [`Request`] line from its standard input, starts the evaluator in a process group of its
//! own, and answers with one [`Ending`] line. Its standard input is the leash: when that closes, because mergesearch has
//! let go or has died, the whole group is killed.

mod keeper;
mod leash;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub(crate) use keeper::keep;
pub(crate) use leash::{SuperviseError, Supervised};

/// A process to run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Request {
    /// The program: a path, or a name to be found in `PATH`.
    pub(crate) program: String,
    /// Its arguments.
    pub(crate) args: Vec<String>,
    /// Variables set in its environment, above the inherited ones.
    pub(crate) env: BTreeMap<String, String>,
    /// Where it runs.
    pub(crate) folder: PathBuf,
    /// Where its standard output and error are appended; its standard input is empty.
    pub(crate) log: PathBuf,
    /// Seconds after which its group is killed. `None`: no limit.
    pub(crate) deadline_seconds: Option<f64>,
}

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Ending {
    /// By itself, with this code.
    Exited(i32),
    /// By a signal that did not come from us.
    Signalled(i32),
    /// It ran past its deadline and was killed.
    Deadline,
    /// The leash closed and it was killed.
    Stopped,
    /// It could not be started: a sentence.
    NotStarted(String),
}

impl fmt::Display for Ending {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(formatter, "exited with code {code}"),
            Self::Signalled(signal) => write!(formatter, "was killed by signal {signal}"),
            Self::Deadline => formatter.write_str("ran past its deadline and was killed"),
            Self::Stopped => formatter.write_str("was stopped"),
            Self::NotStarted(reason) => write!(formatter, "could not be started: {reason}"),
        }
    }
}
