//! The study's results as rows of CSV files: what is measured, rounded to what matters.
//!
//! Scores are fractions. Every row begins with the setting and the seed of its search.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// What the rows of every file have.
pub trait ResultRow: Clone + Serialize + DeserializeOwned {
    /// The file.
    const FILE: &'static str;

    /// The setting and the seed.
    fn search(&self) -> (&str, u64);
}

/// `searches.csv`: one row a search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SearchRow {
    /// The setting.
    pub setting: String,
    /// The seed.
    pub seed: u64,
    /// Checkpoints in the pool.
    pub checkpoints: usize,
    /// Evaluations on search items, those of the greedy soup included.
    pub evaluations: usize,
    /// Test fitness of the searched merge minus that of the best baseline by search fitness.
    pub gain: f64,
    /// The standard error of `gain`, paired item by item.
    pub gain_error: Option<f64>,
    /// The same difference for the mean of the held-out metrics.
    pub held_out_gain: Option<f64>,
    /// Its standard error.
    pub held_out_error: Option<f64>,
    /// The share of pairs of finalists that keep their order from search to test.
    pub order_kept: Option<f64>,
    /// Trials on the front of search scores.
    pub front: usize,
    /// Sum of the absolute weights of the searched merge.
    pub absolute_weights: f64,
    /// Evaluations until a candidate was better on search items than every baseline; empty when none was.
    pub beats_baselines: Option<usize>,
    /// Evaluations until the best was within half a point of the final best, on search items.
    pub within_half_point: usize,
    /// Evaluations until the final best on search items.
    pub last_improvement: usize,
}

/// A merge that every search compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Merge {
    /// The single checkpoint with the best search fitness.
    BestSingle,
    /// The mean of all checkpoints.
    Uniform,
    /// The greedy soup.
    Greedy,
    /// The best of all baselines by search fitness.
    BestBaseline,
    /// The searched merge with the best search fitness.
    Searched,
    /// The mean of CMA-ES's last distribution.
    FinalMean,
}

impl Merge {
    /// For a table.
    pub fn title(self) -> &'static str {
        match self {
            Self::BestSingle => "best single",
            Self::Uniform => "uniform",
            Self::Greedy => "greedy",
            Self::BestBaseline => "best baseline",
            Self::Searched => "searched",
            Self::FinalMean => "final mean",
        }
    }
}

/// `scores.csv`: the merges that a search compares, at each stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScoreRow {
    /// The setting.
    pub setting: String,
    /// The seed.
    pub seed: u64,
    /// Which merge.
    pub merge: Merge,
    /// Its trial.
    pub trial: String,
    /// Mean of the objectives on search items.
    pub search: Option<f64>,
    /// Mean of the objectives on test items.
    pub test: Option<f64>,
    /// Mean of the held-out metrics.
    pub held_out: Option<f64>,
    /// `descending` on test items, when it is an objective.
    pub test_descending: Option<f64>,
    /// `reverse-increment` on test items, when it is an objective.
    pub test_reverse_increment: Option<f64>,
    /// `addition` on test items, when it is an objective.
    pub test_addition: Option<f64>,
}

/// `weights.csv`: a checkpoint in the merges of a search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WeightRow {
    /// The setting.
    pub setting: String,
    /// The seed.
    pub seed: u64,
    /// The checkpoint.
    pub checkpoint: String,
    /// Its own search fitness.
    pub own: Option<f64>,
    /// Its weight in the searched merge.
    pub weight: f64,
    /// Its weight in the mean of the last distribution.
    pub mean_weight: Option<f64>,
    /// What taking it out of the searched merge changes in test fitness; the other weights are scaled to sum to 1 again.
    /// Empty where merges were not taken apart.
    pub removal: Option<f64>,
    /// The standard error of `removal`, paired item by item.
    pub removal_error: Option<f64>,
}

/// `progress.csv`: a search after each generation; generation 0 are the baselines.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProgressRow {
    /// The setting.
    pub setting: String,
    /// The seed.
    pub seed: u64,
    /// From 0.
    pub generation: u32,
    /// Evaluations so far, without those of the greedy soup.
    pub evaluations: usize,
    /// The best search fitness so far.
    pub best: f64,
    /// Test fitness of the merge that has it.
    pub best_test: Option<f64>,
    /// Median search fitness of the generation.
    pub median: Option<f64>,
}

macro_rules! result_rows {
    ($($row:ident in $file:literal),+ $(,)?) => {
        $(impl ResultRow for $row {
            const FILE: &'static str = $file;

            fn search(&self) -> (&str, u64) {
                (&self.setting, self.seed)
            }
        })+
    };
}

result_rows!(
    SearchRow in "searches.csv",
    ScoreRow in "scores.csv",
    WeightRow in "weights.csv",
    ProgressRow in "progress.csv",
);

/// A number with so many decimals.
pub fn rounded(value: f64, decimals: i32) -> f64 {
    let factor = 10_f64.powi(decimals);
    // Adding 0 turns -0 into 0.
    (value * factor).round() / factor + 0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_rounded_to_nearest_and_have_no_negative_zero() {
        assert_eq!(rounded(0.123_456, 4).to_string(), "0.1235");
        assert_eq!(rounded(-0.000_01, 4).to_string(), "0");
        assert_eq!(rounded(-1.5, 0).to_string(), "-2");
    }
}
