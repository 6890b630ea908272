//! Whole searches in a made-up world.

use mergesearch_recipe::{Checkpoint, CheckpointName, MergeMethod};
use mergesearch_search::encoding::BoundedParameter;
use mergesearch_search::{
    Baseline, Bound, Chain, ConfigError, EndReason, Fitness, Granularity, Journal, Lambda, Outcome, Record,
    RecordError, Reference, ReplayError, Search, Trial, TrialId, TrialOutcome, TrialResult, TrialTime,
};
use proptest::prelude::*;

use crate::laboratory::{config, essence, evaluate, failure, objective, run, searched};

fn snapshot(search: &Search) -> String {
    serde_json::to_string(search).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn neither_parallelism_nor_the_order_of_arrival_changes_anything(capacity in 1_usize..20, order: u64) {
        let (one_by_one, _) = searched(config(5), 1, 0);
        let (other, _) = searched(config(5), capacity, order);
        prop_assert_eq!(essence(&one_by_one), essence(&other));
    }

    #[test]
    fn the_hypervolume_fitness_is_as_deterministic(capacity in 1_usize..20, order: u64) {
        let mut config = config(4);
        config.fitness = Fitness::Hypervolume;
        let (one_by_one, _) = searched(config.clone(), 1, 0);
        let (other, _) = searched(config, capacity, order);
        prop_assert_eq!(essence(&one_by_one), essence(&other));
    }

    #[test]
    fn every_prefix_of_a_journal_replays_to_the_live_state(order: u64, barrier: bool, cut in 0.0..1.0) {
        let mut config = config(4);
        config.barrier = barrier;
        config.budget.max_trials = 50;
        let mut search = Search::new(config.clone()).unwrap();
        let mut journal = search.take_records();
        let mut states = vec![(journal.len(), snapshot(&search))];
        let mut step = 0_u64;
        while search.outcome().is_none() {
            let trials = search.trials(6);
            journal.extend(search.take_records());
            let ending = &trials[(order.wrapping_mul(step | 1) >> 33) as usize % trials.len()];
            search.record(evaluate(ending)).unwrap();
            journal.extend(search.take_records());
            states.push((journal.len(), snapshot(&search)));
            step += 1;
        }
        let (length, live) = &states[(cut * states.len() as f64) as usize];
        let mut replayed = Search::replay(config, journal[..*length].to_vec()).unwrap();
        replayed.take_records();
        prop_assert_eq!(&snapshot(&replayed), live);
        let restored: Search = serde_json::from_str(live).unwrap();
        prop_assert_eq!(&restored, &replayed);
    }
}

#[test]
fn vectors_that_are_too_long_to_be_recorded_follow_from_the_journal() {
    let mut config = config(5);
    config.granularity = Granularity::Patterns((0..64).map(|index| format!("layers.{index}.")).collect());
    config.budget.max_trials = 70;
    let (search, journal) = searched(config.clone(), 4, 3);
    assert!(search.dimension() > 256);
    assert!(journal.iter().all(|record| !matches!(record, Record::Issued { vector: Some(_), .. })));
    assert!(journal.iter().any(|record| matches!(record, Record::Issued { id: TrialId::Mean { .. }, .. })));
    let replayed = Search::replay(config, journal).unwrap();
    assert_eq!(snapshot(&replayed), snapshot(&search));
}

#[test]
fn when_trials_ran_is_kept_and_decides_nothing() {
    let timed = |trial: &Trial| {
        // A number of its own for each trial that tells stage and text apart.
        let started = 1.8e9 + f64::from(trial.id.to_string().bytes().map(u32::from).sum::<u32>()) / 3.0;
        let time = TrialTime { started, merged: Some(started + 2.0), ended: started + 60.0 };
        TrialResult { time: Some(time), ..evaluate(trial) }
    };
    let mut search = Search::new(config(5)).unwrap();
    let journal = run(&mut search, 4, 3, timed);
    let (timeless, _) = searched(config(5), 4, 3);
    assert_eq!(essence(&search), essence(&timeless));
    assert_eq!((search.outcome(), timeless.times().count()), (timeless.outcome(), 0));

    let results: Vec<&TrialResult> = journal
        .iter()
        .filter_map(|record| if let Record::Finished(result) = record { Some(result) } else { None })
        .collect();
    let mut told: Vec<(&TrialId, f64)> = search.times().map(|(id, time)| (id, time.started)).collect();
    told.sort_by_key(|(id, _)| (*id).clone());
    let mut expected: Vec<(&TrialId, f64)> =
        results.iter().map(|result| (&result.id, result.time.unwrap().started)).collect();
    expected.sort_by_key(|(id, _)| (*id).clone());
    assert_eq!(told, expected);
    assert!(told.iter().any(|(id, _)| matches!(id, TrialId::Final(_))));
    let duplicate = TrialId::Greedy(1);
    assert!(search.row(&duplicate).is_some() && search.times().all(|(id, _)| *id != duplicate));

    let mut chain = Chain::default();
    let text: String = journal.iter().map(|record| chain.line(record).unwrap()).collect();
    let replayed = Search::replay(config(5), Journal::read(&text).unwrap().records).unwrap();
    assert_eq!(snapshot(&replayed), snapshot(&search));
}

#[test]
fn asking_twice_gives_the_same_trials_and_no_new_records() {
    let mut search = Search::new(config(4)).unwrap();
    let first = search.trials(3);
    search.take_records();
    assert_eq!(search.trials(3), first);
    assert!(search.take_records().is_empty());
    assert_eq!(search.trials(2), first[..2]);
}

#[test]
fn the_searched_merge_is_better_than_every_baseline_in_this_world() {
    let (search, _) = searched(config(6), 4, 1);
    let fitness = |id: &TrialId| search.row(id).unwrap().fitness.unwrap();
    let best = fitness(&search.best().unwrap());
    assert!(best > fitness(&search.best_baseline().unwrap()) + 0.01);
    assert!(fitness(&search.greedy_soup().unwrap()) >= fitness(&search.best_single().unwrap()));
}

#[test]
fn the_trial_budget_holds_and_every_generation_is_whole() {
    for max_trials in 40..70 {
        let mut config = config(5);
        config.budget.max_trials = max_trials;
        let (search, journal) = searched(config, 4, 3);
        let issued = |record: &Record| match record {
            Record::Issued { id, duplicate_of: None, .. } => !matches!(id, TrialId::Final(_)),
            _ => false,
        };
        let evaluations = journal.iter().filter(|record| issued(record)).count();
        let population = 4 + (3.0 * 4.0_f64.ln()).floor() as usize;
        assert!(evaluations <= max_trials);
        // Duplicates and the greedy lane's reserve may leave a little, never a whole generation and more.
        assert!(evaluations + population + 5 > max_trials, "{evaluations} of {max_trials}");
        assert_eq!(search.outcome(), Some(Outcome::Completed(EndReason::MaxTrials)));
        let candidates = search.search_trials().filter(|id| matches!(id, TrialId::Candidate { .. })).count();
        assert_eq!(candidates % population, 0);
        assert!(search.search_trials().any(|id| matches!(id, TrialId::Mean { .. })));
    }
}

#[test]
fn the_first_greedy_attempt_repeats_the_soup_of_two_and_costs_nothing() {
    let (_, journal) = searched(config(5), 4, 1);
    let duplicate = journal.iter().find_map(|record| match record {
        Record::Issued { id: TrialId::Greedy(1), duplicate_of, .. } => duplicate_of.clone(),
        _ => None,
    });
    assert_eq!(duplicate, Some(TrialId::Soup(2)));
}

#[test]
fn finalists_are_the_references_and_the_best_of_the_front() {
    let (search, _) = searched(config(5), 4, 1);
    let finalists = search.finalists();
    for id in [
        search.best_single(),
        search.greedy_soup(),
        search.best_baseline(),
        search.best(),
        Some(TrialId::Uniform),
    ] {
        assert!(finalists.contains(&id.unwrap()));
    }
    assert!(finalists.iter().any(|id| matches!(id, TrialId::Mean { .. })));
    for id in &finalists {
        let row = search.row(id).unwrap();
        assert_eq!((row.test.len(), row.held_out.len()), (2, 1), "{id}");
    }
}

#[test]
fn no_more_finals_come_than_a_budget_keeps_back() {
    for base in [false, true] {
        let mut config = config(6);
        config.base = base.then(|| Checkpoint {
            name: CheckpointName::try_from("base").unwrap(),
            uri: "file:///base".into(),
        });
        let (search, _) = searched(config, 4, 1);
        let finals = search.finalists().len();
        assert!(finals > 0 && finals <= search.most_finals(), "{finals} of {}", search.most_finals());
    }
}

#[test]
fn failed_candidates_rank_last_and_the_search_goes_on() {
    let mut config = config(4);
    config.budget.max_failed_trials = Some(1000);
    let fails = |trial: &Trial| matches!(trial.id, TrialId::Candidate { index: 0 | 3, .. });
    let mut search = Search::new(config).unwrap();
    run(&mut search, 4, 5, |trial| if fails(trial) { failure(trial) } else { evaluate(trial) });
    assert!(matches!(search.outcome(), Some(Outcome::Completed(_))));
    assert!(search.progress().failed > 5);
    assert!(search.front().iter().all(|id| !matches!(id, TrialId::Candidate { index: 0 | 3, .. })));
}

#[test]
fn too_many_failed_trials_end_the_search() {
    let mut config = config(4);
    config.budget.max_failed_trials = Some(2);
    let mut search = Search::new(config).unwrap();
    run(&mut search, 2, 5, |trial| {
        if matches!(trial.id, TrialId::Candidate { .. }) { failure(trial) } else { evaluate(trial) }
    });
    let Some(Outcome::Failed(_, reason)) = search.outcome() else { panic!() };
    assert!(reason.starts_with("3 trials failed, more than maxFailedTrials (2)"), "{reason}");
    assert!(search.trials(4).is_empty());
}

#[test]
fn a_search_whose_first_baselines_all_fail_ends_at_once() {
    let mut config = config(4);
    config.budget.max_failed_trials = Some(1000);
    let mut search = Search::new(config).unwrap();
    let journal = run(&mut search, 2, 5, failure);
    let Some(Outcome::Failed(_, reason)) = search.outcome() else { panic!() };
    assert!(reason.starts_with("every first baseline failed"), "{reason}");
    assert_eq!(journal.iter().filter(|record| matches!(record, Record::Finished(_))).count(), 5);
}

#[test]
fn a_failed_single_is_left_out_with_a_warning() {
    let mut search = Search::new(config(4)).unwrap();
    run(&mut search, 2, 5, |trial| {
        if trial.id.to_string() == "single-m0" { failure(trial) } else { evaluate(trial) }
    });
    assert!(matches!(search.outcome(), Some(Outcome::Completed(_))));
    assert!(search.warnings()[0].contains("baseline single-m0 failed"), "{:?}", search.warnings());
    let greedy = search.recipe_of(&search.greedy_soup().unwrap()).unwrap();
    assert!(greedy.groups[0].weights[0].abs() < f64::MIN_POSITIVE);
}

#[test]
fn raising_the_budget_of_a_completed_search_continues_it() {
    let small = config(4);
    let (search, mut journal) = searched(small.clone(), 4, 1);
    let mut large = small;
    large.budget.max_trials += 40;
    let mut continued = Search::replay(large.clone(), journal.clone()).unwrap();
    assert_eq!(continued.outcome(), None);
    journal.extend(run(&mut continued, 4, 2, evaluate));
    assert!(matches!(continued.outcome(), Some(Outcome::Completed(_))));
    assert!(continued.progress().generation > search.progress().generation);
    assert!(search.search_trials().all(|id| continued.row(id).is_some()), "nothing is lost");
    let mut replayed = Search::replay(large, journal).unwrap();
    assert!(replayed.take_records().is_empty(), "the new budget is in the journal");
    assert_eq!(snapshot(&replayed), snapshot(&continued));
}

#[test]
fn when_the_time_is_over_the_finalists_so_far_are_scored() {
    let mut search = Search::new(config(4)).unwrap();
    for _ in 0..25 {
        let trials = search.trials(3);
        search.record(evaluate(&trials[0])).unwrap();
    }
    search.time_exhausted();
    run(&mut search, 3, 1, evaluate);
    assert_eq!(search.outcome(), Some(Outcome::Completed(EndReason::Time)));
    assert!(!search.row(&search.best().unwrap()).unwrap().test.is_empty());
}

#[test]
fn no_trial_starts_that_could_exceed_the_gpu_budget() {
    let mut config = config(4);
    config.budget.trial_gpu_seconds = 10.0;
    config.budget.max_gpu_seconds = Some(500.0);
    let (search, journal) = searched(config, 4, 1);
    assert_eq!(search.outcome(), Some(Outcome::Completed(EndReason::GpuBudget)));
    let spent: f64 = journal
        .iter()
        .filter_map(
            |record| if let Record::Finished(result) = record { Some(result.gpu_seconds) } else { None },
        )
        .sum();
    assert!(spent <= 500.0, "{spent}");
}

#[test]
fn an_infeasible_merge_is_never_the_best() {
    let mut config = config(4);
    let (free, _) = searched(config.clone(), 4, 1);
    let unbounded = free.row(&free.best().unwrap()).unwrap().search[1].value;
    config.objectives[1].constraint = Some(Bound::Relative { to: Reference::Uniform, delta: 0.02 });
    let (bounded, _) = searched(config, 4, 1);
    let uniform = bounded.row(&TrialId::Uniform).unwrap().search[1].value;
    for id in bounded.front() {
        assert!(
            bounded.row(&id).unwrap().search[1].value >= uniform + 0.02,
            "{id} (free search: {unbounded})"
        );
    }
    assert!(bounded.row(&TrialId::Uniform).unwrap().fitness.is_none());
}

#[test]
fn non_negative_searches_merge_on_the_simplex_only() {
    let mut config = config(5);
    config.non_negative = true;
    let (search, _) = searched(config, 4, 1);
    for id in search.search_trials() {
        let recipe = search.recipe_of(id).unwrap();
        assert!(recipe.groups[0].weights.iter().all(|weight| *weight >= 0.0), "{id}");
        assert!((recipe.groups[0].weights.iter().sum::<f64>() - 1.0).abs() < 1e-9);
    }
}

#[test]
fn groups_get_weights_of_their_own() {
    let mut config = config(3);
    config.granularity = Granularity::Patterns(vec!["mlp".into()]);
    config.budget.max_trials = 120;
    let (search, _) = searched(config, 4, 1);
    let recipe = search.recipe_of(&search.best().unwrap()).unwrap();
    recipe.validate().unwrap();
    assert_eq!(recipe.groups.len(), 2);
    assert_ne!(recipe.groups[0].weights, recipe.groups[1].weights);
}

#[test]
fn a_baseline_of_ones_own_is_compared_with_and_started_from() {
    let mut config = config(4);
    let name = CheckpointName::try_from("production").unwrap();
    config.baselines = vec![Baseline { name: name.clone(), weights: vec![0.7, 0.4, 0.1, -0.2] }];
    let (search, _) = searched(config, 4, 1);
    assert_eq!(search.best_baseline(), Some(TrialId::Own(name.clone())));
    assert!(search.finalists().contains(&TrialId::Own(name)));
}

#[test]
fn task_arithmetic_searches_its_factor_too() {
    let mut config = config(3);
    config.method = MergeMethod::TaskArithmetic;
    config.base =
        Some(Checkpoint { name: CheckpointName::try_from("base").unwrap(), uri: "file:///base".into() });
    config.lambda = Some(Lambda::Searched(BoundedParameter::new(0.0, 2.0, 1.0).unwrap()));
    let (search, _) = searched(config.clone(), 4, 1);
    assert_eq!(search.dimension(), 3);
    let recipe = search.recipe_of(&search.best().unwrap()).unwrap();
    recipe.validate().unwrap();
    let lambda = recipe.groups[0].parameters.lambda.unwrap();
    assert!((0.0..=2.0).contains(&lambda) && (lambda - 1.0).abs() > 1e-6, "{lambda}");
    assert_eq!(search.recipe_of(&TrialId::Uniform).unwrap().method, MergeMethod::Linear);
    config.lambda = Some(Lambda::Fixed(0.8));
    let (search, _) = searched(config, 4, 1);
    assert_eq!(search.dimension(), 2);
    let recipe = search.recipe_of(&search.best().unwrap()).unwrap();
    assert_eq!(recipe.groups[0].parameters.lambda, Some(0.8));
}

#[test]
fn without_the_barrier_free_capacity_samples_more_of_the_generation() {
    let mut config = config(4);
    config.barrier = false;
    config.budget.max_trials = 120;
    let (search, _) = searched(config, 12, 1);
    let population = 4 + (3.0 * 3.0_f64.ln()).floor() as u32;
    assert!(
        search
            .search_trials()
            .any(|id| matches!(id, TrialId::Candidate { index, .. } if *index >= population))
    );
    assert!(matches!(search.outcome(), Some(Outcome::Completed(_))));
}

#[test]
fn restarts_double_the_population() {
    let mut config = config(3);
    config.stop.tolx = Some(0.5);
    config.restarts = 1;
    config.budget.max_trials = 400;
    let (search, _) = searched(config, 8, 1);
    let second = search
        .search_trials()
        .filter(|id| matches!(id, TrialId::Candidate { restart: 1, generation: 1, .. }));
    assert_eq!(second.count(), 2 * (4 + (3.0 * 2.0_f64.ln()).floor() as usize));
    assert!(matches!(search.outcome(), Some(Outcome::Completed(EndReason::Converged(_)))));
}

#[test]
fn results_that_do_not_fit_are_refused_and_change_nothing() {
    let mut search = Search::new(config(4)).unwrap();
    let trial = search.trials(1).remove(0);
    let before = snapshot(&search);
    let mut nan = evaluate(&trial);
    if let TrialOutcome::Succeeded(stages) = &mut nan.outcome {
        stages[0].scores[0].value = f64::NAN;
    }
    assert!(matches!(search.record(nan), Err(RecordError::Scores { .. })));
    let mut unknown = evaluate(&trial);
    unknown.id = TrialId::Base;
    assert_eq!(search.record(unknown), Err(RecordError::Unknown(TrialId::Base)));
    assert_eq!(snapshot(&search), before);
    search.record(evaluate(&trial)).unwrap();
    assert_eq!(search.record(evaluate(&trial)), Err(RecordError::Repeated(trial.id)));
}

#[test]
fn a_journal_of_another_search_is_refused_by_the_field_that_differs() {
    let (_, journal) = searched(config(4), 4, 1);
    let mut other = config(4);
    other.seed = 8;
    let Err(ReplayError::Changed { field }) = Search::replay(other, journal.clone()) else { panic!() };
    assert_eq!(field, "seed");
    let mut other = config(4);
    other.objectives[1].weight = 2.0;
    let Err(ReplayError::Changed { field }) = Search::replay(other, journal.clone()) else { panic!() };
    assert_eq!(field, "objectives.1.weight");
    let mut altered = journal;
    let position =
        altered.iter().position(|record| matches!(record, Record::Issued { vector: Some(_), .. })).unwrap();
    if let Record::Issued { vector: Some(vector), .. } = &mut altered[position] {
        vector.0[0] += 0.5;
    }
    assert!(matches!(Search::replay(config(4), altered), Err(ReplayError::Diverged { .. })));
}

#[test]
fn contradictions_in_the_configuration_name_their_field() {
    let mut one = config(4);
    one.checkpoints.truncate(1);
    assert_eq!(Search::new(one).unwrap_err(), ConfigError::Pool(1));
    let mut twice = config(4);
    twice.objectives.push(objective("left"));
    assert!(matches!(Search::new(twice).unwrap_err(), ConfigError::Name { field: "objectives", .. }));
    let mut weight = config(4);
    weight.objectives[0].weight = f64::NAN;
    assert!(Search::new(weight).unwrap_err().to_string().starts_with("objective \"left\": weight"));
}
