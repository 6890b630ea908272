//! A made-up world for whole searches: a pool, scores that are a function of the recipe alone, and an executor that
//! finishes trials in any order.

use std::collections::BTreeMap;

use mergesearch_recipe::{Checkpoint, CheckpointName, MergeMethod, Recipe};
use mergesearch_search::cma::StopCriteria;
use mergesearch_search::random::Stream;
use mergesearch_search::results::{Measurement, MetricName};
use mergesearch_search::{
    Budget, Direction, Fitness, Granularity, HeldOut, Objective, Record, Search, SearchConfig, Stage,
    StageScores, Start, Trial, TrialOutcome, TrialResult,
};

/// A pool of `pool` checkpoints, two objectives and a held-out metric.
pub(crate) fn config(pool: usize) -> SearchConfig {
    let checkpoint = |name: String| Checkpoint {
        uri: format!("file:///pool/{name}"),
        name: CheckpointName::try_from(name).unwrap(),
    };
    SearchConfig {
        checkpoints: (0..pool).map(|index| checkpoint(format!("m{index}"))).collect(),
        base: None,
        method: MergeMethod::Linear,
        granularity: Granularity::WholeModel,
        non_negative: false,
        dtype: None,
        tokenizer_from: None,
        vocabulary: None,
        align: None,
        objectives: vec![objective("left"), objective("right")],
        held_out: vec![HeldOut {
            name: "old".into(),
            metric: metric("old/exact_match"),
            direction: Direction::Maximize,
        }],
        baselines: Vec::new(),
        lambda: None,
        fitness: Fitness::WeightedMean,
        start: Start::BestBaseline,
        barrier: true,
        population_size: None,
        sigma: None,
        seed: 7,
        restarts: 0,
        stop: StopCriteria::default(),
        greedy_steps: 15,
        finalists: 4,
        contribution: None,
        budget: Budget {
            max_trials: 80,
            max_failed_trials: None,
            max_seconds: None,
            max_gpu_seconds: None,
            trial_gpu_seconds: 0.0,
        },
    }
}

pub(crate) fn objective(name: &str) -> Objective {
    let metric = metric(&format!("{name}/exact_match"));
    Objective {
        name: name.into(),
        metric: BTreeMap::from([(Stage::Search, metric.clone()), (Stage::Test, metric)]),
        direction: Direction::Maximize,
        weight: 1.0,
        scale: 1.0,
        constraint: None,
    }
}

fn metric(text: &str) -> MetricName {
    MetricName::try_from(text).unwrap()
}

/// Where each objective is best: two points near each other and outside the simplex.
fn target(objective: usize, pool: usize) -> Vec<f64> {
    let mut target: Vec<f64> = (0..pool).map(|index| 1.0 / (1.0 + index as f64)).collect();
    target[objective] += 0.4;
    target[pool - 1] = -0.1;
    let sum: f64 = target.iter().sum();
    target.iter().map(|value| value / sum).collect()
}

/// An exact match rate on 500 items, so that values tie as real ones do.
fn score(recipe: &Recipe, objective: usize, shift: f64) -> Measurement {
    let squared: f64 = recipe
        .groups
        .iter()
        .map(|group| {
            // The base checkpoint as it is.
            if group.weights.len() == 1 {
                return 1.0;
            }
            let target = target(objective, group.weights.len());
            group.weights.iter().zip(target).map(|(weight, target)| (weight - target).powi(2)).sum::<f64>()
        })
        .sum();
    let value = ((1.0 / (1.0 + squared) - shift) * 500.0).round() / 500.0;
    Measurement { value, stderr: Some(0.01), items: Some(500) }
}

/// The world's own evaluator.
pub(crate) fn evaluate(trial: &Trial) -> TrialResult {
    let scores = |stage: Stage| match stage {
        Stage::Search => vec![score(&trial.recipe, 0, 0.0), score(&trial.recipe, 1, 0.0)],
        Stage::Test => vec![score(&trial.recipe, 0, 0.01), score(&trial.recipe, 1, 0.01)],
        Stage::HeldOut => vec![score(&trial.recipe, 0, 0.1)],
    };
    let stages = trial.stages.iter().map(|&stage| StageScores { stage, scores: scores(stage) });
    TrialResult {
        id: trial.id.clone(),
        outcome: TrialOutcome::Succeeded(stages.collect()),
        gpu_seconds: 10.0,
        time: None,
    }
}

pub(crate) fn failure(trial: &Trial) -> TrialResult {
    let outcome = TrialOutcome::Failed("the evaluator exited with code 1".into());
    TrialResult { id: trial.id.clone(), outcome, gpu_seconds: 1.0, time: None }
}

/// Runs a search to its end: `capacity` trials at a time, ending in an order drawn from `order`. Returns the journal.
pub(crate) fn run(
    search: &mut Search,
    capacity: usize,
    order: u64,
    evaluate: impl Fn(&Trial) -> TrialResult,
) -> Vec<Record> {
    let mut stream = Stream::new(order, "order of arrival");
    let mut journal = search.take_records();
    while search.outcome().is_none() {
        let trials = search.trials(capacity);
        journal.extend(search.take_records());
        assert!(
            !trials.is_empty(),
            "a search without an outcome has something to do: {:?}",
            search.progress()
        );
        let ending = &trials[(stream.uniform() * trials.len() as f64) as usize];
        search.record(evaluate(ending)).unwrap();
        journal.extend(search.take_records());
    }
    journal
}

/// A whole search with the world's evaluator.
pub(crate) fn searched(config: SearchConfig, capacity: usize, order: u64) -> (Search, Vec<Record>) {
    let mut search = Search::new(config).unwrap();
    let journal = run(&mut search, capacity, order, evaluate);
    (search, journal)
}

/// What has to be equal when two searches did the same: every trial with its scores, and the front.
pub(crate) fn essence(search: &Search) -> String {
    let mut ids: Vec<_> = search.search_trials().cloned().collect();
    ids.sort();
    let rows: Vec<_> = ids.iter().map(|id| search.row(id).unwrap()).collect();
    let finalists = search.finalists();
    serde_json::to_string(&(rows, search.front(), finalists, search.history(), search.hypervolume())).unwrap()
}
