//! `mergesearch report`: the result of a search as a page and as pictures.

mod contents;

use std::fs;
use std::path::{Path, PathBuf};

use mergesearch_report::{Picture, page, pictures};
use mergesearch_search::Search;

use self::contents::{contents, quoted};
use crate::args::{ClusterArgs, ReportArgs, StateArgs};
use crate::cluster;
use crate::console;
use crate::failure::Failure;
use crate::history::{find, reopen};
use crate::show::Report;

/// The page's name in its folder.
const PAGE: &str = "report.html";

/// Where the files of a search's trials are, for what a page says about them.
#[derive(Debug, Clone, Copy)]
enum Source<'a> {
    /// A state folder.
    Local(&'a Path),
    /// The journal on a cluster, which holds no scores of items; with the options that name the cluster.
    Cluster(&'a str),
}

/// Writes the report of a search and says where it is.
///
/// # Errors
/// When there is no such search, it can't be read, or the files can't be written.
pub(crate) async fn report(arguments: ReportArgs) -> Result<(), Failure> {
    let ReportArgs { search, state, namespace, context, kubeconfig, output } = arguments;
    let name = search.as_deref().filter(|path| !is_folder(path)).and_then(Path::to_str).map(str::to_owned);
    let page = if let Some(name) = name {
        let options = options(namespace.as_deref(), context.as_deref(), kubeconfig.as_deref());
        let (search, report) =
            cluster::result(&ClusterArgs { name: name.clone(), namespace, context, kubeconfig }).await?;
        let folder = output.unwrap_or_else(|| PathBuf::from(format!("{name}-report")));
        write_all(&folder, &contents(&name, &search, &report, Source::Cluster(&options)))?
    } else if namespace.is_some() || context.is_some() || kubeconfig.is_some() {
        let folder = search.unwrap_or_default();
        return Err(Failure::Input(format!(
            "{}: a state folder is in no cluster; leave out --namespace, --context and --kubeconfig, or name a search",
            folder.display()
        )));
    } else {
        let StateArgs { file, state } = state;
        let state = find(&StateArgs { file, state: search.or(state) })?;
        let search = reopen(&state)?;
        let report = Report::of(&search, &state).map_err(Failure::run)?;
        let folder = output.unwrap_or_else(|| state.join("report"));
        write_all(&folder, &contents(&name_of(&state), &search, &report, Source::Local(&state)))?
    };
    console::output(format_args!("{}\n", page.display())).map_err(Failure::run)
}

/// Writes the page alone of a local run, which takes no time, and returns its path.
///
/// # Errors
/// When it can't be written.
pub(crate) fn write_page_of_run(state: &Path, search: &Search, report: &Report) -> Result<PathBuf, Failure> {
    let folder = state.join("report");
    write_page(&folder, &contents(&name_of(state), search, report, Source::Local(state)))
}

/// The options that name a cluster and namespace, as they were given.
fn options(namespace: Option<&str>, context: Option<&str>, kubeconfig: Option<&Path>) -> String {
    let kubeconfig = kubeconfig.map(|file| file.to_string_lossy().into_owned());
    let given =
        [("namespace", namespace), ("context", context), ("kubeconfig", kubeconfig.as_deref())].into_iter();
    given.filter_map(|(option, value)| value.map(|value| format!(" --{option} {}", quoted(value)))).collect()
}

/// A path that can't be the name of a search, or that is there.
fn is_folder(path: &Path) -> bool {
    path.is_dir()
        || path.components().count() > 1
        || path.extension().is_some_and(|extension| extension == "mergesearch")
}

/// A state folder's search: `recycle-16` of `recycle-16.mergesearch`.
fn name_of(state: &Path) -> String {
    let state = state.canonicalize().unwrap_or_else(|_| state.to_owned());
    let name = state.file_stem().map_or_else(|| "search".into(), |name| name.to_string_lossy());
    name.into_owned()
}

fn write_all(folder: &Path, contents: &mergesearch_report::Report) -> Result<PathBuf, Failure> {
    let page = write_page(folder, contents)?;
    for Picture { name, svg, png, .. } in pictures(contents).map_err(Failure::run)? {
        write(&folder.join(format!("{name}.svg")), svg.as_bytes())?;
        write(&folder.join(format!("{name}.png")), &png)?;
    }
    Ok(page)
}

fn write_page(folder: &Path, contents: &mergesearch_report::Report) -> Result<PathBuf, Failure> {
    let text = page(contents).map_err(Failure::run)?;
    fs::create_dir_all(folder)
        .map_err(|error| Failure::Run(format!("report: {}: {error}", folder.display())))?;
    let path = folder.join(PAGE);
    write(&path, text.as_bytes())?;
    Ok(path)
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    fs::write(path, bytes).map_err(|error| Failure::Run(format!("report: {}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_told_from_a_folder() {
        for name in ["recycle-16", "quickstart"] {
            assert!(!is_folder(Path::new(name)), "{name}");
        }
        for folder in ["./recycle", "runs/recycle", "recycle.mergesearch", "src"] {
            assert!(is_folder(Path::new(folder)), "{folder}");
        }
        assert_eq!(name_of(Path::new("runs/recycle-16.mergesearch")), "recycle-16");
    }

    #[test]
    fn commands_name_the_cluster_as_it_was_named_here() {
        assert_eq!(options(None, None, None), "");
        let given = options(Some("team"), None, Some(Path::new("/my files/it's")));
        assert_eq!(given, r" --namespace team --kubeconfig '/my files/it'\''s'");
    }
}
