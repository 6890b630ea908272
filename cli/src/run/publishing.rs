//! What is published when a search ends: the best merges of the front, each once.

use mergesearch_merger::Location;
use mergesearch_search::Search;

use crate::console;
use crate::failure::Failure;
use crate::merging::Merging;
use crate::project::Project;
use crate::publish::publish_trial;
use crate::state::{Published, State, published, set_published};

/// Publishes what the manifest asks for and has not been published yet.
pub(super) async fn publish(
    project: &Project,
    merging: &Merging,
    search: &Search,
    state: &State,
    output: &Location,
) -> Result<(), Failure> {
    let mut done = published(state.folder()).map_err(Failure::run)?;
    for trial in search.to_publish(usize::try_from(project.spec().publish.top).unwrap_or(0)) {
        let place = output.join(&trial.to_string());
        let entry = Published { trial: trial.clone(), uri: place.to_string() };
        if done.contains(&entry) {
            continue;
        }
        console::message(format_args!("publishing {trial} to {place}"));
        publish_trial(merging, search, state.folder(), &trial, &place).await?;
        done.push(entry);
        set_published(state.folder(), &done).map_err(Failure::run)?;
    }
    Ok(())
}
