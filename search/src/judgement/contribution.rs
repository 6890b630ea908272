//! What each checkpoint contributes to a merge, paired item by item where scores of items are at hand.

use super::{ItemSource, items_of, paired, test_parts};
use crate::search::{Contributions, Search};
use crate::trial::{Stage, TrialId};

/// What the search tells, with sharper differences where they can be had. `None` when the search tells nothing.
pub fn contributions(search: &Search, items: ItemSource<'_>) -> Option<Contributions> {
    let mut contributions = search.contributions()?;
    let Some(parts) = test_parts(search.config()) else { return Some(contributions) };
    let of = |trial: &TrialId| items_of(items, trial, Stage::Test, &parts);
    let Some(whole) = of(&contributions.trial) else { return Some(contributions) };
    for one in contributions.checkpoints.iter_mut().filter(|one| one.difference.is_some()) {
        if let Some(difference) = of(&one.trial).and_then(|without| paired(&parts, &whole, &without)) {
            one.difference = Some(difference);
        }
    }
    Some(contributions)
}
