//! Trials: taking over their results, and starting those that the search asks for.

use std::collections::BTreeSet;

use mergesearch_crds::Strategy;
use mergesearch_crds::conditions::reason;
use mergesearch_search::contract::Message;
use mergesearch_search::{SearchConfig, StageScores, Trial, TrialId, TrialOutcome, TrialResult};

use super::Pass;
use super::jobs::Seen;
use super::merges::Candidate;
use super::times::{merge_time, phases, trial_time};
use super::verdict::{Fault, Verdict, verdict};
use super::watching::MOST_DISRUPTIONS;
use crate::identity::{JobKey, Role, Work};
use crate::observe::JobView;
use crate::pods::{recipe_hash, stage_requests};

/// Attempts at collecting that belong to one attempt at a trial: the numbers of a trial's attempt `n` begin at
/// `n x COLLECTS`.
pub(super) const COLLECTS: u32 = 1000;
/// Jobs of failed trials that are kept for their logs.
const KEPT_FAILURES: usize = 3;

/// What a trial that has no result needs.
enum Need {
    /// Nothing: its Job runs, or is on its way in or out.
    Time,
    /// A Job for this attempt.
    Attempt(u32),
    /// A Job that reads its report.
    Collect(u32),
    /// Its candidate to be merged by a Job of its own, if `alone` without others.
    Merge { alone: bool },
    /// Something else to change first.
    Change,
    /// Its result is there, from this attempt.
    Result(u32, TrialOutcome),
}

impl Pass<'_> {
    /// Takes over results, drops what is not needed any more, and starts what is.
    pub(super) fn run(&mut self) {
        let Some(config) = self.config().cloned() else { return };
        self.sweep();
        self.sweep_merges();
        let known: BTreeSet<TrialId> = self.known_trials();
        let mut waiting = BTreeSet::new();
        for id in known {
            let Some(trial) = self.memory.search().and_then(|search| search.open_trial(&id)) else {
                continue;
            };
            self.watch(&id);
            match self.need(&trial, &config) {
                Need::Result(attempt, outcome) => self.record(&trial, attempt, outcome),
                Need::Change => {
                    waiting.insert(id);
                }
                Need::Time | Need::Attempt(_) | Need::Merge { .. } | Need::Collect(_) => {}
            }
        }
        self.watch_time();
        self.watch_evaluator();
        self.drop_given_up();
        if self.may_start {
            self.start_trials(&config, &waiting);
            self.publish(&config);
            self.discard(&config);
        }
    }

    /// The trials that have or had a Job.
    fn known_trials(&self) -> BTreeSet<TrialId> {
        let keys = self.observed.jobs.keys().chain(self.memory.expected.keys()).chain(&self.memory.vanished);
        let of_trials = keys.filter(|key| matches!(key.role, Role::Merge | Role::Trial | Role::Collect));
        of_trials.filter_map(|key| key.trial.clone()).collect()
    }

    /// Asks the search what should run, and starts what does not.
    fn start_trials(&mut self, config: &SearchConfig, waiting: &BTreeSet<TrialId>) {
        let capacity = usize::try_from(self.resource().spec.execution.parallel_trials).unwrap_or(1);
        let strategy = self.resource().spec.execution.strategy;
        // With the barrier, a generation does not depend on how much of it is asked for at once.
        let asked = if strategy == Strategy::PerGeneration && config.barrier { usize::MAX } else { capacity };
        let Some(search) = self.memory.search_mut() else { return };
        // The order of asking must not depend on what may be started.
        let trials = search.trials(asked);
        let none_succeeded = search.progress().succeeded == 0;
        let mut begun = trials.iter().filter(|trial| self.has_begun(&trial.id)).count();
        let mut started = trials.iter().any(|trial| self.is_running(&trial.id));
        let mut wanted = Vec::new();
        for trial in trials {
            if waiting.contains(&trial.id) {
                continue;
            }
            let need = self.need(&trial, config);
            // The first trial runs alone: a mistake in the evaluator then costs one merge. And while one trial waits for
            // something to change, no other would fare better.
            let alone = none_succeeded && started;
            match need {
                Need::Attempt(0) if alone || !waiting.is_empty() || begun >= capacity => {}
                Need::Attempt(attempt) if !(alone && attempt > 0) => {
                    begun += usize::from(attempt == 0);
                    self.start(config, &Work::Trial(trial.clone()), attempt);
                    started = true;
                    self.start_clock();
                }
                Need::Merge { .. } if alone || !waiting.is_empty() => {}
                Need::Merge { alone } => {
                    wanted.push((trial.clone(), alone));
                    started = true;
                    self.start_clock();
                }
                // A candidate on its way counts as well.
                Need::Time => started = true,
                Need::Collect(attempt) => self.start(config, &Work::Collect(trial.clone()), attempt),
                _ => {}
            }
        }
        self.merge(config, wanted);
    }

    fn start_clock(&mut self) {
        let now = self.observed.now;
        self.status.start_time.get_or_insert_with(|| super::IntoTime::into_time(now));
    }

    /// Whether a Job for the trial was ever made, as far as is known.
    fn has_begun(&self, id: &TrialId) -> bool {
        [Role::Trial, Role::Collect].into_iter().any(|role| !self.attempts(role, Some(id)).is_empty())
    }

    fn is_running(&self, id: &TrialId) -> bool {
        let attempts = self.attempts(Role::Trial, Some(id));
        attempts.into_iter().any(|attempt| {
            let key = JobKey { role: Role::Trial, trial: Some(id.clone()), attempt };
            match self.seen(&key) {
                Some(Seen::There(job)) => job.is_active(),
                Some(Seen::Assumed) => true,
                _ => false,
            }
        })
    }

    /// What a trial needs next; before it is evaluated its candidate, where others merge it.
    fn need(&mut self, trial: &Trial, config: &SearchConfig) -> Need {
        match self.need_of_evaluation(trial, config) {
            Need::Attempt(attempt) if self.resource().spec.execution.strategy.hands_off() => {
                match self.candidate(&trial.id) {
                    Candidate::Ready => Need::Attempt(attempt),
                    Candidate::Coming => Need::Time,
                    Candidate::Wanted { alone } => Need::Merge { alone },
                    Candidate::Waiting => Need::Change,
                    Candidate::Impossible(message) => Need::Result(attempt, TrialOutcome::Failed(message)),
                }
            }
            need => need,
        }
    }

    fn need_of_evaluation(&mut self, trial: &Trial, config: &SearchConfig) -> Need {
        let id = &trial.id;
        if self.memory.held.contains_key(id) {
            self.trouble(
                reason::REPEATED_DISRUPTION,
                format!("trial {id} was disrupted {MOST_DISRUPTIONS} times; change where it runs (spec.evaluation.template, spec.execution.merger) to try again"),
            );
            return Need::Change;
        }
        let trials = self.attempts(Role::Trial, Some(id));
        let collects = self.attempts(Role::Collect, Some(id));
        let latest = trials.last().copied().max(collects.last().map(|attempt| attempt / COLLECTS));
        let Some(attempt) = latest else { return Need::Attempt(0) };
        let collect = collects.last().copied().filter(|collect| collect / COLLECTS == attempt);
        let (role, number) = collect.map_or((Role::Trial, attempt), |collect| (Role::Collect, collect));
        let key = JobKey { role, trial: Some(id.clone()), attempt: number };
        let next_collect = collect.map_or(attempt * COLLECTS, |collect| collect + 1);
        let job = match self.seen(&key) {
            Some(Seen::There(job)) => job,
            Some(Seen::Vanished) => return Need::Collect(next_collect),
            Some(_) => return Need::Time,
            None => return Need::Attempt(attempt),
        };
        let confirmed = self.observed.confirmed.contains(&key);
        let retry = |role| {
            if role == Role::Collect { Need::Collect(next_collect) } else { Need::Attempt(attempt + 1) }
        };
        match verdict(job, self.observed.pods_of(job), confirmed) {
            Verdict::Open => {
                self.look_into(job);
                Need::Time
            }
            Verdict::Answer(Message::Absent) => Need::Attempt(attempt + 1),
            Verdict::Answer(answer) => scores(answer, trial, config)
                .map_or(Need::Collect(next_collect), |outcome| Need::Result(attempt, outcome)),
            Verdict::Lost => Need::Collect(next_collect),
            Verdict::Failed(message) if role == Role::Trial => {
                Need::Result(attempt, TrialOutcome::Failed(message))
            }
            // A report that can't be read is no failure of the trial.
            Verdict::Failed(message) => self.again(job, &Fault::other(message), retry(role)),
            Verdict::Fault(fault) => self.again(job, &fault, retry(role)),
        }
    }

    /// What a trial needs after a fault: `next` when another attempt is due.
    fn again(&mut self, job: &JobView, fault: &Fault, next: Need) -> Need {
        let due = self.retry_is_due(job, job.ended().unwrap_or(job.created), fault);
        if due { next } else { Need::Change }
    }

    /// Gives the result of an attempt to the search.
    fn record(&mut self, trial: &Trial, attempt: u32, outcome: TrialOutcome) {
        let jobs = self
            .observed
            .jobs
            .values()
            .filter(|job| job.key.role == Role::Trial && job.key.trial.as_ref() == Some(&trial.id));
        let pods = jobs.flat_map(|job| self.observed.pods_of(job));
        let (mut held, mut durations) = (0.0, Vec::new());
        for pod in pods {
            held += pod.held_seconds(self.observed.now);
            durations.extend(phases(pod));
        }
        let merge = self.merge_of(&trial.id);
        // A Job that merges several candidates is counted with its first.
        let lead = merge.filter(|merge| merge.key.trial.as_ref() == Some(&trial.id));
        durations.extend(lead.and_then(|merge| merge_time(self.observed.pods_of(merge))));
        let key = JobKey { role: Role::Trial, trial: Some(trial.id.clone()), attempt };
        let job = self.observed.jobs.get(&key).or(merge);
        let time = job.and_then(|job| trial_time(job, self.observed.pods_of(job)));
        let gpus = self.resource().spec.evaluation.gpus() as f64;
        let failure = match &outcome {
            TrialOutcome::Failed(message) => Some(format!("trial {} failed: {message}", trial.id)),
            TrialOutcome::Succeeded(_) => None,
        };
        let result = TrialResult { id: trial.id.clone(), outcome, gpu_seconds: gpus * held, time };
        let Some(search) = self.memory.search_mut() else { return };
        // The result was checked against the trial's stages; anything else is not finite and fails the trial.
        let refused = search.record(result).err();
        if let Some(refused) = refused {
            let failed = TrialResult {
                id: trial.id.clone(),
                outcome: TrialOutcome::Failed(refused.to_string()),
                gpu_seconds: gpus * held,
                time,
            };
            let _ = search.record(failed);
        }
        self.durations.extend(durations);
        self.writes.events.extend(failure.map(|message| (reason::TRIAL_FAILED, message, true)));
    }

    /// Deletes Jobs whose results were in the journal before this pass, and superfluous failed attempts.
    fn sweep(&mut self) {
        let Some(search) = self.memory.search() else { return };
        let mut ended: Vec<&JobView> = Vec::new();
        let mut open: std::collections::BTreeMap<(Role, TrialId), Vec<JobKey>> =
            std::collections::BTreeMap::new();
        for job in self.observed.jobs.values() {
            let Some(trial) = &job.key.trial else { continue };
            match job.key.role {
                Role::Trial | Role::Collect if search.has_ended(trial) => ended.push(job),
                Role::Trial | Role::Collect => {
                    open.entry((job.key.role, trial.clone())).or_default().push(job.key.clone());
                }
                _ => {}
            }
        }
        let failed = |job: &JobView| {
            matches!(job.phase, crate::observe::JobPhase::Failed { .. }) && job.key.role == Role::Trial
        };
        let mut kept: Vec<&JobView> = ended.iter().copied().filter(|job| failed(job)).collect();
        kept.sort_by_key(|job| (job.ended(), job.name.clone()));
        let kept: BTreeSet<JobKey> =
            kept.iter().rev().take(KEPT_FAILURES).map(|job| job.key.clone()).collect();
        let superfluous: Vec<JobKey> =
            ended.iter().map(|job| job.key.clone()).filter(|key| !kept.contains(key)).collect();
        for key in superfluous {
            self.stop(&key);
        }
        for keys in open.into_values() {
            self.tidy(&keys);
        }
    }

    /// Stops trials that the search has given up: its time or its trials are over.
    fn drop_given_up(&mut self) {
        let Some(search) = self.memory.search() else { return };
        let given_up = |key: &&JobKey| {
            let trial = key.trial.as_ref();
            matches!(key.role, Role::Trial | Role::Collect)
                && trial.is_some_and(|id| search.open_trial(id).is_none() && !search.has_ended(id))
        };
        let keys: Vec<JobKey> = self.memory.expected.keys().filter(given_up).cloned().collect();
        for key in keys {
            self.stop(&key);
        }
    }
}

/// A trial's scores from its answer; `None` when the answer is another trial's or can't be read.
fn scores(answer: Message, trial: &Trial, config: &SearchConfig) -> Option<TrialOutcome> {
    let Message::Scores { trial: id, recipe_hash: hash, scores, .. } = answer else { return None };
    if id != trial.id || hash != recipe_hash(&trial.recipe) {
        return None;
    }
    let stages: Vec<StageScores> = scores.unpack(&stage_requests(config, &trial.stages)).ok()?;
    let measured = stages.iter().flat_map(|stage| &stage.scores);
    let unusable = measured.into_iter().find(|score| !score.value.is_finite());
    Some(match unusable {
        Some(score) => TrialOutcome::Failed(format!("the evaluator gave {} as a score", score.value)),
        None => TrialOutcome::Succeeded(stages),
    })
}
