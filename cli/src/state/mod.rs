//! The state folder: everything that a run must not lose, and the lock that keeps a second run out.
//!
//! ```text
//! lock                  locked while a run uses the folder; holds its process id
//! journal.jsonl         the search's history, appended and synchronised before anything follows from it
//! spent.json            seconds that all runs so far have taken, and how many trials at a time
//! pool.json             what the checkpoints were when the search began
//! published.json        what has been published, and where
//! report.json           the result, once there is one: what `show -o json` prints
//! trials/ID/result.json a finished trial's scores and times, written whole; STAGE/ the evaluator's files, STAGE.log its
//!                       output
//! scratch/RUN/ID/       candidates and results in the making; removed when their trial ends, all of it at a start
//! ```

mod journal;
mod lock;
mod pool;
mod store;

use std::io;
use std::path::{Path, PathBuf};

use mergesearch_search::JournalError;

use journal::JournalFile;
pub(crate) use pool::PoolFacts;
pub(crate) use pool::{pool_facts, set_pool_facts};
pub(crate) use store::{Published, State};
pub(crate) use store::{published, set_published, spent, trial_folder, write_json};

/// Why the state folder can't be used: never the fault of a trial, and always resumable.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum StateError {
    /// Another run has the folder.
    #[error("state {}: in use by another run (process {holder}); wait for it or stop it", folder.display())]
    Locked {
        /// The folder.
        folder: PathBuf,
        /// Its process id, as it noted it.
        holder: String,
    },
    /// There is no search in the folder.
    #[error("state {}: no search has been started there", .0.display())]
    Missing(PathBuf),
    /// The history is damaged.
    #[error("{}: {source}; restore it, or remove the state folder to start anew", path.display())]
    Journal {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: JournalError,
    },
    /// A file of ours holds something else.
    #[error("{}: not as this program wrote it ({problem})", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What the reader said.
        problem: String,
    },
    /// No space is left.
    #[error("{}: the disk is full; nothing finished is lost, free some space and run the same command again", .0.display())]
    Full(PathBuf),
    /// The file system refuses.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl StateError {
    /// For `map_err`: what happened to a path.
    pub(crate) fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full(path),
            _ => Self::Io { path, source },
        }
    }
}
