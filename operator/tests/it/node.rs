//! Job controller, scheduler and kubelet in one: makes pods, runs their containers, and lets things happen to them.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::batch::v1::{Job, JobCondition, JobStatus};
use k8s_openapi::api::core::v1::{
    Container, ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStatus, Pod,
    PodCondition, PodStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use mergesearch_crds::labels;
use mergesearch_operator::observe::{JobView, PodView};
use mergesearch_search::TrialId;
use mergesearch_search::contract::{FaultClass, Message, PoolFacts, Request, exit_code};
use rand_chacha::ChaCha8Rng;
use rand_core::Rng as _;

use crate::api::Api;
use crate::evaluator::{can_be_merged, message, outcome};

/// What may happen to pods, each as one chance in so many at every step; 0 for never.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Mishaps {
    /// The pod is evicted.
    pub(crate) eviction: u32,
    /// The merge can't read its storage.
    pub(crate) storage: u32,
    /// Job and pod are deleted by somebody.
    pub(crate) deletion: u32,
    /// The pod and its message are gone when its Job is complete.
    pub(crate) lost_message: u32,
    /// A candidate vanishes from the handoff.
    pub(crate) lost_candidate: u32,
}

/// The nodes, and what the pods left in object storage.
#[derive(Default)]
pub(crate) struct Node {
    pub(crate) mishaps: Mishaps,
    reports: BTreeMap<TrialId, Message>,
    /// How often each trial was evaluated to the end.
    pub(crate) evaluated: BTreeMap<TrialId, u32>,
    published: BTreeSet<TrialId>,
    /// Folders of candidates in the handoff.
    pub(crate) candidates: BTreeSet<String>,
    /// The trials of each Job that merged for others to the end.
    pub(crate) merged: Vec<Vec<TrialId>>,
}

/// True once in `of` times.
pub(crate) fn happens(random: &mut ChaCha8Rng, of: u32) -> bool {
    of > 0 && random.next_u32().is_multiple_of(of)
}

impl Node {
    /// Moves some of the Jobs a little.
    pub(crate) fn step(&mut self, api: &mut Api, random: &mut ChaCha8Rng) {
        self.lose_candidate(random);
        let jobs: Vec<Job> = api.jobs.all().filter(|job| is_active(job)).cloned().collect();
        for job in jobs {
            if happens(random, 2) {
                self.move_job(api, &job, random);
            }
        }
        if happens(random, self.mishaps.deletion) {
            let names: Vec<String> = api.jobs.all().filter_map(|job| job.metadata.name.clone()).collect();
            if !names.is_empty() {
                api.delete_job(&names[random.next_u32() as usize % names.len()]);
            }
        }
    }

    /// Somebody deletes a candidate.
    fn lose_candidate(&mut self, random: &mut ChaCha8Rng) {
        if happens(random, self.mishaps.lost_candidate) {
            self.candidates.pop_first();
        }
    }

    fn move_job(&mut self, api: &mut Api, job: &Job, random: &mut ChaCha8Rng) {
        let uid = job.metadata.uid.clone().unwrap();
        let pods: Vec<Pod> = api.pods.all().filter(|pod| is_of(pod, &uid)).cloned().collect();
        let views: Vec<PodView> = pods.iter().filter_map(PodView::of).collect();
        if let Some((pod, _)) = pods.iter().zip(&views).find(|(_, view)| !view.has_ended()) {
            self.move_pod(api, pod, random);
            return;
        }
        if views.iter().any(|view| view.has_ended() && !view.failed) {
            finish(api, job, "Complete", "CompletionsReached");
            if happens(random, self.mishaps.lost_message) {
                for pod in &pods {
                    api.pods.remove(pod.metadata.name.as_ref().unwrap());
                }
            }
            return;
        }
        let failures = views.iter().filter(|view| view.failed && !view.disrupted).count();
        let limit = job.spec.as_ref().unwrap().backoff_limit.unwrap();
        let is_final = views.iter().any(|view| is_final(job, view));
        if is_final {
            finish(api, job, "Failed", "PodFailurePolicy");
        } else if failures > usize::try_from(limit).unwrap() {
            finish(api, job, "Failed", "BackoffLimitExceeded");
        } else {
            make_pod(api, job);
        }
    }

    fn move_pod(&mut self, api: &mut Api, pod: &Pod, random: &mut ChaCha8Rng) {
        let name = pod.metadata.name.clone().unwrap();
        let mut pod = pod.clone();
        let time = api.time();
        let running = pod.status.as_ref().is_some_and(|status| status.phase.as_deref() == Some("Running"));
        let status = pod.status.get_or_insert_default();
        if happens(random, self.mishaps.eviction) {
            if happens(random, 2) {
                // The Eviction API deletes.
                api.pods.remove(&name);
                return;
            }
            status.phase = Some("Failed".to_owned());
            status.reason = Some("Evicted".to_owned());
            status.conditions.get_or_insert_default().push(condition("DisruptionTarget", &time));
        } else if running {
            let template = pod.spec.clone().unwrap();
            let containers: Vec<Container> =
                template.init_containers.unwrap_or_default().into_iter().chain(template.containers).collect();
            self.run(&mut pod, &containers, &time, random);
        } else {
            status.phase = Some("Running".to_owned());
            status.conditions = Some(vec![condition("PodScheduled", &time)]);
            let running = ContainerState {
                running: Some(ContainerStateRunning { started_at: Some(time) }),
                ..ContainerState::default()
            };
            let template = pod.spec.as_ref().unwrap();
            let first = template.init_containers.iter().flatten().chain(&template.containers).next().unwrap();
            status.init_container_statuses = Some(vec![container(&first.name, running)]);
        }
        api.pods.put(&name, pod);
    }

    /// Runs a pod's containers to their end.
    fn run(
        &mut self,
        pod: &mut Pod,
        containers: &[Container],
        time: &k8s_openapi::apimachinery::pkg::apis::meta::v1::Time,
        random: &mut ChaCha8Rng,
    ) {
        let ended = |code: i32, message: Option<&Message>| ContainerState {
            terminated: Some(ContainerStateTerminated {
                exit_code: code,
                message: message.map(|message| serde_json::to_string(message).unwrap()),
                started_at: Some(time.clone()),
                finished_at: Some(time.clone()),
                ..ContainerStateTerminated::default()
            }),
            ..ContainerState::default()
        };
        let told = containers.iter().find_map(|container| {
            let variables = container.env.iter().flatten();
            let value = |name: &str| variables.clone().find(|variable| variable.name == name)?.value.clone();
            Request::from_environment(value).ok()
        });
        let storage = Message::Fault { class: FaultClass::Storage, message: "no answer".to_owned() };
        let mut states: Vec<(&str, ContainerState)> = Vec::new();
        let succeeded = match told.unwrap() {
            Request::Trial(_) if happens(random, self.mishaps.storage) => {
                states.push((&containers[0].name, ended(exit_code::TRANSIENT, Some(&storage))));
                false
            }
            Request::Trial(request)
                if request.candidate.as_ref().is_some_and(|folder| !self.candidates.contains(folder)) =>
            {
                let lost = Message::Fault { class: FaultClass::Candidate, message: "not there".to_owned() };
                states.push((&containers[0].name, ended(exit_code::CANDIDATE_LOST, Some(&lost))));
                false
            }
            Request::Trial(request) => {
                states.push((&containers[0].name, ended(0, None)));
                if let Ok(scores) = outcome(&request.trial, &request.recipe, &request.stages) {
                    *self.evaluated.entry(request.trial.clone()).or_default() += 1;
                    let answer = message(&request, &scores);
                    self.reports.insert(request.trial.clone(), answer.clone());
                    self.candidates.retain(|folder| Some(folder) != request.candidate.as_ref());
                    states.push((mergesearch_crds::EVALUATOR, ended(0, None)));
                    states.push((labels::REPORT_CONTAINER, ended(0, Some(&answer))));
                    true
                } else {
                    states.push((mergesearch_crds::EVALUATOR, ended(1, None)));
                    false
                }
            }
            Request::Merge(request) if request.candidates.iter().any(|one| !can_be_merged(&one.trial)) => {
                let bad = Message::Fault { class: FaultClass::Input, message: "no such merge".to_owned() };
                states.push((labels::REPORT_CONTAINER, ended(exit_code::BAD_INPUT, Some(&bad))));
                false
            }
            _ if happens(random, self.mishaps.storage) => {
                states.push((labels::REPORT_CONTAINER, ended(exit_code::TRANSIENT, Some(&storage))));
                false
            }
            request => {
                let answer = self.answer(request);
                states.push((labels::REPORT_CONTAINER, ended(0, Some(&answer))));
                true
            }
        };
        let told = pod.status.get_or_insert_default();
        told.phase = Some(if succeeded { "Succeeded" } else { "Failed" }.to_owned());
        let mut statuses: Vec<ContainerStatus> =
            states.into_iter().map(|(name, state)| container(name, state)).collect();
        told.container_statuses = Some(statuses.pop().into_iter().collect());
        told.init_container_statuses = Some(statuses);
    }

    fn answer(&mut self, request: Request) -> Message {
        match request {
            Request::Preflight(request) => Message::Pool(PoolFacts {
                layers: 4,
                candidate_bytes: 1 << 20,
                fingerprints: request
                    .checkpoints
                    .iter()
                    .map(|checkpoint| checkpoint.name.to_string())
                    .collect(),
                warnings: Vec::new(),
            }),
            Request::Collect(request) => self.reports.get(&request.trial).cloned().unwrap_or(Message::Absent),
            Request::Publish(request) => {
                self.published.insert(request.trial);
                Message::Published { uri: request.output }
            }
            Request::Merge(request) => {
                self.merged.push(request.candidates.iter().map(|one| one.trial.clone()).collect());
                self.candidates.extend(request.candidates.into_iter().map(|one| one.output));
                Message::Done
            }
            Request::Cleanup(request) => {
                let deleted = |folder: &String| request.folders.iter().any(|own| folder.starts_with(own));
                self.candidates.retain(|folder| !deleted(folder));
                Message::Done
            }
            Request::Trial(_) => unreachable!("trials have no single answer"),
        }
    }
}

fn is_active(job: &Job) -> bool {
    JobView::of(job).is_some_and(|job| job.ended().is_none())
}

/// Whether the Job's policy says that a pod which ended like this is not tried again.
fn is_final(job: &Job, pod: &PodView) -> bool {
    let rules =
        job.spec.as_ref().and_then(|spec| spec.pod_failure_policy.as_ref()).map(|policy| &policy.rules);
    rules.into_iter().flatten().filter_map(|rule| rule.on_exit_codes.as_ref()).any(|wrong| {
        let container = pod.container(wrong.container_name.as_deref().unwrap());
        let ended = container.and_then(|container| container.termination());
        ended.is_some_and(|(code, ..)| wrong.values.contains(&code))
    })
}

fn is_of(pod: &Pod, job: &str) -> bool {
    pod.metadata.owner_references.iter().flatten().any(|owner| owner.uid == job)
}

fn make_pod(api: &mut Api, job: &Job) {
    let template = job.spec.as_ref().unwrap().template.clone();
    let uid = api.fresh();
    let name = format!("{}-{uid}", job.metadata.name.as_ref().unwrap());
    let owner = OwnerReference {
        kind: "Job".to_owned(),
        uid: job.metadata.uid.clone().unwrap(),
        controller: Some(true),
        ..OwnerReference::default()
    };
    let metadata = ObjectMeta {
        name: Some(name.clone()),
        uid: Some(uid),
        creation_timestamp: Some(api.time()),
        owner_references: Some(vec![owner]),
        labels: template.metadata.unwrap_or_default().labels,
        ..ObjectMeta::default()
    };
    let status = PodStatus { phase: Some("Pending".to_owned()), ..PodStatus::default() };
    api.pods.put(&name, Pod { metadata, spec: template.spec, status: Some(status) });
}

fn finish(api: &mut Api, job: &Job, type_: &str, reason: &str) {
    let mut job = job.clone();
    let condition = JobCondition {
        type_: type_.to_owned(),
        status: "True".to_owned(),
        reason: Some(reason.to_owned()),
        last_transition_time: Some(api.time()),
        ..JobCondition::default()
    };
    job.metadata.resource_version = Some(api.fresh());
    job.status = Some(JobStatus { conditions: Some(vec![condition]), ..JobStatus::default() });
    api.jobs.put(&job.metadata.name.clone().unwrap(), job);
}

fn condition(type_: &str, time: &k8s_openapi::apimachinery::pkg::apis::meta::v1::Time) -> PodCondition {
    PodCondition {
        type_: type_.to_owned(),
        status: "True".to_owned(),
        last_transition_time: Some(time.clone()),
        ..PodCondition::default()
    }
}

fn container(name: &str, state: ContainerState) -> ContainerStatus {
    ContainerStatus { name: name.to_owned(), state: Some(state), ..ContainerStatus::default() }
}
