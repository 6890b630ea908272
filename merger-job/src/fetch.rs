//! Takes a whole model from one folder to one of this machine: many ranges at a time, each of a pinned version.

use std::path::Path;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};

use crate::storage::{Parts, Stores};
use crate::{Error, Location, Progress};

/// Bytes that are asked for at once.
const RANGE: usize = 16 << 20;
/// Ranges on their way at the same time: 128 MiB of memory.
const RANGES_AT_ONCE: usize = 8;

/// Copies every file of `source` into the folder `target`, over whatever is there, and removes the files that `source` lacks.
/// Each file becomes visible whole.
pub async fn fetch(
    stores: &Stores,
    source: &Location,
    target: &Path,
    progress: &Progress,
) -> Result<(), Error> {
    let folder = Location::File(target.to_owned());
    let entries = stores.list(source).await?;
    stores.check_writable(&folder).await?;
    for old in stores.list(&folder).await? {
        if entries.iter().all(|entry| entry.name != old.name) {
            stores.delete(&folder.join(&old.name)).await?;
        }
    }
    let size = entries.iter().map(|entry| entry.size).sum();
    progress.begin(size, size);
    for entry in &entries {
        copy(stores, &source.join(&entry.name), &folder.join(&entry.name), progress).await?;
    }
    Ok(())
}

async fn copy(
    stores: &Stores,
    source: &Location,
    target: &Location,
    progress: &Progress,
) -> Result<(), Error> {
    let object = stores.head(source).await?;
    let mut writer = stores.write(target, Parts::LEAST).await?;
    let ranges = stream::iter((0..object.size).step_by(RANGE)).map(|offset| {
        let length = (object.size - offset).min(RANGE as u64) as usize;
        stores.read(&object, offset, length)
    });
    let mut ranges = std::pin::pin!(ranges.buffered(RANGES_AT_ONCE));
    while let Some(bytes) = ranges.try_next().await? {
        let length = bytes.len() as u64;
        progress.add_read(length);
        writer.write(bytes).await?;
        progress.add_written(length);
    }
    Ok(writer.finish().await?)
}
