//! Reports: `report.json`, the durable copy of a trial's answer in object storage.

use mergesearch_recipe::Recipe;
use serde::{Deserialize, Serialize};

use super::SearchIdentity;
use crate::trial::{StageScores, TrialId};

/// What a trial leaves as `report.json` beside its results.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrialReport {
    /// Whose trial it is.
    pub search: SearchIdentity,
    /// Which trial.
    pub trial: TrialId,
    /// Which attempt at it, from 0.
    pub attempt: u32,
    /// Hash of the canonical recipe.
    pub recipe_hash: String,
    /// What was merged.
    pub recipe: Recipe,
    /// The scores of every stage, metrics in the order of the search.
    pub stages: Vec<StageScores>,
}
