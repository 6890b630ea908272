//! Candidates that some pods merge and others evaluate: one Job for each, or for all that are wanted at once.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use mergesearch_crds::Strategy;
use mergesearch_crds::conditions::reason;
use mergesearch_search::contract::Message;
use mergesearch_search::{SearchConfig, Trial, TrialId};

use super::Pass;
use super::jobs::Seen;
use super::verdict::{Fault, Verdict, verdict};
use crate::identity::{JobKey, Role, Work};
use crate::observe::{JobPhase, JobView, PodView};

/// Bytes of the recipes in one Job, at most: the API server takes objects of 1.5 MiB.
const MOST_RECIPE_BYTES: usize = 256 << 10;
/// Merges of one pass, at most: each needs memory of its own.
const MOST_TOGETHER: usize = 64;

/// Where a trial's candidate is.
pub(super) enum Candidate {
    /// Handed over.
    Ready,
    /// A Job merges it, or did and is not in the cache yet.
    Coming,
    /// Nowhere. `alone`: it was merged with others, and one of them can't be merged.
    Wanted { alone: bool },
    /// Nowhere, until something has changed.
    Waiting,
    /// Its recipe can't be merged; one sentence.
    Impossible(String),
}

/// A trial whose candidate is to be merged, and whether without others.
pub(super) type Wanted = (Trial, bool);

impl<'a> Pass<'a> {
    /// Where a trial's candidate is. The newest Job that merges it tells.
    pub(super) fn candidate(&mut self, id: &TrialId) -> Candidate {
        let mut known = self.memory.expected.keys().filter(|key| key.role == Role::Merge);
        // Which trials a Job merges is known only when it is seen.
        if known.any(|key| matches!(self.seen(key), Some(Seen::Assumed))) {
            return Candidate::Coming;
        }
        let Some(job) = self.merge_of(id) else { return Candidate::Wanted { alone: false } };
        match self.seen(&job.key) {
            Some(Seen::There(_)) => {}
            Some(Seen::Going) => return Candidate::Coming,
            _ => return Candidate::Wanted { alone: false },
        }
        match &job.phase {
            JobPhase::Active => {
                self.look_into(job);
                Candidate::Coming
            }
            JobPhase::Complete { .. } if self.lost_since(id).is_some_and(|lost| job.created < lost) => {
                Candidate::Wanted { alone: false }
            }
            JobPhase::Complete { .. } => Candidate::Ready,
            JobPhase::Failed { .. } => self.after_failure(job),
        }
    }

    fn after_failure(&mut self, job: &JobView) -> Candidate {
        let confirmed = self.observed.confirmed.contains(&job.key);
        let fault = match verdict(job, self.observed.pods_of(job), confirmed) {
            Verdict::Open => return Candidate::Coming,
            Verdict::Failed(_) if job.merges.len() > 1 => return Candidate::Wanted { alone: true },
            Verdict::Failed(message) => return Candidate::Impossible(message),
            Verdict::Answer(_) | Verdict::Lost => Fault::other("it ended without saying why"),
            Verdict::Fault(fault) => fault,
        };
        if self.retry_is_due(job, job.ended().unwrap_or(job.created), &fault) {
            Candidate::Wanted { alone: false }
        } else {
            Candidate::Waiting
        }
    }

    /// When an evaluation last found the handoff without the trial's candidate.
    fn lost_since(&self, id: &TrialId) -> Option<Timestamp> {
        let attempts = self.observed.jobs.values().filter(|job| {
            job.key.role == Role::Trial && job.key.trial.as_ref() == Some(id) && job.ended().is_some()
        });
        let lost = attempts.filter(|job| {
            let fault = verdict(job, self.observed.pods_of(job), false);
            matches!(fault, Verdict::Fault(Fault { reason: reason::CANDIDATE_LOST, .. }))
        });
        lost.filter_map(JobView::ended).max()
    }

    /// Starts Jobs for candidates, in the order of their trials.
    pub(super) fn merge(&mut self, config: &SearchConfig, wanted: Vec<Wanted>) {
        let together = match self.resource().spec.execution.strategy {
            Strategy::PerGeneration => MOST_TOGETHER,
            Strategy::PerTrial | Strategy::MergeThenEvaluate => 1,
        };
        for trials in batches(wanted, together) {
            let Some(first) = trials.first() else { continue };
            let attempts = self.attempts(Role::Merge, Some(&first.id));
            let attempt = attempts.last().map_or(0, |attempt| attempt + 1);
            self.start(config, &Work::Merge(trials), attempt);
        }
    }

    /// Deletes Jobs whose candidates nobody waits for any more, and superfluous failed attempts.
    pub(super) fn sweep_merges(&mut self) {
        let Some(search) = self.memory.search() else { return };
        let mut over = Vec::new();
        let mut open: BTreeMap<Option<TrialId>, Vec<JobKey>> = BTreeMap::new();
        for job in self.observed.jobs.values().filter(|job| job.key.role == Role::Merge) {
            // A trial that is not open was given up or has ended.
            if job.merges.iter().all(|id| search.open_trial(id).is_none()) {
                over.push(job.key.clone());
            } else {
                open.entry(job.key.trial.clone()).or_default().push(job.key.clone());
            }
        }
        for key in over {
            self.stop(&key);
        }
        for keys in open.into_values() {
            self.tidy(&keys);
        }
    }

    /// The newest Job that merges a trial's candidate, did, or failed to.
    pub(super) fn merge_of(&self, id: &TrialId) -> Option<&'a JobView> {
        let merges = self.observed.jobs.values().filter(|job| job.merges.contains(id));
        merges.max_by_key(|job| (job.created, job.key.attempt))
    }

    /// Deletes, when the search has ended, what is left in the handoff. The Job stays: it says that nothing is left.
    pub(super) fn discard(&mut self, config: &SearchConfig) {
        if self.resource().spec.execution.handoff.is_none() {
            return;
        }
        let attempts = self.attempts(Role::Discard, None);
        let key = |attempt| JobKey { role: Role::Discard, trial: None, attempt };
        if self.memory.search().is_none_or(|search| search.outcome().is_none()) {
            // The search goes on, and will leave something again.
            for attempt in attempts {
                self.stop(&key(attempt));
            }
            return;
        }
        let keys: Vec<JobKey> = attempts.iter().map(|&attempt| key(attempt)).collect();
        self.tidy(&keys);
        let Some(&latest) = attempts.last() else {
            let works = |pod: &PodView| matches!(pod.role, Role::Merge | Role::Trial) && !pod.has_ended();
            if self.observed.pods.values().flatten().any(works) {
                self.wake_after(Duration::from_secs(5));
            } else {
                self.start(config, &Work::Discard, 0);
            }
            return;
        };
        let job = match self.seen(&key(latest)) {
            Some(Seen::There(job)) => job,
            Some(Seen::Vanished) => return self.start(config, &Work::Discard, latest + 1),
            Some(Seen::Assumed | Seen::Going) => return,
            None => return self.start(config, &Work::Discard, latest),
        };
        let confirmed = self.observed.confirmed.contains(&job.key);
        let fault = match verdict(job, self.observed.pods_of(job), confirmed) {
            // Whatever it answered is lost with its pod, and it succeeded.
            Verdict::Answer(Message::Done) | Verdict::Lost => return,
            Verdict::Open => return self.look_into(job),
            Verdict::Answer(_) => Fault::other("it answered something else"),
            Verdict::Failed(message) => Fault::other(message),
            Verdict::Fault(fault) => fault,
        };
        if self.retry_is_due(job, job.ended().unwrap_or(job.created), &fault) {
            self.start(config, &Work::Discard, latest + 1);
        }
    }
}

/// Divides trials into those that are merged together, at most so many.
fn batches(wanted: Vec<Wanted>, most: usize) -> Vec<Vec<Trial>> {
    let mut batches: Vec<(Vec<Trial>, usize, bool)> = Vec::new();
    for (trial, alone) in wanted {
        let bytes = trial.recipe.canonical().len();
        let fits = |(batch, size, closed): &(Vec<Trial>, usize, bool)| {
            let first = batch.first().map(|first| &first.recipe);
            !closed
                && batch.len() < most
                && size + bytes <= MOST_RECIPE_BYTES
                && first.is_none_or(|first| first.obstacle_to_one_pass(&trial.recipe).is_none())
        };
        match batches.iter_mut().find(|batch| !alone && fits(batch)) {
            Some((batch, size, _)) => {
                batch.push(trial);
                *size += bytes;
            }
            None => batches.push((vec![trial], bytes, alone)),
        }
    }
    batches.into_iter().map(|(batch, ..)| batch).collect()
}

#[cfg(test)]
mod tests {
    use mergesearch_search::Stage;
    use serde_json::json;

    use super::*;

    fn trial(candidate: usize, pool: &str, groups: usize) -> Trial {
        let weights = [0.123_456_789_012_345; 16];
        let group =
            |index| json!({"select": {"layers": {"start": index, "end": index + 1}}, "weights": weights});
        let checkpoint = |index| json!({"name": format!("c{index}"), "uri": format!("{pool}/{index}")});
        let recipe = json!({
            "method": "linear",
            "checkpoints": (0..16).map(checkpoint).collect::<Vec<_>>(),
            "groups": (0..groups).map(group).collect::<Vec<_>>(),
        });
        Trial {
            id: format!("g0001-c{candidate:03}").parse().unwrap(),
            recipe: serde_json::from_value(recipe).unwrap(),
            stages: vec![Stage::Search],
        }
    }

    fn places(wanted: Vec<Wanted>, most: usize) -> Vec<Vec<String>> {
        let names =
            |batch: Vec<Trial>| batch.iter().map(|trial| trial.id.to_string()[7..].to_owned()).collect();
        batches(wanted, most).into_iter().map(names).collect()
    }

    #[test]
    fn only_what_one_pass_can_merge_is_merged_together() {
        let wanted = |trials: &[(&str, bool)]| {
            let trial = |(index, (pool, alone)): (usize, &(&str, bool))| (trial(index, pool, 1), *alone);
            trials.iter().enumerate().map(trial).collect::<Vec<_>>()
        };
        let all =
            [("s3://a", false), ("s3://b", false), ("s3://a", true), ("s3://a", false), ("s3://b", false)];
        assert_eq!(places(wanted(&all), 64), [vec!["000", "003"], vec!["001", "004"], vec!["002"]]);
        assert_eq!(places(wanted(&all), 1).len(), 5);
        assert_eq!(places(wanted(&[("s3://a", false); 130]), 64).len(), 3);
        assert!(places(Vec::new(), 64).is_empty());
    }

    #[test]
    fn the_recipes_of_a_job_fit_into_the_api_server() {
        let wanted: Vec<Wanted> = (0..12).map(|index| (trial(index, "s3://a", 120), false)).collect();
        let alone = wanted[0].0.recipe.canonical().len();
        let divided = batches(wanted, 64);
        assert!(divided.len() > 1 && divided.iter().all(|batch| batch.len() * alone <= MOST_RECIPE_BYTES));
        // One that is larger by itself goes alone.
        let large: Vec<Wanted> = (0..2).map(|index| (trial(index, "s3://a", 1200), false)).collect();
        assert_eq!(batches(large, 64).len(), 2);
    }
}
