//! Where the programs of a cluster are: in `KUBEBUILDER_ASSETS`, installed by `tests/cluster-programs`, or on the path.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::{env, fs};

use crate::workspace;

/// The file of a program of a cluster, which is installed if need be.
pub fn program(name: &str) -> PathBuf {
    let assets = env::var_os("KUBEBUILDER_ASSETS").map(|folder| Path::new(&folder).join(name));
    if let Some(asset) = assets.filter(|asset| asset.is_file()) {
        return asset;
    }
    let built = installed().join(name);
    if built.exists() { built } else { on_path(name) }
}

/// The file of a program that is on the path, or where Debian puts what only root uses.
pub(crate) fn on_path(name: &str) -> PathBuf {
    let found = env::split_paths(&search_path()).map(|folder| folder.join(name)).find(|file| file.is_file());
    found.unwrap_or_else(|| panic!("{name} is not on the path, nor in /usr/sbin or /sbin"))
}

/// `PATH`, and the folders of programs that only root uses.
pub(crate) fn search_path() -> OsString {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    env::join_paths(folders).unwrap()
}

/// The folder of the programs that are built, which happens on first use.
fn installed() -> &'static Path {
    static INSTALLED: OnceLock<PathBuf> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        let script = workspace().join("tests/cluster-programs");
        let output = Command::new(&script).output().expect("tests/cluster-programs can be run");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{} failed: {said}", script.display());
        PathBuf::from(String::from_utf8(output.stdout).unwrap().trim_end())
    })
}

/// The folder of everything that is kept between runs, made if it is missing.
pub fn cache() -> PathBuf {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = set("MERGESEARCH_CACHE").unwrap_or_else(|| {
        let caches = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")));
        caches
            .expect("HOME, XDG_CACHE_HOME or MERGESEARCH_CACHE must say where the cache is")
            .join("mergesearch")
    });
    fs::create_dir_all(&folder).unwrap();
    fs::canonicalize(folder).unwrap()
}
