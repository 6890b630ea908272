//! `mergesearch publish`, and the publishing at the end of a run: merges as checkpoints with a model card.

use std::path::Path;

use mergesearch_crds::Place;
use mergesearch_merger::{Location, MergeOptions, Publication, Sources, StorageOptions, Stores};
use mergesearch_search::{Search, TrialId};

use crate::args::PublishArgs;
use crate::console;
use crate::failure::Failure;
use crate::history::{find, reopen, trial};
use crate::merging::{Merging, failure_of, storage_options};
use crate::project::Project;
use crate::show::{Report, markdown};

/// Merges a trial's recipe into a place of its own.
///
/// # Errors
/// When there is no such trial, its sources are gone, or the place can't be written.
pub(crate) async fn publish(arguments: &PublishArgs) -> Result<(), Failure> {
    let PublishArgs { trial: name, uri, state, memory, overwrite } = arguments;
    let folder = find(state)?;
    let search = reopen(&folder)?;
    let id = trial(&search, name)?;
    let output = location(uri)?;
    // Without the manifest, storage is reached as the environment says.
    let options = match &state.file {
        Some(file) => storage_options(&Project::load(file, Place::Local)?.spec().storage),
        None => StorageOptions::default(),
    };
    let stores = Stores::new(options).map_err(Failure::input)?;
    let options = MergeOptions { memory_budget: *memory, overwrite: *overwrite, ..MergeOptions::default() };
    let recipe = search.recipe_of(&id).ok_or_else(|| Failure::Input(format!("trial {id}: no such trial")))?;
    let merging =
        Merging::open(stores, &Sources::from(recipe), options).await.map_err(|error| failure_of(&error))?;
    let published = publish_trial(&merging, &search, &folder, &id, &output).await;
    merging.close().await;
    published?;
    console::message(format_args!("published {id} to {output}"));
    Ok(())
}

/// Writes one trial's merge with its card.
pub(crate) async fn publish_trial(
    merging: &Merging,
    search: &Search,
    state: &Path,
    id: &TrialId,
    output: &Location,
) -> Result<(), Failure> {
    let report = Report::of(search, state).map_err(Failure::run)?;
    let recipe = search.recipe_of(id).ok_or_else(|| Failure::Run(format!("internal: no recipe of {id}")))?;
    let publication =
        Publication { title: Some(format!("Merge {id}")), scores: Some(markdown(search, &report, id)) };
    let warnings = merging.publish(recipe, output, &publication).await.map_err(|error| failure_of(&error))?;
    for warning in warnings {
        console::message(format_args!("warning: {warning}"));
    }
    Ok(())
}

/// A place on the command line: a URI, or a folder relative to where the command is typed.
fn location(text: &str) -> Result<Location, Failure> {
    if text.contains("://") || Path::new(text).is_absolute() {
        return text.parse().map_err(Failure::input);
    }
    std::path::absolute(text).map(Location::File).map_err(Failure::input)
}
