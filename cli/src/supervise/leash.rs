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
    leash: Option<ChildStdin>,
    /// As much of the answer as has come; kept when nobody waits for the rest any more.
    answer: Vec<u8>,
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
        Ok(Self { supervisor, leash: Some(leash), answer: Vec::new() })
    }

    /// Waits for the process to end. Whoever stops waiting loses nothing.
    ///
    /// # Errors
    /// When the supervisor gives no answer.
    pub(crate) async fn ended(&mut self) -> Result<Ending, SuperviseError> {
        if let Some(output) = &mut self.supervisor.stdout {
            while output.read_buf(&mut self.answer).await? > 0 {}
        }
        let status = self.supervisor.wait().await?;
        serde_json::from_slice(&self.answer).map_err(|_| SuperviseError::NoAnswer(status.to_string()))
    }

    /// Lets the leash go and waits until the process and its group are gone.
    ///
    /// # Errors
    /// When the supervisor gives no answer.
    pub(crate) async fn stop(mut self) -> Result<Ending, SuperviseError> {
        self.leash = None;
        self.ended().await
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use tokio::select;
    use tokio::task::yield_now;

    use super::*;

    #[tokio::test]
    async fn an_answer_that_came_just_before_the_stop_is_not_lost() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("supervisor");
        // Answers at once, and ends when its leash closes.
        fs::write(&program, "#!/bin/sh\necho '{\"exited\":3}'\ncat > /dev/null\n").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let request = Request {
            program: "true".to_owned(),
            args: Vec::new(),
            env: BTreeMap::new(),
            folder: folder.path().to_owned(),
            log: folder.path().join("log"),
            deadline_seconds: None,
        };
        let mut supervised = Supervised::start(&program, &request).await.unwrap();
        while supervised.answer.is_empty() {
            select! {
                biased;
                ending = supervised.ended() => panic!("it ended by itself: {ending:?}"),
                () = yield_now() => {}
            }
        }
        assert_eq!(supervised.stop().await.unwrap(), Ending::Exited(3));
    }
}
