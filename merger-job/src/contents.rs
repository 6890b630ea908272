//! Compares stretches of pinned files byte by byte, for tensors that must be equal.

use crate::StorageError;
use crate::storage::{Object, Stores};

/// Bytes compared at a time.
const STEP: u64 = 4 << 20;

/// Whether the `size` bytes at the two places are equal.
pub(crate) async fn same_bytes(
    stores: &Stores,
    (first, first_offset): (&Object, u64),
    (other, other_offset): (&Object, u64),
    size: u64,
) -> Result<bool, StorageError> {
    let mut done = 0;
    while done < size {
        let length = STEP.min(size - done) as usize;
        let (ours, theirs) = futures::try_join!(
            stores.read(first, first_offset + done, length),
            stores.read(other, other_offset + done, length)
        )?;
        if ours != theirs {
            return Ok(false);
        }
        done += length as u64;
    }
    Ok(true)
}
