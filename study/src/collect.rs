//! From a finished search to the rows that are kept of it.

use mergesearch_search::{Row, TrialId};

use crate::course::{effort, generations};
use crate::finished::{Comparison, Finished};
use crate::probes::Probes;
use crate::results::Results;
use crate::rows::{Merge, ProgressRow, ScoreRow, SearchRow, WeightRow, rounded};
use crate::settings::{OBJECTIVES, Setting};

/// Decimals of scores: 500 items make steps of 0.002, and a mean of three of them thirds of that.
const SCORE: i32 = 5;
/// Decimals of weights.
const WEIGHT: i32 = 4;

/// The rows of a search; `None` when it lacks a best merge or a best baseline.
pub fn collect(setting: &Setting, seed: u64, finished: &Finished, probes: &Probes) -> Option<Results> {
    let search = &finished.search;
    let best = finished.row(&search.best()?)?;
    Some(Results {
        searches: vec![search_row(setting, seed, finished, &best)?],
        scores: score_rows(setting, seed, finished),
        weights: weight_rows(setting, seed, finished, &best, probes),
        progress: progress_rows(setting, seed, finished, &best, probes),
    })
}

fn search_row(setting: &Setting, seed: u64, finished: &Finished, best: &Row) -> Option<SearchRow> {
    let search = &finished.search;
    let baseline = finished.row(&search.best_baseline()?)?.fitness?;
    let effort = effort(&finished.evaluations(), baseline)?;
    let Comparison { test, held_out, order_kept } = finished.comparison;
    let score = |value: f64| rounded(value, SCORE);
    Some(SearchRow {
        setting: setting.name.to_owned(),
        seed,
        checkpoints: search.config().checkpoints.len(),
        evaluations: finished.cost(),
        gain: score(test.value),
        gain_error: test.stderr.map(score),
        held_out_gain: held_out.map(|gain| score(gain.value)),
        held_out_error: held_out.and_then(|gain| gain.stderr).map(score),
        order_kept: order_kept.map(|share| rounded(share, 3)),
        front: search.front().len(),
        absolute_weights: rounded(best.absolute_weights, WEIGHT),
        beats_baselines: effort.beats_baselines,
        within_half_point: effort.within_half_point,
        last_improvement: effort.last_improvement,
    })
}

fn score_rows(setting: &Setting, seed: u64, finished: &Finished) -> Vec<ScoreRow> {
    let search = &finished.search;
    let merges = [
        (Merge::BestSingle, search.best_single()),
        (Merge::Uniform, Some(TrialId::Uniform)),
        (Merge::Greedy, search.greedy_soup()),
        (Merge::BestBaseline, search.best_baseline()),
        (Merge::Searched, search.best()),
        (Merge::FinalMean, final_mean(finished)),
    ];
    let row = |merge: Merge, row: &Row| {
        let score = |value: f64| rounded(value, SCORE);
        let objective = |name: &str| {
            let index = search.config().objectives.iter().position(|objective| objective.name == name)?;
            Some(score(row.test.get(index)?.value))
        };
        let [descending, reverse_increment, addition] = OBJECTIVES.map(objective);
        ScoreRow {
            setting: setting.name.to_owned(),
            seed,
            merge,
            trial: row.trial.to_string(),
            search: row.fitness.map(score),
            test: finished.fitness(&row.test).map(score),
            held_out: finished.held_out(&row.held_out).map(score),
            test_descending: descending,
            test_reverse_increment: reverse_increment,
            test_addition: addition,
        }
    };
    merges.into_iter().filter_map(|(merge, trial)| Some(row(merge, &finished.row(&trial?)?))).collect()
}

/// The mean of the last distribution.
fn final_mean(finished: &Finished) -> Option<TrialId> {
    finished.search.search_trials().filter(|trial| matches!(trial, TrialId::Mean { .. })).last().cloned()
}

fn weight_rows(
    setting: &Setting,
    seed: u64,
    finished: &Finished,
    best: &Row,
    probes: &Probes,
) -> Vec<WeightRow> {
    let mean = final_mean(finished).and_then(|trial| finished.row(&trial));
    let weight =
        |row: &Row, index: usize| Some(rounded(*row.recipe.groups.first()?.weights.get(index)?, WEIGHT));
    let checkpoints = best.recipe.checkpoints.iter().enumerate();
    checkpoints
        .filter_map(|(index, checkpoint)| {
            let removal = probes.removals.get(checkpoint.name.as_str());
            Some(WeightRow {
                setting: setting.name.to_owned(),
                seed,
                checkpoint: checkpoint.name.to_string(),
                own: finished.own(&checkpoint.name).map(|own| rounded(own, SCORE)),
                weight: weight(best, index)?,
                mean_weight: mean.as_ref().and_then(|mean| weight(mean, index)),
                removal: removal.map(|change| rounded(change.value, SCORE)),
                removal_error: removal.and_then(|change| change.error).map(|error| rounded(error, SCORE)),
            })
        })
        .collect()
}

fn progress_rows(
    setting: &Setting,
    seed: u64,
    finished: &Finished,
    best: &Row,
    probes: &Probes,
) -> Vec<ProgressRow> {
    let searched = finished.fitness(&best.test);
    let test = |trial: &str| Some(searched? + probes.trials.get(trial)?.value);
    generations(&finished.evaluations())
        .into_iter()
        .map(|step| ProgressRow {
            setting: setting.name.to_owned(),
            seed,
            generation: step.generation,
            evaluations: step.evaluations,
            best: rounded(step.best, SCORE),
            best_test: test(&step.trial).map(|value| rounded(value, SCORE)),
            median: step.median.map(|value| rounded(value, SCORE)),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use mergesearch_crds::search_config;
    use mergesearch_search::results::Measurement;
    use mergesearch_search::{Record, Search, StageScores, Trial, TrialOutcome, TrialResult};

    use super::*;
    use crate::finished::Gain;
    use crate::manifest::manifest;

    const TRIALS: i32 = 120;

    /// Scores that fall with the distance of the weights from a merge of the first two checkpoints.
    fn scores(trial: &Trial, objectives: usize) -> TrialOutcome {
        let weights = &trial.recipe.groups[0].weights;
        let target = |index: usize| if index < 2 { 0.5 } else { 0.0 };
        let distance: f64 =
            weights.iter().enumerate().map(|(index, weight)| (weight - target(index)).powi(2)).sum();
        let measured = |value: f64| Measurement { value, stderr: Some(0.01), items: None };
        let stages = trial.stages.iter().map(|&stage| StageScores {
            stage,
            scores: match stage {
                mergesearch_search::Stage::HeldOut => vec![measured(0.5); 4],
                _ => (0..objectives).map(|index| measured(1.0 - 0.1 * index as f64 - distance)).collect(),
            },
        });
        TrialOutcome::Succeeded(stages.collect())
    }

    /// The rows of a search that ran so many trials at a time, which ended in the reverse order.
    fn collected(capacity: usize) -> Results {
        let repository = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        let setting = Setting::named("three").unwrap();
        let resource = manifest(repository, setting, 1, TRIALS).unwrap();
        let mut search = Search::new(search_config(&resource, 0).unwrap()).unwrap();
        let mut records: Vec<Record> = search.take_records();
        while search.outcome().is_none() {
            let trials = search.trials(capacity);
            for trial in trials.into_iter().rev() {
                let outcome = scores(&trial, 3);
                search.record(TrialResult { id: trial.id, outcome, gpu_seconds: 0.0, time: None }).unwrap();
            }
            records.extend(search.take_records());
        }
        let test = Gain { value: 0.25, stderr: Some(0.01) };
        let comparison = Comparison { test, held_out: None, order_kept: Some(1.0) };
        let finished = Finished::of(records, comparison).unwrap();
        collect(setting, 1, &finished, &Probes::default()).unwrap()
    }

    #[test]
    fn a_search_gives_the_same_rows_however_many_trials_ran_at_a_time() {
        let one = collected(1);
        for capacity in [2, 5, 40] {
            assert_eq!(collected(capacity), one, "{capacity} trials at a time");
        }
    }

    #[test]
    fn rows_tell_what_the_search_did() {
        let results = collected(3);
        let search = &results.searches[0];
        assert_eq!((search.checkpoints, search.gain), (16, 0.25));
        assert!(search.evaluations <= usize::try_from(TRIALS).unwrap(), "{search:?}");
        let steps = &results.progress;
        // Sixteen checkpoints, the uniform soup and soups of the best 2, 4 and 8; the soup of the best 2 is the target.
        assert_eq!((steps[0].evaluations, steps[0].best), (20, 0.9));
        assert_eq!(steps[1].evaluations, 32);
        assert!(steps.iter().all(|step| step.best_test.is_none() && step.median.is_some()));
        let total: f64 = results.weights.iter().map(|row| row.weight).sum();
        assert!((total - 1.0).abs() < 1e-3, "{total}");
        let merges: Vec<Merge> = results.scores.iter().map(|row| row.merge).collect();
        assert_eq!(
            merges,
            [
                Merge::BestSingle,
                Merge::Uniform,
                Merge::Greedy,
                Merge::BestBaseline,
                Merge::Searched,
                Merge::FinalMean
            ]
        );
        let single = &results.scores[0];
        assert_eq!((single.trial.as_str(), single.test_descending), ("single-sft-1", Some(0.5)));
        assert_eq!((single.held_out, results.weights[0].own), (Some(0.5), Some(0.4)));
    }
}
