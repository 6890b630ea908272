//! Asking what each checkpoint contributes: of a search that has completed, and taking the question back.

use mergesearch_crds::conditions::{ACCEPTED, COMPLETED, PROGRESSING, reason};
use mergesearch_operator::identity::Role;
use mergesearch_operator::observe::JobView;
use mergesearch_search::{Search, TrialId};

use crate::evaluator::run;
use crate::node::Mishaps;
use crate::operator::Faults;
use crate::simulation::World;

/// Passes after which a change of the spec has been seen.
const MOST_STEPS: usize = 100;

fn completed(seed: u64, mishaps: Mishaps, faults: Faults) -> World {
    let mut world = World::new(seed, mishaps, faults);
    world.finish();
    world
}

impl World {
    fn ask(&mut self, of: Option<&str>) {
        self.api.search.spec.search.contribution = of.map(str::to_owned);
        *self.api.search.metadata.generation.as_mut().unwrap() += 1;
    }

    fn step_until(&mut self, holds: impl Fn(&Self) -> bool) {
        for _ in 0..MOST_STEPS {
            if holds(self) {
                return;
            }
            self.step();
        }
        panic!("{:#?}", self.api.search.status);
    }

    fn message(&self, condition: &str) -> &str {
        let conditions = &self.api.search.status.as_ref().unwrap().conditions;
        &conditions.iter().find(|own| own.type_ == condition).unwrap().message
    }

    fn recorded(&self) -> Search {
        Search::recorded(self.api.records()).unwrap()
    }

    /// Jobs that leave a checkpoint out and have not ended.
    fn open_jobs(&self) -> usize {
        let jobs = self.api.jobs.all().filter_map(JobView::of);
        jobs.filter(|job| job.key.role == Role::Trial && job.ended().is_none())
            .filter(|job| matches!(job.key.trial, Some(TrialId::Without { .. })))
            .count()
    }
}

#[test]
fn a_completed_search_goes_on_when_it_is_asked_whatever_happens() {
    for seed in 0..40 {
        let mishaps =
            Mishaps { eviction: 15, storage: 12, deletion: 40, lost_message: 8, ..Mishaps::default() };
        let faults = Faults { crash: 30, refusal: 30, lost_answer: 30, lag: true };
        let mut world = completed(seed, mishaps, faults);
        let before = world.api.search.status.clone().unwrap();
        world.ask(Some("best"));
        world.step_until(|world| !world.is(COMPLETED));
        world.finish();
        let told = world.recorded().contributions().unwrap();
        let expected = run(&world.api.search).contributions().unwrap();
        assert_eq!(told, expected, "seed {seed}");
        assert!(told.checkpoints.iter().all(|one| one.difference.is_some() || one.failure.is_some()));
        let after = world.api.search.status.as_ref().unwrap();
        assert_eq!((&after.front, &after.published), (&before.front, &before.published), "seed {seed}");
        assert!(after.trials.succeeded > before.trials.succeeded);
        assert_eq!(world.running_pods(), 0, "seed {seed}: pods after the end");
    }
}

#[test]
fn while_checkpoints_are_left_out_the_search_says_so_and_stops_when_nobody_asks_any_more() {
    let mut world = completed(1, Mishaps::default(), Faults::default());
    world.ask(Some("best"));
    world.step_until(|world| world.open_jobs() > 1);
    let conditions = &world.api.search.status.as_ref().unwrap().conditions;
    let progressing = conditions.iter().find(|own| own.type_ == PROGRESSING).unwrap();
    assert_eq!(progressing.reason, reason::CONTRIBUTION);
    world.ask(None);
    world.step_until(|world| world.is(COMPLETED) && world.open_jobs() == 0);
    assert_eq!(world.recorded().contributions(), None);
}

#[test]
fn a_question_about_a_trial_that_the_search_has_not_is_told_in_a_condition() {
    let mut world = completed(1, Mishaps::default(), Faults::default());
    world.ask(Some("g0999-c000"));
    let said = "search.contribution: this search has no trial g0999-c000; name one of its merges, or best";
    world.step_until(|world| world.message(ACCEPTED).contains(said));
    assert!(world.is(ACCEPTED) && world.is(COMPLETED));
    world.ask(Some("baseline-none"));
    world.step_until(|world| !world.is(ACCEPTED));
    let said = "spec.search.contribution: no merge of spec.baselines has the name \"none\"";
    assert_eq!(world.message(ACCEPTED), said);
}
