//! Crash anywhere: a disturbed search ends as the undisturbed one does, and no trial is run twice.

use std::env;
use std::ops::Range;

use k8s_openapi::jiff::SignedDuration;
use mergesearch_crds::MergeSearch;
use mergesearch_crds::conditions::COMPLETED;
use mergesearch_operator::decide::Write;
use mergesearch_operator::identity::Role;
use mergesearch_operator::observe::{JobView, PodView};
use mergesearch_search::judgement::{Verdict, called};
use mergesearch_search::{Record, TrialId, TrialOutcome, TrialResult, TrialTime};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng as _, SeedableRng as _};

use crate::api::Api;
use crate::evaluator::{resource, undisturbed};
use crate::node::{Mishaps, Node, happens};
use crate::operator::{Faults, Operator};

/// Schedules of each kind in one run. More, or others, by environment: `MERGESEARCH_SCHEDULES` and `MERGESEARCH_SEED`.
const SCHEDULES: u64 = 800;
/// Passes after which a search is taken for stuck.
const MOST_STEPS: usize = 20_000;

/// The seeds of a run, a share of all; a failure names its own.
pub(crate) fn seeds(share: u64) -> Range<u64> {
    let number = |name: &str| env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let first = number("MERGESEARCH_SEED").unwrap_or(0);
    let seeds = first..first + number("MERGESEARCH_SCHEDULES").unwrap_or(SCHEDULES) / share;
    #[expect(clippy::print_stdout, reason = "a failing run shows what it tried")]
    {
        println!("seeds {seeds:?}");
    }
    seeds
}

/// A search with its cluster and its operator.
pub(crate) struct World {
    seed: u64,
    pub(crate) random: ChaCha8Rng,
    pub(crate) api: Api,
    pub(crate) node: Node,
    pub(crate) operator: Operator,
    /// Whether a trial is known to have succeeded.
    succeeded: bool,
}

impl World {
    pub(crate) fn new(seed: u64, mishaps: Mishaps, faults: Faults) -> Self {
        Self::of(resource(seed), seed, mishaps, faults)
    }

    pub(crate) fn of(resource: MergeSearch, seed: u64, mishaps: Mishaps, faults: Faults) -> Self {
        let api = Api::new(resource);
        let operator = Operator::new(&api, faults);
        let mut node = Node::default();
        node.mishaps = mishaps;
        Self { seed, random: ChaCha8Rng::seed_from_u64(seed), api, node, operator, succeeded: false }
    }

    /// A little time passes.
    pub(crate) fn step(&mut self) -> Vec<Write> {
        let seconds = 1 + i64::from(self.random.next_u32() % 20);
        self.api.now += SignedDuration::from_secs(seconds);
        self.node.step(&mut self.api, &mut self.random);
        let writes = self.operator.pass(&mut self.api, &mut self.random);
        self.check_running();
        writes
    }

    pub(crate) fn is(&self, condition: &str) -> bool {
        let status = self.api.search.status.as_ref();
        status.is_some_and(|status| {
            status.conditions.iter().any(|own| own.type_ == condition && own.status == "True")
        })
    }

    pub(crate) fn finish(&mut self) {
        for _ in 0..MOST_STEPS {
            self.step();
            if self.is(COMPLETED) {
                return;
            }
        }
        let jobs: Vec<_> =
            self.api.jobs.all().filter_map(JobView::of).map(|job| (job.key, job.phase)).collect();
        panic!("seed {}: not completed: {:#?} {jobs:#?}", self.seed, self.api.search.status);
    }

    /// No more trials at a time than asked for, and one alone until one has succeeded.
    fn check_running(&mut self) {
        let active = self
            .api
            .jobs
            .all()
            .filter_map(JobView::of)
            .filter(|job| job.key.role == Role::Trial && job.ended().is_none())
            .count();
        let parallel = usize::try_from(self.api.search.spec.execution.parallel_trials).unwrap();
        assert!(active <= parallel, "seed {}: {active} trials at a time", self.seed);
        if active > 1 && !self.succeeded {
            let succeeded = |record: &Record| matches!(record, Record::Finished(result) if matches!(result.outcome, TrialOutcome::Succeeded(_)));
            self.succeeded = self.api.records().iter().any(succeeded);
            assert!(self.succeeded, "seed {}: {active} trials before the first has succeeded", self.seed);
        }
    }

    /// With caches up to date and nothing happening, a second pass has nothing to write.
    pub(crate) fn check_fixed_point(&mut self) {
        let faults = std::mem::take(&mut self.operator.faults);
        self.operator.pass(&mut self.api, &mut self.random);
        // What the journal has only since that pass is deleted in the next.
        let tidied = self.operator.pass(&mut self.api, &mut self.random);
        let deletes = tidied.iter().all(|write| matches!(write, Write::DeleteJob { .. }));
        assert!(deletes, "seed {}: deciding again asks for {tidied:?}", self.seed);
        let again = self.operator.pass(&mut self.api, &mut self.random);
        assert_eq!(again, Vec::new(), "seed {}: deciding again asks for more", self.seed);
        self.operator.faults = faults;
    }

    /// Every result says when its trial ran: within the time of the world, first merged and then evaluated.
    pub(crate) fn check_times(&self) {
        let Self { seed, api, .. } = self;
        for record in api.records() {
            let Record::Finished(TrialResult { id, time, .. }) = record else { continue };
            let Some(TrialTime { started, merged, ended }) = time else {
                panic!("seed {seed}: nobody knows when {id} ran");
            };
            let order = [1.8e9, started, merged.unwrap_or(started), ended, api.now.as_second() as f64];
            assert!(order.is_sorted() && started < ended, "seed {seed}: {id}: {order:?}");
        }
    }

    pub(crate) fn running_pods(&self) -> usize {
        let pods = self.api.pods.all().filter_map(PodView::of);
        // Room is made in the handoff after the end.
        pods.filter(|pod| !pod.has_ended() && pod.role != Role::Discard).count()
    }

    /// The same front, best, finalists and published merges as the undisturbed search, and everything once.
    pub(crate) fn check_outcome(&self) {
        let Self { seed, api, .. } = self;
        let expected = undisturbed(&api.search);
        let status = api.search.status.as_ref().unwrap();
        let front: Vec<String> = expected.front().iter().map(ToString::to_string).collect();
        let found: Vec<String> = status.front.iter().map(|trial| trial.trial.clone()).collect();
        assert_eq!(found, front, "seed {seed}: front");
        let best = status.best.as_ref().unwrap();
        let row = expected.row(&expected.best().unwrap()).unwrap();
        assert_eq!(best.trial, row.trial.to_string(), "seed {seed}: best");
        let difference = best.fitness - row.fitness.unwrap();
        assert!(difference.abs() < 1e-11, "seed {seed}: fitness");
        let verdict = Verdict::of(&expected, &|_, _, _| None).unwrap();
        let sentence = verdict.sentence(&called(&expected, &verdict.baseline));
        let judgement = status.judgement.as_deref().unwrap_or_default();
        assert!(judgement.starts_with(&sentence), "seed {seed}: {judgement:?} and {sentence:?}");
        let doubted = judgement.contains(". Careful: ");
        assert_eq!(doubted, verdict.doubt().is_some(), "seed {seed}: {judgement:?}");
        let published: Vec<&str> = status.published.iter().map(|entry| entry.trial.as_str()).collect();
        assert_eq!(published, [expected.to_publish(1)[0].to_string()], "seed {seed}: published");
        let ended = |record: &Record| match record {
            Record::Finished(result) => Some(result.id.clone()),
            _ => None,
        };
        let mut recorded: Vec<TrialId> = api.records().iter().filter_map(ended).collect();
        recorded.sort();
        let count = recorded.len();
        recorded.dedup();
        assert_eq!(recorded.len(), count, "seed {seed}: a result is recorded twice");
        let progress = expected.progress();
        assert_eq!(count, progress.succeeded + progress.failed, "seed {seed}: trials");
        assert_eq!(self.running_pods(), 0, "seed {seed}: pods after the end");
    }
}

#[test]
fn an_undisturbed_search_on_the_cluster_is_the_local_one() {
    for seed in 0..5 {
        let mut world = World::new(seed, Mishaps::default(), Faults::default());
        world.finish();
        world.check_outcome();
        world.check_fixed_point();
        assert!(world.node.evaluated.values().all(|&times| times == 1), "{:?}", world.node.evaluated);
    }
}

#[test]
fn a_crash_after_any_write_costs_nothing() {
    for seed in seeds(1) {
        let faults = Faults { crash: 2 + (seed % 9) as u32, refusal: 20, lost_answer: 20, lag: true };
        let mut world = World::new(seed, Mishaps { lost_message: 5, ..Mishaps::default() }, faults);
        world.finish();
        world.check_outcome();
        world.check_times();
        assert!(world.operator.crashes > 0);
        // Nothing happens to pods here, so nothing is a reason for a second evaluation.
        for (trial, times) in &world.node.evaluated {
            assert_eq!(*times, 1, "seed {seed}: {trial} was run {times} times");
        }
    }
}

#[test]
fn evictions_faults_and_deletions_change_no_result() {
    for seed in seeds(1) {
        let faults = Faults { crash: 30, refusal: 30, lost_answer: 30, lag: true };
        let mishaps =
            Mishaps { eviction: 15, storage: 12, deletion: 40, lost_message: 8, ..Mishaps::default() };
        let mut world = World::new(seed, mishaps, faults);
        world.finish();
        world.check_outcome();
    }
}

#[test]
fn deciding_again_asks_for_nothing() {
    for seed in seeds(4) {
        let mishaps =
            Mishaps { eviction: 30, storage: 30, deletion: 60, lost_message: 10, ..Mishaps::default() };
        let mut world = World::new(seed, mishaps, Faults { crash: 30, lag: true, ..Faults::default() });
        for _ in 0..200 {
            world.step();
            if happens(&mut world.random, 5) {
                world.check_fixed_point();
            }
        }
    }
}

#[test]
fn suspending_frees_every_pod_and_costs_nothing() {
    for seed in seeds(4) {
        let faults = Faults { crash: 20, refusal: 30, lost_answer: 30, lag: true };
        let mut world = World::new(seed, Mishaps { eviction: 40, ..Mishaps::default() }, faults);
        for _ in 0..3 {
            for _ in 0..world.random.next_u32() % 60 {
                world.step();
            }
            world.suspend(true);
            for _ in 0..40 {
                world.step();
            }
            if !world.is(COMPLETED) {
                assert_eq!(world.running_pods(), 0, "seed {seed}: pods while suspended");
            }
            world.suspend(false);
        }
        world.finish();
        world.check_outcome();
    }
}

impl World {
    pub(crate) fn suspend(&mut self, suspend: bool) {
        self.api.search.spec.suspend = suspend;
        *self.api.search.metadata.generation.as_mut().unwrap() += 1;
    }
}

#[test]
fn raising_the_budget_of_a_completed_search_continues_it() {
    let mut world = World::new(1, Mishaps::default(), Faults { lag: true, crash: 30, ..Faults::default() });
    world.finish();
    let before = world.api.search.status.clone().unwrap();
    world.api.search.spec.budget.max_trials += 12;
    *world.api.search.metadata.generation.as_mut().unwrap() += 1;
    for _ in 0..10 {
        world.step();
    }
    assert!(!world.is(COMPLETED), "{:#?}", world.api.search.status);
    world.finish();
    let after = world.api.search.status.as_ref().unwrap();
    assert!(after.generation > before.generation, "{:?} then {:?}", before.generation, after.generation);
    assert!(after.trials.succeeded > before.trials.succeeded);
    assert!(after.completion_time > before.completion_time);
}
