//! A report of a search that never was, as large as wanted.

use mergesearch_report::{
    CheckpointContribution, Contribution, Fact, Generation, Judgement, Kind, Metric, Report, Roles, Score,
    Span, Timeline, Trial,
};

/// Candidates of a generation.
const POPULATION: usize = 12;

/// A completed search of `candidates` sampled merges of sixteen checkpoints on two objectives.
pub(crate) fn example(candidates: usize) -> Report {
    let checkpoints: Vec<String> = (1..=16).map(|number| format!("checkpoint-{number}")).collect();
    let singles = checkpoints.iter().enumerate().map(|(index, name)| {
        let mut weights = vec![0.0; 16];
        weights[index] = 1.0;
        let name = format!("single-{name}");
        trial(&name, Kind::Single, [0.3 + 0.02 * index as f64, 0.6 - 0.02 * index as f64], weights)
    });
    let soups = [
        trial("uniform", Kind::Soup, [0.5, 0.5], vec![1.0 / 16.0; 16]),
        trial("greedy-02", Kind::Greedy, [0.55, 0.52], vec![1.0 / 16.0; 16]),
    ];
    let mut trials: Vec<Trial> = singles.chain(soups).collect();
    let baselines = trials.len();
    for number in 0..candidates {
        let generation = number / POPULATION + 1;
        // Spread over the square by the golden ratio, better from generation to generation.
        let spread = |factor: f64| (number as f64 * factor).fract() - 0.5;
        let gain = 0.25 * (1.0 - 1.0 / generation as f64);
        let scores = [0.55 + gain + 0.2 * spread(0.618_034), 0.52 + gain + 0.2 * spread(0.754_878)];
        let weights = (0..16).map(|index| 0.0625 + 0.05 * spread(0.1 + 0.03 * f64::from(index))).collect();
        let name = format!("g{generation:04}-c{:03}", number % POPULATION);
        let mut sampled = trial(&name, Kind::Candidate, scores, weights);
        sampled.generation = Some(generation.to_string());
        trials.push(sampled);
    }
    let mut roles = Roles { best_single: Some(0), uniform: Some(16), greedy: Some(17), ..Roles::default() };
    roles.best_baseline = roles.greedy;
    let mut by_fitness: Vec<usize> = (baselines..trials.len()).collect();
    by_fitness.sort_by(|one, other| f64::total_cmp(&fitness(&trials[*other]), &fitness(&trials[*one])));
    roles.front = by_fitness.into_iter().take(8).collect();
    roles.best = roles.front.first().copied();
    for index in roles.front.iter().copied().chain([0, 16, 17]) {
        let tested = &mut trials[index];
        let score = |one: &Score| Score { value: one.value - 0.02, error: Some(0.008) };
        tested.test = tested.search.iter().map(score).collect();
        tested.test_fitness = tested.fitness.map(|value| Score { value: value - 0.02, error: Some(0.006) });
        tested.held_out = vec![Score { value: 0.9, error: Some(0.01) }];
        tested.test_fitness_gain = Some(Score { value: 0.03, error: Some(0.004) });
    }
    let generations = (1..=candidates / POPULATION)
        .map(|generation| Generation {
            generation: generation.to_string(),
            sigma: 0.06 * 0.95_f64.powf(generation as f64),
            hypervolume: 1.0 - 1.0 / generation as f64,
            trials: baselines + generation * POPULATION,
        })
        .collect();
    let spans = trials.iter().enumerate().map(|(index, trial)| {
        let started = (index / 2) as f64 * 1.5 + (index % 2) as f64 * 0.1;
        let stage = if index < baselines { "baselines" } else { "search" };
        Span {
            id: trial.id.clone(),
            stage: stage.to_owned(),
            started,
            merged: Some(started + 0.3),
            ended: started + 1.4,
        }
    });
    Report {
        name: "example".to_owned(),
        state: "Completed: the trial budget is used up".to_owned(),
        judgement: Some(Judgement {
            sentence:
                "g0002-c003: +3.0 ± 0.4 points over the best baseline (greedy soup) on 6,000 unseen items"
                    .to_owned(),
            warnings: vec!["the error is larger than half the gain".to_owned()],
        }),
        facts: vec![Fact { name: "trials".to_owned(), value: trials.len().to_string() }],
        objectives: vec![metric("math"), metric("code")],
        held_out: vec![metric("knowledge")],
        timeline: Some(Timeline {
            spans: spans.collect(),
            busy: Some(0.93),
            parallel_trials: 2,
            interruptions: 0,
        }),
        contribution: Some(Contribution {
            of: "g0002-c003".to_owned(),
            checkpoints: checkpoints
                .iter()
                .enumerate()
                .map(|(index, name)| CheckpointContribution {
                    name: name.clone(),
                    weight: 0.0625,
                    gain: Some(Score { value: 0.004 * (index as f64 - 4.0), error: Some(0.003) }),
                })
                .collect(),
        }),
        order_kept: Some(0.89),
        export_command: "mergesearch export TRIAL".to_owned(),
        exports_all: true,
        groups: 1,
        warnings: Vec::new(),
        checkpoints,
        trials,
        roles,
        generations,
    }
}

fn metric(name: &str) -> Metric {
    Metric { name: name.to_owned(), minimize: false }
}

fn trial(id: &str, kind: Kind, scores: [f64; 2], weights: Vec<f64>) -> Trial {
    let rounded = |value: f64| (value * 1e6).round() / 1e6;
    Trial {
        id: id.to_owned(),
        name: id.to_owned(),
        kind,
        fitness: Some(rounded(f64::midpoint(scores[0], scores[1]))),
        search_fitness: Some(Score {
            value: rounded(f64::midpoint(scores[0], scores[1])),
            error: Some(0.014),
        }),
        search: scores.iter().map(|&value| Score { value: rounded(value), error: Some(0.02) }).collect(),
        weights: weights.into_iter().map(|weight| (weight * 1e4).round() / 1e4).collect(),
        ..Trial::default()
    }
}

fn fitness(trial: &Trial) -> f64 {
    trial.fitness.unwrap_or(f64::NEG_INFINITY)
}
