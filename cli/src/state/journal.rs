//! The journal on disk: whole lines, synchronised before anyone acts on them.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use mergesearch_search::{Chain, Journal, Record};

use super::StateError;

/// An open journal.
#[derive(Debug)]
pub(crate) struct JournalFile {
    path: PathBuf,
    file: File,
    chain: Chain,
    /// Bytes of whole lines.
    length: u64,
}

impl JournalFile {
    /// Opens or creates the journal; a last line that a crash cut off is removed.
    pub(super) fn open(folder: &Path) -> Result<(Self, Vec<Record>), StateError> {
        let path = folder.join("journal.jsonl");
        let Journal { records, chain, length } = read(&path)?;
        let file = File::options().create(true).append(true).open(&path).map_err(StateError::at(&path))?;
        let length = length as u64;
        file.set_len(length).map_err(StateError::at(&path))?;
        Ok((Self { path, file, chain, length }, records))
    }

    /// Appends records; when it returns they are on the disk. After an error the file holds what it held before.
    pub(super) fn append(&mut self, records: &[Record]) -> Result<(), StateError> {
        if records.is_empty() {
            return Ok(());
        }
        let mut chain = self.chain.clone();
        let lines: Result<String, _> = records.iter().map(|record| chain.line(record)).collect();
        let written = lines.map_err(io::Error::from).and_then(|lines| {
            self.file.write_all(lines.as_bytes())?;
            self.file.sync_data()?;
            Ok(lines.len() as u64)
        });
        match written {
            Ok(written) => {
                self.chain = chain;
                self.length += written;
                Ok(())
            }
            Err(error) => {
                // If this fails too, the next start finds a cut line and removes it.
                let _ = self.file.set_len(self.length);
                Err(StateError::at(&self.path)(error))
            }
        }
    }
}

/// Reads a journal; an absent one is empty.
pub(super) fn read(path: &Path) -> Result<Journal, StateError> {
    let text = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(StateError::at(path)(error)),
    };
    // A crash may cut the last line in the middle of a character; a damaged line before it fails by its hash.
    let text = String::from_utf8_lossy(&text);
    Journal::read(&text).map_err(|source| StateError::Journal { path: path.to_owned(), source })
}
