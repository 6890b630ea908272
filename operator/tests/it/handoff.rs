//! Searches whose candidates some pods merge and others evaluate: the same outcome, in room that is given back.

use std::collections::BTreeSet;

use mergesearch_crds::{Handoff, MergeSearch, Strategy};
use mergesearch_search::TrialId;
use rstest::rstest;

use crate::evaluator::resource;
use crate::node::Mishaps;
use crate::operator::Faults;
use crate::simulation::{World, seeds};

/// Passes in which what is left in the handoff is deleted after the end.
const TIDYING: usize = 200;

fn handing_off(seed: u64, strategy: Strategy) -> MergeSearch {
    let mut resource = resource(seed);
    resource.spec.execution.strategy = strategy;
    let uri = Some("s3://scratch/candidates".to_owned());
    resource.spec.execution.handoff = Some(Handoff { uri, claim_name: None });
    resource
}

impl World {
    /// After the end nothing stays in the handoff.
    fn check_room(&mut self, seed: u64) {
        for _ in 0..TIDYING {
            if self.node.candidates.is_empty() {
                return;
            }
            self.step();
        }
        panic!("seed {seed}: left in the handoff: {:?}", self.node.candidates);
    }
}

#[rstest]
fn an_undisturbed_search_merges_every_candidate_once(
    #[values(Strategy::MergeThenEvaluate, Strategy::PerGeneration)] strategy: Strategy,
) {
    for seed in 0..5 {
        let mut world = World::of(handing_off(seed, strategy), seed, Mishaps::default(), Faults::default());
        world.finish();
        world.check_outcome();
        world.check_times();
        world.check_room(seed);
        world.check_fixed_point();
        assert!(world.node.evaluated.values().all(|&times| times == 1), "{:?}", world.node.evaluated);
        let merged: Vec<&TrialId> = world.node.merged.iter().flatten().collect();
        let different: BTreeSet<&TrialId> = merged.iter().copied().collect();
        assert_eq!(merged.len(), different.len(), "seed {seed}: {:?}", world.node.merged);
        // A generation has four candidates; those with one that can't be merged are merged one by one.
        let generations =
            world.node.merged.iter().filter(|merged| matches!(merged[0], TrialId::Candidate { .. }));
        let sizes: BTreeSet<usize> = generations.map(Vec::len).filter(|&size| size > 1).collect();
        let expected =
            if strategy == Strategy::PerGeneration { BTreeSet::from([4]) } else { BTreeSet::new() };
        assert_eq!(sizes, expected, "seed {seed}: {:?}", world.node.merged);
    }
}

#[rstest]
fn crashes_evictions_and_lost_candidates_change_no_result(
    #[values(Strategy::MergeThenEvaluate, Strategy::PerGeneration)] strategy: Strategy,
) {
    for seed in seeds(4) {
        let faults = Faults { crash: 20, refusal: 30, lost_answer: 30, lag: true };
        // Two Jobs of each trial may be evicted, and after five evictions it waits for a person.
        let mishaps =
            Mishaps { eviction: 40, storage: 12, deletion: 40, lost_message: 8, lost_candidate: 30 };
        let mut world = World::of(handing_off(seed, strategy), seed, mishaps, faults);
        world.finish();
        world.check_outcome();
        world.check_room(seed);
    }
}

#[test]
fn suspending_and_changing_the_strategy_cost_nothing() {
    for seed in seeds(8) {
        let faults = Faults { crash: 20, refusal: 30, lost_answer: 30, lag: true };
        let mishaps = Mishaps { eviction: 40, ..Mishaps::default() };
        let mut world = World::of(handing_off(seed, Strategy::PerGeneration), seed, mishaps, faults);
        for strategy in [Strategy::PerTrial, Strategy::MergeThenEvaluate, Strategy::PerGeneration] {
            for _ in 0..40 {
                world.step();
            }
            world.suspend(true);
            for _ in 0..40 {
                world.step();
            }
            assert!(world.running_pods() == 0, "seed {seed}: pods while suspended");
            world.api.search.spec.execution.strategy = strategy;
            world.suspend(false);
        }
        world.finish();
        world.check_outcome();
        world.check_room(seed);
    }
}
