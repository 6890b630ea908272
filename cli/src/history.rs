//! A search as its state folder tells it, without the manifest and without disturbing a run at work there.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use mergesearch_crds::Place;
use mergesearch_search::{Search, TrialId};

use crate::args::StateArgs;
use crate::failure::Failure;
use crate::project::Project;
use crate::state::State;

/// The state folder that the command line means.
pub(crate) fn find(arguments: &StateArgs) -> Result<PathBuf, Failure> {
    match arguments {
        StateArgs { state: Some(folder), .. } => Ok(folder.clone()),
        StateArgs { file: Some(file), .. } => Ok(Project::load(file, Place::Local)?.default_state()),
        StateArgs { .. } => only_one(&env::current_dir().map_err(Failure::run)?),
    }
}

fn only_one(folder: &Path) -> Result<PathBuf, Failure> {
    let entries = fs::read_dir(folder).map_err(Failure::run)?;
    let mut found: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "mergesearch") && path.is_dir())
        .collect();
    match (found.pop(), found.len()) {
        (Some(folder), 0) => Ok(folder),
        (None, _) => Err(Failure::Input(
            "no search here: name its state folder with --state, or its manifest with -f".to_owned(),
        )),
        (Some(_), more) => Err(Failure::Input(format!(
            "{} searches here: name one's state folder with --state, or its manifest with -f",
            more + 1
        ))),
    }
}

/// The search as far as its journal goes.
pub(crate) fn reopen(folder: &Path) -> Result<Search, Failure> {
    let records = State::read(folder).map_err(Failure::input)?;
    Search::recorded(records).map_err(|error| Failure::Input(format!("state {}: {error}", folder.display())))
}

/// The trial that a person names: as `show` prints it, or `best`.
pub(crate) fn trial(search: &Search, text: &str) -> Result<TrialId, Failure> {
    let unknown = || {
        Failure::Input(format!("trial {text}: this search has no such trial; `mergesearch show` lists them"))
    };
    let id = match text {
        "best" => {
            search.best().ok_or_else(|| Failure::Input("best: no merge has been scored yet".to_owned()))?
        }
        text => match text.parse().map_err(Failure::input)? {
            TrialId::Final(subject) => *subject,
            id => id,
        },
    };
    search.recipe_of(&id).map(|_| id.clone()).ok_or_else(unknown)
}
