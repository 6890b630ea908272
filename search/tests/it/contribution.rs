//! Leaving checkpoints out of a merge, in whole searches of a made-up world.

use mergesearch_search::{
    ContributionOf, Contributions, Outcome, Phase, Record, Search, SearchConfig, Stage, Trial, TrialId,
};
use proptest::prelude::*;

use crate::laboratory::{config, essence, evaluate, failure, run, searched};

fn asking(pool: usize, of: &str) -> SearchConfig {
    SearchConfig { contribution: Some(of.parse().unwrap()), ..config(pool) }
}

fn snapshot(search: &Search) -> String {
    serde_json::to_string(search).unwrap()
}

fn told(search: &Search) -> Contributions {
    search.contributions().unwrap()
}

fn is_issued(record: &Record, what: impl Fn(&TrialId) -> bool) -> bool {
    matches!(record, Record::Issued { id, .. } if what(id))
}

fn is_without(id: &TrialId) -> bool {
    matches!(id, TrialId::Without { .. })
}

/// A candidate that succeeded and is no finalist.
fn also_ran(search: &Search) -> TrialId {
    let finalists = search.finalists();
    let mut candidates = search.search_trials().filter(|id| matches!(id, TrialId::Candidate { .. }));
    candidates.find(|id| !finalists.contains(id)).unwrap().clone()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn neither_parallelism_nor_the_order_of_arrival_changes_anything(capacity in 1_usize..20, order: u64) {
        let (one_by_one, _) = searched(asking(5, "best"), 1, 0);
        let (other, _) = searched(asking(5, "best"), capacity, order);
        prop_assert_eq!(told(&one_by_one), told(&other));
        prop_assert_eq!(essence(&one_by_one), essence(&other));
    }

    #[test]
    fn every_prefix_of_a_journal_replays_to_the_live_state(order: u64, cut in 0.0..1.0) {
        let (completed, mut journal) = searched(config(4), 3, order);
        let of = ContributionOf::Trial(also_ran(&completed));
        let mut search = Search::replay(config(4), journal.clone()).unwrap();
        search.change_contribution(Some(of.clone()));
        let mut states = Vec::new();
        while search.outcome().is_none() {
            let trials = search.trials(3);
            journal.extend(search.take_records());
            states.push((journal.len(), snapshot(&search)));
            search.record(evaluate(&trials[order as usize % trials.len()])).unwrap();
            journal.extend(search.take_records());
            states.push((journal.len(), snapshot(&search)));
        }
        let (length, live) = &states[(cut * states.len() as f64) as usize];
        let asking = SearchConfig { contribution: Some(of), ..config(4) };
        let mut replayed = Search::replay(asking, journal[..*length].to_vec()).unwrap();
        prop_assert!(replayed.take_records().is_empty(), "what is asked for is in the journal");
        prop_assert_eq!(&snapshot(&replayed), live);
        let restored: Search = serde_json::from_str(live).unwrap();
        prop_assert_eq!(&restored, &replayed);
    }
}

#[test]
fn a_merge_is_scored_on_test_items_without_each_checkpoint() {
    let (search, journal) = searched(asking(5, "best"), 4, 1);
    let Contributions { subject, trial, test, checkpoints } = told(&search);
    assert_eq!(Some(&subject), search.best().as_ref());
    assert_eq!(trial, TrialId::Final(Box::new(subject.clone())));
    assert_eq!(test, search.row(&subject).unwrap().test);
    assert_eq!(checkpoints.len(), 5);
    let weights = &search.recipe_of(&subject).unwrap().groups[0].weights;
    for (position, checkpoint) in checkpoints.iter().enumerate() {
        let recipe = search.recipe_of(&checkpoint.trial).unwrap();
        recipe.validate().unwrap();
        let without = &recipe.groups[0].weights;
        assert_eq!(checkpoint.weights, [weights[position]]);
        assert!(without[position].abs() < f64::MIN_POSITIVE, "{without:?}");
        assert!((without.iter().sum::<f64>() - 1.0).abs() < 1e-12, "{without:?}");
        let lost: f64 = test.iter().zip(&checkpoint.test).map(|(with, one)| with.value - one.value).sum();
        let difference = checkpoint.difference.unwrap();
        assert!((difference.value - lost / 2.0).abs() < 1e-12);
        assert!(difference.stderr.is_some() && checkpoint.failure.is_none());
        let row = search.row(&checkpoint.trial).unwrap();
        assert_eq!((&row.test, row.search.len(), row.held_out.len()), (&checkpoint.test, 0, 0));
    }
    // The made-up world likes the first checkpoint best.
    let of = |position: usize| checkpoints[position].difference.unwrap().value;
    assert!((1..5).all(|position| of(0) > of(position)), "{checkpoints:#?}");
    let results = journal.iter().filter(|record| matches!(record, Record::Finished(_))).count();
    assert_eq!(search.progress().planned, results);
}

#[test]
fn the_rest_of_a_search_does_not_depend_on_what_is_asked() {
    let (plain, _) = searched(config(5), 4, 1);
    let (asked, journal) = searched(asking(5, "best"), 4, 1);
    assert_eq!(essence(&plain), essence(&asked));
    assert_eq!(plain.contributions(), None);
    let first = journal.iter().position(|record| is_issued(record, is_without)).unwrap();
    let last = journal.iter().rposition(|record| is_issued(record, |id| !is_without(id))).unwrap();
    assert!(last < first, "finalists come first");
    let counted = |search: &Search| search.progress().succeeded;
    assert_eq!(counted(&asked), counted(&plain) + 5, "they lie outside maxTrials");
    assert!((asked.gpu_seconds() - plain.gpu_seconds() - 50.0).abs() < 1e-9, "and count GPU seconds");
}

#[test]
fn a_completed_search_goes_on_when_it_is_asked() {
    let (before, mut journal) = searched(config(4), 4, 1);
    let trial = also_ran(&before);
    let mut search = Search::replay(asking(4, &trial.to_string()), journal.clone()).unwrap();
    assert_eq!(search.outcome(), None);
    assert_eq!(search.progress().phase, Phase::Finals);
    let trials = search.trials(8);
    let ids: Vec<String> = trials.iter().map(|trial| trial.id.to_string()).collect();
    assert_eq!(ids, [format!("final-{trial}")], "it was no finalist, and is scored first");
    search.record(evaluate(&trials[0])).unwrap();
    assert_eq!(search.progress().phase, Phase::Contribution);
    let trials = search.trials(8);
    assert_eq!(search.trials(8), trials, "asking again gives the same");
    let ids: Vec<String> = trials.iter().map(|trial| trial.id.to_string()).collect();
    assert_eq!(ids, ["m0", "m1", "m2", "m3"].map(|name| format!("without-{name}.{trial}")));
    assert!(trials.iter().all(|trial| trial.stages == [Stage::Test]));
    journal.extend(run(&mut search, 2, 3, evaluate));
    assert_eq!(search.outcome(), before.outcome());
    assert_eq!(told(&search).subject, trial);
    assert!(search.warnings().is_empty(), "{:?}", search.warnings());
    let recorded = Search::recorded(journal).unwrap();
    assert_eq!(snapshot(&recorded), snapshot(&search));
}

#[test]
fn another_question_gives_the_running_trials_up_and_the_first_one_takes_them_up_again() {
    let (_, journal) = searched(config(4), 4, 1);
    let mut search = Search::replay(asking(4, "best"), journal).unwrap();
    let first = search.trials(2);
    search.record(evaluate(&first[0])).unwrap();
    search.change_contribution(None);
    assert!(matches!(search.outcome(), Some(Outcome::Completed(_))));
    assert!(search.trials(8).is_empty() && search.open_trial(&first[1].id).is_none());
    assert_eq!(search.progress().planned, search.progress().succeeded);
    search.change_contribution(Some(ContributionOf::Best));
    assert_eq!(search.trials(8)[0], first[1]);
    run(&mut search, 4, 1, evaluate);
    let scored = told(&search).checkpoints.iter().filter(|one| one.difference.is_some()).count();
    assert_eq!(scored, 4);
}

#[test]
fn a_larger_budget_goes_before_and_asks_about_the_best_merge_then() {
    let (_, mut journal) = searched(asking(4, "best"), 4, 1);
    let mut larger = asking(4, "best");
    larger.budget.max_trials += 40;
    let mut search = Search::replay(larger, journal.clone()).unwrap();
    assert_eq!(search.progress().phase, Phase::Generations);
    journal.extend(run(&mut search, 4, 2, evaluate));
    assert_eq!(Some(told(&search).subject), search.best());
    assert!(told(&search).checkpoints.iter().all(|one| one.difference.is_some()));
    assert_eq!(snapshot(&Search::recorded(journal).unwrap()), snapshot(&search));
}

#[test]
fn a_failed_trial_is_told_and_fails_nothing() {
    let mut config = asking(4, "best");
    config.budget.max_failed_trials = Some(0);
    let mut search = Search::new(config).unwrap();
    let fails = |trial: &Trial| trial.id.to_string().starts_with("without-m1.");
    run(&mut search, 4, 5, |trial| if fails(trial) { failure(trial) } else { evaluate(trial) });
    assert!(matches!(search.outcome(), Some(Outcome::Completed(_))));
    let failed: Vec<_> = told(&search).checkpoints.into_iter().filter(|one| one.failure.is_some()).collect();
    assert_eq!((failed.len(), failed[0].checkpoint.as_str()), (1, "m1"));
    assert_eq!(failed[0].failure.as_deref(), Some("the evaluator exited with code 1"));
    assert!(failed[0].difference.is_none() && failed[0].absolute_weights.is_some());
}

#[test]
fn nothing_is_left_out_of_a_merge_that_fails_on_test_items() {
    let mut search = Search::new(asking(4, "best")).unwrap();
    let fails = |search: &str, trial: &Trial| trial.id.to_string() == format!("final-{search}");
    let (undisturbed, _) = searched(config(4), 4, 5);
    let best = undisturbed.best().unwrap().to_string();
    let journal =
        run(&mut search, 4, 5, |trial| if fails(&best, trial) { failure(trial) } else { evaluate(trial) });
    assert!(!journal.iter().any(|record| is_issued(record, is_without)));
    assert!(matches!(search.outcome(), Some(Outcome::Completed(_))));
    let said =
        format!("search.contribution: {best} failed on test items, so its checkpoints are not left out");
    assert!(search.warnings().iter().any(|warning| warning.starts_with(&said)), "{:?}", search.warnings());
}

#[test]
fn a_trial_that_the_search_has_not_is_a_warning() {
    let (search, _) = searched(asking(4, "g0999-c000"), 4, 1);
    assert!(matches!(search.outcome(), Some(Outcome::Completed(_))));
    assert_eq!(search.contributions(), None);
    assert_eq!(
        search.warnings(),
        ["search.contribution: this search has no trial g0999-c000; name one of its merges, or best"]
    );
}

#[test]
fn without_one_of_two_a_merge_is_a_finalist_and_costs_nothing() {
    let (search, journal) = searched(asking(2, "uniform"), 4, 1);
    let best_single = search.best_single().unwrap();
    let copied = journal.iter().find_map(|record| match record {
        Record::Issued { id: TrialId::Without { .. }, duplicate_of: Some(original), .. } => Some(original),
        _ => None,
    });
    let finalist = TrialId::Final(Box::new(best_single.clone()));
    assert_eq!(copied, Some(&finalist));
    let checkpoints = told(&search).checkpoints;
    let other = checkpoints.iter().find(|one| one.trial == finalist).unwrap();
    assert_eq!(other.test, search.row(&best_single).unwrap().test);
    assert!(checkpoints.iter().all(|one| one.difference.is_some()));
}

#[test]
fn a_checkpoint_that_the_others_can_not_make_up_for_stays_with_a_warning() {
    let mut config = asking(3, "baseline-bold");
    let weights = vec![1.5, -0.25, -0.25];
    config.baselines = vec![mergesearch_search::Baseline { name: "bold".try_into().unwrap(), weights }];
    let (search, _) = searched(config, 4, 1);
    let checkpoints = told(&search).checkpoints;
    let reason = "the other weights sum to -0.500, too little to be scaled to 1";
    assert_eq!(checkpoints[0].failure.as_deref(), Some(reason));
    assert!(checkpoints[0].difference.is_none() && checkpoints[0].absolute_weights.is_none());
    assert!(checkpoints[1..].iter().all(|one| one.difference.is_some()));
    let warning = format!("search.contribution: m0 stays in baseline-bold: {reason}");
    assert!(search.warnings().contains(&warning), "{:?}", search.warnings());
}

#[test]
fn the_gpu_budget_keeps_room_for_what_is_asked_and_bounds_what_is_asked_later() {
    let mut config = config(4);
    config.budget.trial_gpu_seconds = 10.0;
    config.budget.max_gpu_seconds = Some(500.0);
    let reserved = SearchConfig { contribution: Some(ContributionOf::Best), ..config.clone() };
    let (search, _) = searched(reserved, 4, 1);
    assert!(search.gpu_seconds() <= 500.0);
    assert!(told(&search).checkpoints.iter().all(|one| one.difference.is_some()));

    let (completed, journal) = searched(config.clone(), 4, 1);
    config.contribution = Some(ContributionOf::Best);
    // The same budget, with room for two more trials.
    config.budget.max_gpu_seconds = Some(completed.gpu_seconds() + 25.0);
    let mut search = Search::replay(config.clone(), journal).unwrap();
    run(&mut search, 4, 1, evaluate);
    let missing = told(&search).checkpoints.iter().filter(|one| one.difference.is_none()).count();
    assert!(search.gpu_seconds() <= config.budget.max_gpu_seconds.unwrap());
    assert_eq!(missing, 2);
    let best = told(&search).subject;
    let said = format!(
        "search.contribution: the GPU budget has no room for 2 of the trials that leave a checkpoint of {best} out"
    );
    assert!(search.warnings().contains(&said), "{:?}", search.warnings());
}
