//! Scores of single items for the verdict, from the files that evaluators left in a state folder.

mod items;

use std::path::Path;

use mergesearch_search::results::{ItemScores, MetricName};
use mergesearch_search::{Stage, TrialId};

use self::items::item_scores;
use crate::state::trial_folder;

/// Scores of items as they lie in a state folder; none without one.
pub(crate) fn items_in(
    state: Option<&Path>,
) -> impl Fn(&TrialId, Stage, &MetricName) -> Option<ItemScores> + '_ {
    move |trial, stage, metric| item_scores(&trial_folder(state?, trial).join(stage.as_str()), metric)
}
