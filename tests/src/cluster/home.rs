//! A cluster's folder and its keeper, the process that takes everything away when the cluster's owner is gone.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use std::os::unix::process::CommandExt as _;

use tempfile::Builder;

use super::programs::{cache, on_path, search_path};
use crate::workspace;

/// Logs that a failure has left are removed after this time.
const LOGS_KEPT: Duration = Duration::from_hours(24);
const NAMESPACES_TIMEOUT: Duration = Duration::from_secs(30);
const LOCK: &str = "lock";
/// A file in the folder with the number of the process that holds a node's namespaces.
pub(crate) const FIRST_PROCESS: &str = "first-process";
/// A file in the folder which tells the keeper to leave the logs.
pub(crate) const KEEP_LOGS: &str = "keep-logs";

/// The folder of one cluster, which exists as long as this guard and its process.
#[derive(Debug)]
pub(crate) struct Home {
    folder: PathBuf,
    keeper: Child,
}

impl Home {
    /// Makes a folder below `clusters` in the cache; `arguments` go to the keeper after the folder.
    pub(crate) fn make(arguments: &[&Path]) -> Self {
        let clusters = cache().join("clusters");
        fs::create_dir_all(&clusters).unwrap();
        // Held while a folder has no lock yet, so that nobody takes it for abandoned.
        let making = File::create(clusters.join(LOCK)).unwrap();
        making.lock().unwrap();
        remove_abandoned(&clusters);
        let folder = Builder::new().prefix("mergesearch-").tempdir_in(&clusters).unwrap().keep();
        fs::create_dir(folder.join("logs")).unwrap();
        let lock = File::create(folder.join(LOCK)).unwrap();
        lock.lock().unwrap();
        let log = File::create(folder.join("logs/keeper.log")).unwrap();
        // The keeper inherits the locked file and holds the lock on. Its standard input says that this process lives.
        // In a process group of its own, so that an interrupt from the keyboard doesn't end it before it has tidied up.
        let keeper = keep_script(&folder)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(lock)
            .stderr(log)
            .process_group(0)
            .spawn()
            .unwrap();
        Self { folder, keeper }
    }

    /// Waits until the keeper has made namespaces, and returns the number of the process that holds them.
    pub(crate) fn wait_for_namespaces(&mut self) -> u32 {
        let file = self.folder.join(FIRST_PROCESS);
        let begun = Instant::now();
        while begun.elapsed() < NAMESPACES_TIMEOUT {
            if let Ok(number) = fs::read_to_string(&file) {
                return number.trim().parse().unwrap();
            }
            sleep(Duration::from_millis(20));
        }
        let said = fs::read_to_string(self.logs().join("keeper.log")).unwrap_or_default();
        panic!("there are no namespaces for the node after {} s: {said}", NAMESPACES_TIMEOUT.as_secs());
    }

    /// The folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The folder of logs.
    pub(crate) fn logs(&self) -> PathBuf {
        self.folder.join("logs")
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if thread::panicking() {
            fs::write(self.folder.join(KEEP_LOGS), "").unwrap();
        }
        drop(self.keeper.stdin.take());
        // Fails only when somebody else has waited for it, which nobody can.
        let _ended = self.keeper.wait();
    }
}

/// The keeper's script with the folder as first argument.
fn keep_script(folder: &Path) -> Command {
    let mut command = Command::new(on_path("bash"));
    command.arg(workspace().join("tests/src/cluster/keep.sh")).arg(folder).env("PATH", search_path());
    command
}

/// Removes what keepers that were killed have left, and logs that are old.
fn remove_abandoned(clusters: &Path) {
    for entry in fs::read_dir(clusters).unwrap() {
        let folder = entry.unwrap().path();
        // The folders' locks are gone when only logs are left.
        let Ok(lock) = File::open(folder.join(LOCK)) else {
            let age = fs::metadata(&folder)
                .and_then(|folder| folder.modified())
                .ok()
                .and_then(|time| time.elapsed().ok());
            if folder.is_dir() && age.is_some_and(|age| age > LOGS_KEPT) {
                fs::remove_dir_all(&folder).unwrap();
            }
            continue;
        };
        if lock.try_lock().is_ok() {
            // What can't be removed now is tried again at the next start.
            let _ended = keep_script(&folder).arg("--abandoned").stdin(Stdio::null()).status().unwrap();
        }
    }
}
