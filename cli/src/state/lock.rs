//! The lock of a state folder: held by the open file, so it ends with the process, however that ends.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::process;

use super::StateError;

/// Takes the lock, or says who has it.
pub(super) fn take(folder: &Path) -> Result<File, StateError> {
    let path = folder.join("lock");
    let at = || StateError::at(&path);
    let mut file =
        File::options().read(true).write(true).create(true).truncate(false).open(&path).map_err(at())?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let _ = file.read_to_string(&mut holder);
            let holder = holder.trim();
            let holder = if holder.is_empty() { "unknown" } else { holder }.to_owned();
            return Err(StateError::Locked { folder: folder.to_owned(), holder });
        }
        Err(TryLockError::Error(error)) => return Err(at()(error)),
    }
    file.set_len(0).map_err(at())?;
    file.rewind().map_err(at())?;
    writeln!(file, "{}", process::id()).map_err(at())?;
    Ok(file)
}
