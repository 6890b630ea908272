//! The local file system as storage: positioned reads of pinned files, writes through a temporary name.

use std::fs::{self, File, Metadata};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use super::error::{Fault, StorageError};
use super::{Entry, Object};
use crate::Location;

fn fail(path: &Path, error: &io::Error) -> StorageError {
    failed(path, Fault::from_io(error))
}

fn failed(path: &Path, fault: Fault) -> StorageError {
    StorageError { location: Location::File(path.to_owned()).to_string(), fault }
}

/// Runs blocking file work beside the async tasks.
pub(super) async fn blocking<T: Send + 'static>(
    path: PathBuf,
    work: impl FnOnce(&Path) -> Result<T, StorageError> + Send + 'static,
) -> Result<T, StorageError> {
    let name = path.clone();
    match tokio::task::spawn_blocking(move || work(&path)).await {
        Ok(result) => result,
        Err(error) => Err(failed(&name, Fault::Failed(error.to_string()))),
    }
}

/// A file's version: replaced or rewritten files differ in at least one of these.
fn version(metadata: &Metadata) -> String {
    format!("{:x}-{:x}.{:x}-{:x}", metadata.len(), metadata.mtime(), metadata.mtime_nsec(), metadata.ino())
}

/// Names and sizes of the files directly in the folder.
pub(super) fn list(folder: &Path) -> Result<Vec<Entry>, StorageError> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| fail(folder, &error))? {
        let entry = entry.map_err(|error| fail(folder, &error))?;
        // Follows links, as caches of downloaded models are folders of links; a dangling one is no file.
        let Ok(metadata) = fs::metadata(entry.path()) else { continue };
        // No file of a checkpoint has a name that isn't text.
        if let (true, Ok(name)) = (metadata.is_file(), entry.file_name().into_string()) {
            entries.push(Entry { name, size: metadata.len() });
        }
    }
    Ok(entries)
}

pub(super) fn head(path: &Path) -> Result<Object, StorageError> {
    let metadata = fs::metadata(path).map_err(|error| fail(path, &error))?;
    if !metadata.is_file() {
        return Err(failed(path, Fault::Refused("expected a regular file".to_owned())));
    }
    Ok(Object { location: Location::File(path.to_owned()), size: metadata.len(), etag: version(&metadata) })
}

/// Reads `length` bytes from `offset`, and fails when the file is no longer the pinned one.
pub(super) fn read(path: &Path, object: &Object, offset: u64, length: usize) -> Result<Bytes, StorageError> {
    let file = File::open(path).map_err(|error| fail(path, &error))?;
    let mut buffer = vec![0; length];
    let outcome = file.read_exact_at(&mut buffer, offset);
    // Checked after the read, so that bytes that came while the file was rewritten are never used.
    let found = version(&file.metadata().map_err(|error| fail(path, &error))?);
    if found != object.etag {
        return Err(failed(path, Fault::Changed { pinned: object.etag.clone(), found }));
    }
    outcome.map_err(|error| fail(path, &error))?;
    Ok(Bytes::from(buffer))
}

/// A file of one version that is read in pieces, each at the time it's needed.
#[derive(Debug, Clone)]
pub(crate) struct PinnedFile {
    file: Arc<File>,
    object: Object,
    path: PathBuf,
}

impl PinnedFile {
    /// Opens it, and has the system read the stretch ahead.
    pub(super) fn open(path: &Path, object: &Object, offset: u64, length: u64) -> Result<Self, StorageError> {
        let file = File::open(path).map_err(|error| fail(path, &error))?;
        if let Some(length) = std::num::NonZeroU64::new(length) {
            // Only a hint: a file system that doesn't know it reads later.
            let _ = rustix::fs::fadvise(&file, offset, Some(length), rustix::fs::Advice::WillNeed);
        }
        Ok(Self { file: Arc::new(file), object: object.clone(), path: path.to_owned() })
    }

    /// Fills the buffer from that place of the file, and fails when it's no longer the pinned one.
    pub(crate) fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<(), StorageError> {
        let outcome = self.file.read_exact_at(buffer, offset);
        // Checked after the read, so that bytes that came while the file was rewritten are never used.
        let found = version(&self.file.metadata().map_err(|error| fail(&self.path, &error))?);
        if found != self.object.etag {
            let pinned = self.object.etag.clone();
            return Err(failed(&self.path, Fault::Changed { pinned, found }));
        }
        outcome.map_err(|error| fail(&self.path, &error))
    }
}

pub(super) fn delete(path: &Path) -> Result<(), StorageError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(fail(path, &error)),
        _ => Ok(()),
    }
}

pub(super) fn delete_folder(path: &Path) -> Result<(), StorageError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(fail(path, &error)),
        _ => Ok(()),
    }
}

/// Makes the folder and a file in it, and removes the file.
pub(super) fn check_writable(folder: &Path) -> Result<(), StorageError> {
    fs::create_dir_all(folder).map_err(|error| fail(folder, &error))?;
    let probe = folder.join(".write-test.partial");
    File::create(&probe).map_err(|error| fail(folder, &error))?;
    delete(&probe)
}

/// A file whose bytes are brought to the disk while others are still written, so that little is left to wait for at the
/// end.
#[derive(Debug)]
struct Flushed {
    file: File,
    written: AtomicU64,
    /// Whether bytes are on their way.
    flushing: AtomicBool,
    /// What went wrong on the way: the system says it once, to whoever asks first.
    fault: Mutex<Option<io::Error>>,
}

impl Flushed {
    /// After this many bytes the next are sent to the disk: 64 MiB.
    const STEP: u64 = 64 << 20;

    /// Counts bytes that were written, and begins to flush when there are enough.
    fn count(self: &Arc<Self>, bytes: usize) {
        let before = self.written.fetch_add(bytes as u64, Ordering::Relaxed);
        let is_due = before / Self::STEP != (before + bytes as u64) / Self::STEP;
        if is_due && !self.flushing.swap(true, Ordering::AcqRel) {
            let this = Arc::clone(self);
            tokio::task::spawn_blocking(move || {
                if let Err(error) = this.file.sync_data() {
                    this.fault.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                }
                this.flushing.store(false, Ordering::Release);
            });
        }
    }

    /// Waits until everything is on the disk.
    fn finish(&self) -> io::Result<()> {
        self.file.sync_all()?;
        match self.fault.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}

/// A file being written under a temporary name in its folder; dropped unfinished, it is removed.
#[derive(Debug)]
pub(crate) struct PartialFile {
    file: Arc<Flushed>,
    temporary: PathBuf,
    target: PathBuf,
    finished: bool,
}

/// A file being written at any place, by any thread.
#[derive(Debug, Clone)]
pub(crate) struct PlacedFile {
    file: Arc<Flushed>,
    target: PathBuf,
}

impl PlacedFile {
    /// Writes the bytes from that place on.
    pub(crate) fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), StorageError> {
        self.file.file.write_all_at(bytes, offset).map_err(|error| fail(&self.target, &error))?;
        self.file.count(bytes.len());
        Ok(())
    }
}

impl PartialFile {
    pub(super) fn create(target: &Path) -> Result<Self, StorageError> {
        let folder = target.parent().unwrap_or_else(|| Path::new("/"));
        fs::create_dir_all(folder).map_err(|error| fail(folder, &error))?;
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        // Always the same name: what a killed merge left behind is overwritten by the next, not collected.
        let temporary = folder.join(format!(".{name}.partial"));
        let file = File::create(&temporary).map_err(|error| fail(&temporary, &error))?;
        let (written, flushing, fault) = (AtomicU64::new(0), AtomicBool::new(false), Mutex::new(None));
        let file = Arc::new(Flushed { file, written, flushing, fault });
        Ok(Self { file, temporary, target: target.to_owned(), finished: false })
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), StorageError> {
        (&self.file.file).write_all(bytes).map_err(|error| fail(&self.target, &error))
    }

    /// The same file, to be written at any place.
    pub(super) fn placed(&self) -> PlacedFile {
        PlacedFile { file: Arc::clone(&self.file), target: self.target.clone() }
    }

    /// Makes the file durable, then visible under its name.
    pub(super) fn finish(mut self) -> Result<(), StorageError> {
        self.file.finish().map_err(|error| fail(&self.target, &error))?;
        fs::rename(&self.temporary, &self.target).map_err(|error| fail(&self.target, &error))?;
        self.finished = true;
        let folder = self.target.parent().unwrap_or_else(|| Path::new("/"));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| fail(folder, &error))
    }
}

impl Drop for PartialFile {
    fn drop(&mut self) {
        if !self.finished {
            // Best effort: a leftover is invisible under its temporary name and overwritten by the next merge.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}
