//! Why a command ends without success, and the exit code that says so.

use std::process::ExitCode;

/// Why a command ends without success; the text is for people, whole sentences.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    /// The input or the usage is wrong and nothing was started.
    #[error("{0}")]
    Input(String),
    /// The search failed, was interrupted, or the machine got in the way; running again goes on where it stopped.
    #[error("{0}")]
    Run(String),
}

impl Failure {
    /// For `map_err`: wrong input, as the error says it.
    #[expect(clippy::needless_pass_by_value, reason = "the form that map_err takes")]
    pub(crate) fn input(error: impl ToString) -> Self {
        Self::Input(error.to_string())
    }

    /// For `map_err`: a fault of the run, as the error says it.
    #[expect(clippy::needless_pass_by_value, reason = "the form that map_err takes")]
    pub(crate) fn run(error: impl ToString) -> Self {
        Self::Run(error.to_string())
    }

    /// The code of a process that ends so.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Input(_) => ExitCode::from(2),
            Self::Run(_) => ExitCode::from(1),
        }
    }
}
