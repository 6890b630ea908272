//! The folder itself: what lies where, and writing it so that a file is there whole or not at all.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process;

use mergesearch_search::{Record, TrialId, TrialResult};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{JournalFile, StateError, journal, lock};
use crate::run::Spent;

/// A state folder in use by this process.
#[derive(Debug)]
pub(crate) struct State {
    folder: PathBuf,
    /// Candidates of this run; no other run ever has the same, so a straggler of a killed run can't meet us here.
    scratch: PathBuf,
    journal: JournalFile,
    _lock: File,
}

/// A merge that was published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Published {
    /// Which.
    pub(crate) trial: TrialId,
    /// Where.
    pub(crate) uri: String,
}

impl State {
    /// Opens or creates the folder, locks it, and clears what earlier runs left half-done.
    ///
    /// # Errors
    /// When another run has it, or its journal is damaged.
    pub(crate) fn open(folder: &Path) -> Result<(Self, Vec<Record>), StateError> {
        fs::create_dir_all(folder).map_err(StateError::at(folder))?;
        // Evaluators run elsewhere: what they are told must not be relative.
        let folder = folder.canonicalize().map_err(StateError::at(folder))?;
        let lock = lock::take(&folder)?;
        let (journal, records) = JournalFile::open(&folder)?;
        let all = folder.join("scratch");
        if let Err(error) = fs::remove_dir_all(&all)
            && !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty)
        {
            return Err(StateError::at(&all)(error));
        }
        let scratch = all.join(format!("run-{}", process::id()));
        fs::create_dir_all(&scratch).map_err(StateError::at(&scratch))?;
        Ok((Self { folder, scratch, journal, _lock: lock }, records))
    }

    /// The records of a folder, without locking it: another run may be at work there.
    ///
    /// # Errors
    /// When there is no journal, or it is damaged.
    pub(crate) fn read(folder: &Path) -> Result<Vec<Record>, StateError> {
        let records = journal::read(&folder.join("journal.jsonl"))?.records;
        if records.is_empty() { Err(StateError::Missing(folder.to_owned())) } else { Ok(records) }
    }

    /// The folder, absolute.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Makes records durable.
    ///
    /// # Errors
    /// When they can't be written; the journal then is as before.
    pub(crate) fn append(&mut self, records: &[Record]) -> Result<(), StateError> {
        self.journal.append(records)
    }

    /// Where a trial's results, logs and scores are kept.
    pub(crate) fn trial_folder(&self, id: &TrialId) -> PathBuf {
        trial_folder(&self.folder, id)
    }

    /// Where a trial's candidate and results are made.
    pub(crate) fn scratch_folder(&self, id: &TrialId) -> PathBuf {
        self.scratch.join(id.to_string())
    }

    /// The result of a trial that has finished, whether or not the journal knows.
    ///
    /// # Errors
    /// When the file is there and can't be read.
    pub(crate) fn result(&self, id: &TrialId) -> Result<Option<TrialResult>, StateError> {
        read_json(&self.trial_folder(id).join("result.json"))
    }

    /// Notes what all runs have spent.
    ///
    /// # Errors
    /// When it can't be written.
    pub(crate) fn set_spent(&self, spent: &Spent) -> Result<(), StateError> {
        write_json(&self.folder.join("spent.json"), spent)
    }
}

/// Where the files of a trial are kept.
pub(crate) fn trial_folder(state: &Path, id: &TrialId) -> PathBuf {
    state.join("trials").join(id.to_string())
}

/// What all runs of a state folder have spent.
///
/// # Errors
/// When the file is there and can't be read.
pub(crate) fn spent(state: &Path) -> Result<Spent, StateError> {
    Ok(read_json(&state.join("spent.json"))?.unwrap_or_default())
}

/// What has been published from a state folder.
pub(crate) fn published(state: &Path) -> Result<Vec<Published>, StateError> {
    Ok(read_json(&state.join("published.json"))?.unwrap_or_default())
}

/// Notes what has been published.
pub(crate) fn set_published(state: &Path, published: &[Published]) -> Result<(), StateError> {
    write_json(&state.join("published.json"), published)
}

pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, StateError> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StateError::at(path)(error)),
    };
    let malformed = |error: serde_json::Error| StateError::Malformed {
        path: path.to_owned(),
        problem: error.to_string(),
    };
    serde_json::from_slice(&text).map(Some).map_err(malformed)
}

/// Writes a file that is there whole or not at all, on the disk when this returns.
pub(crate) fn write_json<T: Serialize + ?Sized>(path: &Path, value: &T) -> Result<(), StateError> {
    let written = || {
        let folder = path.parent().unwrap_or(path);
        fs::create_dir_all(folder)?;
        let partial = path.with_extension("partial");
        let mut file = File::create(&partial)?;
        file.write_all(serde_json::to_string_pretty(value)?.as_bytes())?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        fs::rename(&partial, path)?;
        File::open(folder)?.sync_all()
    };
    written().map_err(StateError::at(path))
}
