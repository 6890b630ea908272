//! Why the study can't go on.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Why the study can't go on; one sentence each.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StudyError {
    /// No such setting.
    #[error("--settings: {name} is no setting; expected some of {}", known.join(" "))]
    Setting {
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<&'static str>,
    },
    /// The file system refuses.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The quickstart's manifest is not what the study is made for, or a manifest can't be written.
    #[error("{}: {problem}", path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A program can't be started.
    #[error("{program}: {source}; build it and put its folder into PATH, or beside this program")]
    Start {
        /// The program.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// A program ended without success.
    #[error("{program} ended with {status}; its output is in {}", log.display())]
    Ended {
        /// The program.
        program: String,
        /// How.
        status: String,
        /// What it wrote.
        log: PathBuf,
    },
    /// A finished search is not as expected.
    #[error("search {}: {problem}", folder.display())]
    Search {
        /// Its folder.
        folder: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A results file can't be read or written.
    #[error("{}: {source}", path.display())]
    Csv {
        /// The file.
        path: PathBuf,
        /// Why.
        source: csv::Error,
    },
    /// The page lacks a marker.
    #[error("{}: expected the lines {expected} around a generated part", path.display())]
    Marker {
        /// The page.
        path: PathBuf,
        /// The markers.
        expected: String,
    },
    /// A picture can't be drawn.
    #[error("picture {name}: {source}")]
    Picture {
        /// Which one.
        name: &'static str,
        /// Why.
        source: mergesearch_report::FigureError,
    },
    /// Some searches did not end well; the others are in the results.
    #[error("{failed} of {all} searches failed: {first}; run the same command again to go on")]
    Searches {
        /// How many failed.
        failed: usize,
        /// How many there are.
        all: usize,
        /// The first one's error.
        first: String,
    },
}

impl StudyError {
    /// For `map_err`: what happened to a path.
    pub(crate) fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }

    /// The code of a process that ends so: 2 when the input or usage is wrong, else 1.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Setting { .. } | Self::Manifest { .. } => ExitCode::from(2),
            _ => ExitCode::from(1),
        }
    }
}
