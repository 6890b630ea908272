//! The upload of a trial's results, as far as they are worth it, and last of its report.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};
use mergesearch_merger::{Location, StorageError, Stores};
use mergesearch_search::contract::{FaultClass, TrialReport};

use super::REPORT;
use super::fault::PodFault;
use super::retry::{retry, within};
use crate::terminal::note;

/// The folder of the results beside the report.
const RESULTS: &str = "results";
/// Most files of a trial's results.
const MAX_FILES: usize = 1000;
/// Most bytes of a trial's results.
const MAX_BYTES: u64 = 64 << 20;
/// Files on their way at the same time.
const FILES_AT_ONCE: usize = 4;

/// A file of the results.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Found {
    size: u64,
    /// Below the folder of results, with slashes.
    name: String,
    path: PathBuf,
}

/// Uploads the results and then the report, which says that they are complete. What passes is tried again until the time
/// is over; a file that can't be uploaded at all is left out.
pub(super) async fn upload(
    stores: &Stores,
    report: &TrialReport,
    results: &Path,
    output: &str,
    limit: Duration,
) -> Result<(), PodFault> {
    let output = stores.locate(output).map_err(|error| PodFault::new(FaultClass::Storage, &error))?;
    let report = serde_json::to_vec_pretty(report).map_err(|error| PodFault::other(&error))?;
    within(limit, async {
        upload_results(stores, results, &output.join(RESULTS)).await?;
        let (file, report) = (output.join(REPORT), Bytes::from(report));
        patiently(async || stores.put(&file, report.clone()).await).await
    })
    .await
}

async fn upload_results(stores: &Stores, results: &Path, output: &Location) -> Result<(), PodFault> {
    let folder = results.to_owned();
    let found = tokio::task::spawn_blocking(move || files(&folder)).await;
    let (chosen, left_out) = match found.map_err(io::Error::other).flatten() {
        Ok(found) => choose(found),
        Err(error) => {
            note(&format!("results: they can't be listed and are not uploaded ({error})"));
            return Ok(());
        }
    };
    if left_out > 0 {
        note(&format!(
            "results: {left_out} files are not uploaded, beyond {MAX_FILES} files or {MAX_BYTES} bytes"
        ));
    }
    stream::iter(chosen)
        .map(async |file: Found| {
            let target = output.join(&file.name);
            match patiently(async || stores.upload(&file.path, &target).await).await {
                Err(fault) if !fault.retry => {
                    note(&format!("results: {:?} is not uploaded ({})", file.name, fault.message));
                    Ok(())
                }
                outcome => outcome,
            }
        })
        .buffer_unordered(FILES_AT_ONCE)
        .try_collect()
        .await
}

/// Until the caller's time is over.
async fn patiently(work: impl AsyncFn() -> Result<(), StorageError>) -> Result<(), PodFault> {
    retry(u32::MAX, async || work().await.map_err(|error| PodFault::storage(&error))).await
}

/// The smallest files first: tables of results before samples, samples before whatever else an evaluator leaves.
fn choose(mut found: Vec<Found>) -> (Vec<Found>, usize) {
    found.sort();
    let mut bytes = 0_u64;
    let fits = found.iter().take(MAX_FILES).take_while(|file| {
        bytes = bytes.saturating_add(file.size);
        bytes <= MAX_BYTES
    });
    let fits = fits.count();
    let left_out = found.len() - fits;
    found.truncate(fits);
    (found, left_out)
}

/// All regular files below the folder whose names are text. Links are not followed: they may lead anywhere.
fn files(folder: &Path) -> io::Result<Vec<Found>> {
    let mut found = Vec::new();
    let mut folders = vec![(folder.to_owned(), String::new())];
    while let Some((folder, prefix)) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            let name = format!("{prefix}{name}");
            let metadata = entry.metadata()?;
            if metadata.is_dir() {
                folders.push((entry.path(), format!("{name}/")));
            } else if metadata.is_file() {
                found.push(Found { size: metadata.len(), name, path: entry.path() });
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_files_go_first_and_the_limits_hold() {
        let file = |name: &str, size| Found { size, name: name.to_owned(), path: PathBuf::new() };
        let names = |found: Vec<Found>| choose(found).0.into_iter().map(|file| file.name).collect::<Vec<_>>();
        let big = vec![file("samples", MAX_BYTES), file("results", 10), file("model", MAX_BYTES - 10)];
        assert_eq!(names(big), ["results", "model"]);
        let many: Vec<Found> = (0..=MAX_FILES).map(|index| file(&index.to_string(), 1)).collect();
        assert_eq!(choose(many).1, 1);
    }

    #[test]
    fn links_are_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("search")).unwrap();
        fs::write(folder.path().join("search/results.json"), "{}").unwrap();
        for (link, target) in [("passwd", "/etc/passwd"), ("circle", ".")] {
            std::os::unix::fs::symlink(target, folder.path().join(link)).unwrap();
        }
        let names: Vec<_> = files(folder.path()).unwrap().into_iter().map(|file| file.name).collect();
        assert_eq!(names, ["search/results.json"]);
    }
}
