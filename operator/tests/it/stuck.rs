//! Whatever keeps a search from going on shows as one reason and one Event, and clears when it is mended.

use k8s_openapi::api::batch::v1::{Job, JobCondition, JobStatus};
use k8s_openapi::api::core::v1::{
    ContainerState, ContainerStateTerminated, ContainerStateWaiting, ContainerStatus, Pod, PodCondition,
    PodStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use k8s_openapi::jiff::SignedDuration;
use mergesearch_crds::conditions::{FAILED, PROGRESSING, reason};
use mergesearch_crds::{DeletionPolicy, labels};
use mergesearch_operator::identity::Role;
use mergesearch_operator::observe::{EventView, JobView};
use mergesearch_search::contract::{FaultClass, Message};

use crate::node::Mishaps;
use crate::operator::Faults;
use crate::simulation::World;

/// A search whose first Job of a role has just been made and has no pod.
fn world(role: Role) -> (World, String) {
    let mut world = World::new(1, Mishaps::default(), Faults::default());
    for _ in 0..100 {
        world.operator.pass(&mut world.api, &mut world.random);
        let jobs: Vec<JobView> = world.api.jobs.all().filter_map(JobView::of).collect();
        if let Some(job) = jobs.iter().find(|job| job.key.role == role) {
            return (world, job.name.clone());
        }
        world.step();
    }
    panic!("no Job for {role}");
}

impl World {
    fn job(&self, name: &str) -> Job {
        self.api.jobs.get(name).unwrap().clone()
    }

    /// Gives a Job a pod in some state.
    fn pod(&mut self, job: &str, status: PodStatus) -> String {
        let job = self.job(job);
        let uid = self.api.fresh();
        let name = format!("{}-{uid}", job.metadata.name.as_ref().unwrap());
        let owner = OwnerReference {
            kind: "Job".to_owned(),
            uid: job.metadata.uid.clone().unwrap(),
            controller: Some(true),
            ..OwnerReference::default()
        };
        let template = job.spec.unwrap().template;
        let metadata = ObjectMeta {
            name: Some(name.clone()),
            uid: Some(uid.clone()),
            creation_timestamp: Some(self.api.time()),
            owner_references: Some(vec![owner]),
            labels: template.metadata.unwrap().labels,
            ..ObjectMeta::default()
        };
        self.api.pods.put(&name, Pod { metadata, spec: template.spec, status: Some(status) });
        name
    }

    fn end(&mut self, name: &str, type_: &str) {
        let mut job = self.job(name);
        let condition = JobCondition {
            type_: type_.to_owned(),
            status: "True".to_owned(),
            last_transition_time: Some(self.api.time()),
            ..JobCondition::default()
        };
        job.metadata.resource_version = Some(self.api.fresh());
        job.status = Some(JobStatus { conditions: Some(vec![condition]), ..JobStatus::default() });
        self.api.jobs.put(name, job);
    }

    /// Passes without anything else happening.
    fn wait(&mut self, seconds: i64) {
        for _ in 0..seconds / 5 {
            self.api.now += SignedDuration::from_secs(5);
            self.operator.pass(&mut self.api, &mut self.random);
        }
    }

    fn progressing(&self) -> (String, String) {
        let conditions = &self.api.search.status.as_ref().unwrap().conditions;
        let own = conditions.iter().find(|condition| condition.type_ == PROGRESSING).unwrap();
        (own.reason.clone(), own.message.clone())
    }

    /// Within a minute the reason is there with a message, and one Event however long it lasts.
    fn assert_stuck(&mut self, reason: &str, message: &str) {
        self.wait(45);
        let found = self.progressing();
        assert_eq!(found.0, reason, "{found:?}");
        assert!(found.1.contains(message), "{found:?}");
        self.wait(30);
        let events: Vec<_> = self.api.events.iter().filter(|(own, _)| *own == reason).collect();
        assert_eq!(events.len(), 1, "{:?}", self.api.events);
        assert!(events[0].1.contains(message), "{events:?}");
    }

    /// The search ends as if nothing had been.
    fn assert_mended(mut self) {
        self.finish();
        self.check_outcome();
    }
}

fn waiting(container: &str, why: &str, message: &str) -> ContainerStatus {
    let waiting = ContainerStateWaiting { reason: Some(why.to_owned()), message: Some(message.to_owned()) };
    ContainerStatus {
        name: container.to_owned(),
        state: Some(ContainerState { waiting: Some(waiting), ..ContainerState::default() }),
        ..ContainerStatus::default()
    }
}

fn terminated(container: &str, code: i32, message: &Message) -> ContainerStatus {
    let terminated = ContainerStateTerminated {
        exit_code: code,
        message: Some(serde_json::to_string(message).unwrap()),
        ..ContainerStateTerminated::default()
    };
    ContainerStatus {
        name: container.to_owned(),
        state: Some(ContainerState { terminated: Some(terminated), ..ContainerState::default() }),
        ..ContainerStatus::default()
    }
}

fn condition(world: &World, type_: &str, status: &str, reason: &str, message: &str) -> PodCondition {
    PodCondition {
        type_: type_.to_owned(),
        status: status.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message.to_owned()),
        last_transition_time: Some(world.api.time()),
        ..PodCondition::default()
    }
}

fn pending(conditions: Vec<PodCondition>, containers: Vec<ContainerStatus>) -> PodStatus {
    PodStatus {
        phase: Some("Pending".to_owned()),
        conditions: Some(conditions),
        init_container_statuses: Some(containers),
        ..PodStatus::default()
    }
}

#[test]
fn no_node_takes_the_pod() {
    for role in [Role::Preflight, Role::Trial] {
        let (mut world, job) = world(role);
        let scheduled = condition(
            &world,
            "PodScheduled",
            "False",
            "Unschedulable",
            "0/1 nodes are available: 1 Insufficient nvidia.com/gpu.",
        );
        let pod = world.pod(&job, pending(vec![scheduled], Vec::new()));
        world.assert_stuck(reason::QUEUED, "Insufficient nvidia.com/gpu");
        world.api.pods.remove(&pod);
        world.assert_mended();
    }
}

#[test]
fn an_image_or_a_secret_is_missing() {
    for (why, message, expected) in [
        ("ImagePullBackOff", "Back-off pulling image", reason::IMAGE_PULL_FAILED),
        ("ErrImageNeverPull", "Container image is not present", reason::IMAGE_PULL_FAILED),
        ("CreateContainerConfigError", "secret \"s3\" not found", reason::CONFIGURATION_MISSING),
    ] {
        for role in [Role::Preflight, Role::Trial] {
            let (mut world, job) = world(role);
            let scheduled = condition(&world, "PodScheduled", "True", "", "");
            let container = waiting(labels::MERGE_CONTAINER, why, message);
            let pod = world.pod(&job, pending(vec![scheduled], vec![container]));
            world.assert_stuck(expected, message);
            world.api.pods.remove(&pod);
            world.assert_mended();
        }
    }
}

#[test]
fn a_volume_can_not_be_mounted() {
    let (mut world, job) = world(Role::Trial);
    let scheduled = condition(&world, "PodScheduled", "True", "", "");
    let container = waiting(labels::MERGE_CONTAINER, "PodInitializing", "");
    let pod = world.pod(&job, pending(vec![scheduled], vec![container]));
    let uid = world.api.pods.get(&pod).unwrap().metadata.uid.clone().unwrap();
    let mount = EventView {
        reason: "FailedMount".to_owned(),
        message: "configmap \"ca\" not found".to_owned(),
        last: world.api.now,
    };
    world.api.about.insert(uid, vec![mount]);
    world.assert_stuck(reason::CONFIGURATION_MISSING, "configmap \"ca\" not found");
    world.api.pods.remove(&pod);
    world.assert_mended();
}

#[test]
fn a_quota_or_pod_security_refuses_pods() {
    for message in ["exceeded quota: gpus", "violates PodSecurity \"restricted:latest\""] {
        let (mut world, job) = world(Role::Trial);
        let uid = world.job(&job).metadata.uid.unwrap();
        let refused =
            EventView { reason: "FailedCreate".to_owned(), message: message.to_owned(), last: world.api.now };
        world.api.about.insert(uid, vec![refused]);
        world.assert_stuck(reason::PODS_REFUSED, message);
        world.assert_mended();
    }
}

#[test]
fn the_api_server_refuses_jobs() {
    let (mut world, _) = world(Role::Preflight);
    world.api.refuses_jobs = Some("exceeded quota: count/jobs.batch".to_owned());
    for _ in 0..10 {
        world.step();
    }
    world.assert_stuck(reason::PODS_REFUSED, "count/jobs.batch");
    world.api.refuses_jobs = None;
    world.assert_mended();
}

#[test]
fn a_queue_holds_the_job_back() {
    let (mut world, name) = world(Role::Trial);
    let mut job = world.job(&name);
    job.spec.as_mut().unwrap().suspend = Some(true);
    world.api.jobs.put(&name, job.clone());
    world.assert_stuck(reason::QUEUED, "waits for admission");
    job.spec.as_mut().unwrap().suspend = Some(false);
    world.api.jobs.put(&name, job);
    world.assert_mended();
}

#[test]
fn storage_does_not_answer() {
    let fault = Message::Fault { class: FaultClass::Storage, message: "s3://models: no answer".to_owned() };
    for (role, container) in
        [(Role::Preflight, labels::REPORT_CONTAINER), (Role::Trial, labels::MERGE_CONTAINER)]
    {
        let (mut world, job) = world(role);
        let status = PodStatus {
            phase: Some("Failed".to_owned()),
            container_statuses: Some(vec![terminated(container, 75, &fault)]),
            ..PodStatus::default()
        };
        world.pod(&job, status);
        world.end(&job, "Failed");
        world.assert_stuck(reason::STORAGE_UNAVAILABLE, "no answer");
        world.assert_mended();
    }
}

#[test]
fn the_scratch_volume_is_too_small_until_the_spec_changes() {
    let (mut world, job) = world(Role::Trial);
    let status = PodStatus {
        phase: Some("Failed".to_owned()),
        reason: Some("Evicted".to_owned()),
        message: Some("Usage of EmptyDir volume \"mergesearch-model\" exceeds the limit \"1Mi\".".to_owned()),
        ..PodStatus::default()
    };
    world.pod(&job, status);
    world.end(&job, "Failed");
    world.assert_stuck(reason::SCRATCH_TOO_SMALL, "exceeds the limit");
    world.wait(3600);
    assert_eq!(world.progressing().0, reason::SCRATCH_TOO_SMALL);
    *world.api.search.metadata.generation.as_mut().unwrap() += 1;
    world.assert_mended();
}

#[test]
fn an_evaluator_without_results_fails_its_trial_and_says_so() {
    let (mut world, job) = world(Role::Trial);
    let fault = Message::Fault {
        class: FaultClass::Results,
        message: "the evaluator succeeded, but wrote no results".to_owned(),
    };
    let status = PodStatus {
        phase: Some("Failed".to_owned()),
        container_statuses: Some(vec![terminated(labels::REPORT_CONTAINER, 65, &fault)]),
        ..PodStatus::default()
    };
    world.pod(&job, status);
    world.end(&job, "Failed");
    world.assert_stuck(reason::EVALUATOR_FAILED, "wrote no results");
    // The failed trial stays failed; the others go on.
    world.finish();
    assert_eq!(world.api.search.status.as_ref().unwrap().trials.failed, 1 + failures_of_the_undisturbed());
    assert!(world.api.jobs.get(&job).is_some(), "the failed Job stays for its logs");
}

fn failures_of_the_undisturbed() -> i32 {
    let (mut world, _) = world(Role::Preflight);
    world.finish();
    world.api.search.status.unwrap().trials.failed
}

#[test]
fn a_node_that_is_lost_gives_its_pod_up() {
    let (mut world, job) = world(Role::Trial);
    let scheduled = condition(&world, "PodScheduled", "True", "", "");
    let pod = world.pod(&job, pending(vec![scheduled], Vec::new()));
    let mut lost = world.api.pods.get(&pod).unwrap().clone();
    lost.metadata.deletion_timestamp = Some(world.api.time());
    world.api.pods.put(&pod, lost);
    world.assert_stuck(reason::NODE_LOST, "does not answer");
    world.wait(900);
    assert!(world.api.pods.get(&pod).is_none(), "deleted by force after nodeLostSeconds");
    world.assert_mended();
}

#[test]
fn artifacts_are_deleted_with_the_search_or_named_when_they_stay() {
    for refused in [false, true] {
        let mut world = World::new(1, Mishaps::default(), Faults::default());
        world.api.search.spec.storage.deletion_policy = DeletionPolicy::Delete;
        for _ in 0..60 {
            world.step();
        }
        assert_eq!(world.api.search.metadata.finalizers.as_deref().unwrap(), [labels::FINALIZER]);
        world.api.search.metadata.deletion_timestamp = Some(world.api.time());
        world.api.refuses_jobs = refused.then(|| "the namespace is being terminated".to_owned());
        for _ in 0..40 {
            world.step();
        }
        assert_eq!(world.api.search.metadata.finalizers.as_deref(), Some(&[][..]));
        assert_eq!(world.running_pods(), 0);
        let cleaned = world.api.jobs.all().filter_map(JobView::of).any(|job| job.key.role == Role::Cleanup);
        let left = world.api.events.iter().any(|(own, _)| *own == reason::ARTIFACTS_LEFT);
        assert_eq!((cleaned, left), (!refused, refused), "{:?}", world.api.events);
    }
}

#[test]
fn a_missing_chunk_of_the_journal_fails_the_search_until_it_is_restored() {
    let (mut world, _) = world(Role::Preflight);
    for _ in 0..60 {
        world.step();
    }
    let kept = std::mem::take(&mut world.api.journal);
    assert!(!kept.is_empty());
    // The next write finds it missing.
    for _ in 0..40 {
        world.step();
    }
    assert!(world.is(FAILED), "{:#?}", world.api.search.status);
    assert!(world.api.journal.is_empty(), "never a fresh start");
    world.api.journal = kept;
    world.assert_mended();
}
