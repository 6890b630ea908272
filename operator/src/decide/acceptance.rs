//! Whether the spec keeps all rules, also those that the API server can't check, and only asks for what exists.

use mergesearch_crds::conditions::reason;
use mergesearch_crds::{MergeSearch, Place, check, search_config};
use mergesearch_search::{Search, SearchConfig};

use super::Pass;
use super::memory::History;
use crate::pods::evaluator_hash;

/// The configuration and warnings of an accepted spec, or the reason and the sentence.
pub(super) type Checked = Result<(SearchConfig, Vec<String>), (&'static str, String)>;

impl Pass<'_> {
    /// Sets `Accepted`. Gives the engine's configuration as the spec has it now, when the spec is accepted.
    pub(super) fn accept(&mut self) -> Option<SearchConfig> {
        // The rules depend on nothing else, and passes are many.
        let version = (self.resource().metadata.generation, self.memory.search().is_some());
        let known = self.memory.checked.take().filter(|(known, _)| *known == version);
        let checked =
            known.map_or_else(|| checked(self.observed.resource, &self.memory.history), |(_, known)| known);
        self.memory.checked = Some((version, checked.clone()));
        match checked {
            Ok((config, mut warnings)) => {
                if let Some(search) = self.memory.search_mut() {
                    search.adopt(&config);
                    warnings.extend(search.contribution_warnings());
                }
                self.conditions.accepted(&warnings.join("\n"));
                Some(config)
            }
            Err((reason, message)) => {
                if self.conditions.refused(reason, &message) {
                    self.writes.events.push((reason, message, true));
                }
                None
            }
        }
    }
}

fn checked(resource: &MergeSearch, history: &History) -> Checked {
    let invalid = |error: &dyn std::fmt::Display| (reason::INVALID, error.to_string());
    let warnings = check(resource, Place::Cluster).map_err(|errors| invalid(&errors))?;
    supported(resource)?;
    let start = match history {
        History::Changed(message) => return Err((reason::IMMUTABLE_CHANGED, message.clone())),
        History::Known(known) => Some(known.journal.start()),
        _ => None,
    };
    if let Some(start) = start
        && let Some(evaluator) = resource.spec.evaluation.evaluator()
        && evaluator_hash(evaluator) != start.evaluator_hash
    {
        let message = "spec.evaluation.template: the evaluator's image, command, args or env differ from those that the \
                       search began with, so its scores would not compare; restore them, or make a new search";
        return Err((reason::IMMUTABLE_CHANGED, message.to_owned()));
    }
    // Before the pool's headers are read, blocks are taken to fit.
    let layers = start.map_or(u32::MAX, |start| u32::try_from(start.layers).unwrap_or(0));
    let config = search_config(resource, layers).map_err(|error| invalid(&error))?;
    Search::new(config.clone()).map_err(|error| invalid(&error))?;
    Ok((config, warnings.iter().map(ToString::to_string).collect()))
}

/// Refuses what the types have and this version does not do.
fn supported(resource: &MergeSearch) -> Result<(), (&'static str, String)> {
    let execution = &resource.spec.execution;
    if execution.pool_cache.is_none() {
        return Ok(());
    }
    let message = format!(
        "spec.execution.poolCache is not supported by version {} of the operator; remove it",
        env!("CARGO_PKG_VERSION")
    );
    Err((reason::NOT_SUPPORTED, message))
}
