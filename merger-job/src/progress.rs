//! How far a merge is, in counters that anyone may read while it runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counters of one merge. Clones count together. Bytes are those of tensors, without headers and carried files.
#[derive(Debug, Clone, Default)]
pub struct Progress(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    read: AtomicU64,
    to_read: AtomicU64,
    written: AtomicU64,
    to_write: AtomicU64,
}

impl Progress {
    /// Bytes read so far.
    pub fn read(&self) -> u64 {
        self.0.read.load(Ordering::Relaxed)
    }

    /// Bytes to read in all; 0 until the merge is planned.
    pub fn to_read(&self) -> u64 {
        self.0.to_read.load(Ordering::Relaxed)
    }

    /// Bytes written so far.
    pub fn written(&self) -> u64 {
        self.0.written.load(Ordering::Relaxed)
    }

    /// Bytes to write in all; 0 until the merge is planned.
    pub fn to_write(&self) -> u64 {
        self.0.to_write.load(Ordering::Relaxed)
    }

    pub(crate) fn begin(&self, to_read: u64, to_write: u64) {
        self.0.to_read.store(to_read, Ordering::Relaxed);
        self.0.to_write.store(to_write, Ordering::Relaxed);
    }

    pub(crate) fn add_read(&self, bytes: u64) {
        self.0.read.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn add_written(&self, bytes: u64) {
        self.0.written.fetch_add(bytes, Ordering::Relaxed);
    }
}
