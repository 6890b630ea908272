//! Small results for the tests of tables.

use crate::results::Results;
use crate::rows::{Merge, ProgressRow, ScoreRow, SearchRow, WeightRow};

/// Searches of two settings with two seeds. The first setting gains 4 and 2 points with an error of 1, the second ends half a
/// point below it.
pub(super) fn results() -> Results {
    let mut results = Results::default();
    for setting in ["three", "without-bad"] {
        for seed in [1, 2] {
            results.replace(search(setting, seed));
        }
    }
    results
}

fn search(setting: &str, seed: u64) -> Results {
    let gain = if seed == 1 { 0.04 } else { 0.02 };
    let below = if setting == "three" { 0.0 } else { 0.005 + 0.0001 * seed as f64 };
    Results {
        searches: vec![SearchRow {
            setting: setting.into(),
            seed,
            checkpoints: 4,
            evaluations: 100,
            gain,
            gain_error: Some(0.01),
            held_out_gain: Some(-0.003),
            held_out_error: Some(0.001),
            order_kept: Some(0.9),
            front: 3,
            absolute_weights: 1.2,
            beats_baselines: (seed == 1).then_some(30),
            within_half_point: 50,
            last_improvement: 90,
        }],
        scores: [
            (Merge::BestSingle, "single-pref-2", 0.7),
            (Merge::Uniform, "uniform", 0.5),
            (Merge::Greedy, "greedy-02", 0.8),
            (Merge::BestBaseline, "greedy-02", 0.8),
            (Merge::Searched, "g0004-c001", 0.8 + gain - below),
            (Merge::FinalMean, "mean-g0004", 0.8 + gain),
        ]
        .map(|(merge, trial, test)| score(setting, seed, merge, trial, test))
        .to_vec(),
        weights: [
            ("pref-2", 0.7, 0.6, Some(-0.2)),
            ("sft-1", 0.5, 0.5, Some(-0.1)),
            ("sft-8-random-labels", 0.0, -0.1 * (3.0 - 2.0 * seed as f64), Some(0.0005)),
            ("sft-2", 0.4, 0.001, Some(0.05)),
        ]
        .map(|(checkpoint, own, weight, removal)| WeightRow {
            setting: setting.into(),
            seed,
            checkpoint: checkpoint.into(),
            own: Some(own),
            weight,
            mean_weight: Some(weight),
            removal,
            removal_error: Some(0.001),
        })
        .to_vec(),
        progress: [(0, 20, 0.75), (1, 32, 0.8), (2, 44, 0.85)]
            .map(|(generation, evaluations, best)| ProgressRow {
                setting: setting.into(),
                seed,
                generation,
                evaluations,
                best,
                best_test: Some(best - 0.01),
                median: Some(best - 0.1),
            })
            .to_vec(),
    }
}

fn score(setting: &str, seed: u64, merge: Merge, trial: &str, test: f64) -> ScoreRow {
    ScoreRow {
        setting: setting.into(),
        seed,
        merge,
        trial: trial.into(),
        search: Some(test + 0.02),
        test: Some(test),
        held_out: Some(0.95),
        test_descending: Some(test),
        test_reverse_increment: Some(test),
        test_addition: Some(test),
    }
}
