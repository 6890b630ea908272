//! Our side: starts a supervisor and holds its leash.

use std::path::PathBuf;
use std::process::Stdio;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, Command};

use super::{Ending, Request};

/// Why a supervisor gave no answer: the machine's fault, never the evaluator's.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum SuperviseError {
    /// It could not be started or talked to.
    #[error("can't run a process ({0})")]
    Io(#[from] std::io::Error),
    /// The evaluator's program, which was there before, can't be run any more.
    #[error("the evaluator could not be started ({0})")]
    NotStarted(String),
    /// It ended without an answer, for instance because the system killed it.
    #[error("the supervisor of an evaluator ended without an answer ({0})")]
    NoAnswer(String),
}

/// A process under supervision. Dropped, its group is killed.
#[derive(Debug)]
pub(crate) struct Supervised {
    supervisor: Child,
    /// Open as long as the process may run.
    leash: ChildStdin,
}

impl Supervised {
    /// Starts a process through `program`, which is this program's own file.
    ///
    /// # Errors
    /// When the supervisor can't be started.
    pub(crate) async fn start(program: &PathBuf, request: &Request) -> Result<Self, SuperviseError> {
        // A group of its own: Ctrl-C in a terminal goes to the whole foreground group, and the supervisor must live to
        // kill the evaluator's.
        let mut supervisor = Command::new(program)
            .arg("supervise")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()?;
        let mut leash =
            supervisor.stdin.take().ok_or_else(|| std::io::Error::other("the supervisor has no input"))?;
        let mut line = serde_json::to_string(request).map_err(std::io::Error::other)?;
        line.push('\n');
        leash.write_all(line.as_bytes()).await?;
        Ok(Self { supervisor, leash })
    }

    /// Waits for the process to end.
    ///
    /// # Errors
    /// When the supervisor gives no answer.
    pub(crate) async fn ended(&mut self) -> Result<Ending, SuperviseError> {
        let mut answer = String::new();
        if let Some(output) = &mut self.supervisor.stdout {
            output.read_to_string(&mut answer).await?;
        }
        let status = self.supervisor.wait().await?;
        serde_json::from_str(&answer).map_err(|_| SuperviseError::NoAnswer(status.to_string()))
    }

    /// Lets the leash go and waits until the process and its group are gone.
    ///
    /// # Errors
    /// When the supervisor gives no answer.
    pub(crate) async fn stop(self) -> Result<Ending, SuperviseError> {
        let Self { supervisor, leash } = self;
        drop(leash);
        let output = supervisor.wait_with_output().await?;
        serde_json::from_slice(&output.stdout)
            .map_err(|_| SuperviseError::NoAnswer(output.status.to_string()))
    }
}
