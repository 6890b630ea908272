//! What each checkpoint contributes to a merge, paired item by item where the evaluator keeps scores of items.

use std::path::Path;

use mergesearch_search::{Contributions, Search, Stage, TrialId};

use super::{items_of, paired, test_parts};

/// What the search tells, with sharper differences where they can be had: `state` is the folder of the evaluators' files,
/// when they are here. `None` when the search tells nothing.
pub(crate) fn contributions(search: &Search, state: Option<&Path>) -> Option<Contributions> {
    let mut contributions = search.contributions()?;
    let Some((files, parts)) = state.zip(test_parts(search.config())) else { return Some(contributions) };
    let items = |trial: &TrialId| items_of(files, trial, Stage::Test, &parts);
    let Some(whole) = items(&contributions.trial) else { return Some(contributions) };
    for one in contributions.checkpoints.iter_mut().filter(|one| one.difference.is_some()) {
        if let Some(difference) = items(&one.trial).and_then(|without| paired(&parts, &whole, &without)) {
            one.difference = Some(difference);
        }
    }
    Some(contributions)
}
