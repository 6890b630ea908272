//! Publishing: the merges worth keeping, one Job each, when the search has completed.

use mergesearch_crds::PublishedTrial;
use mergesearch_crds::conditions::reason;
use mergesearch_search::contract::Message;
use mergesearch_search::{Outcome, SearchConfig, TrialId};

use super::Pass;
use super::jobs::Seen;
use super::verdict::{Fault, Verdict, verdict};
use crate::identity::{JobKey, Role, Work};
use crate::observe::JobView;
use crate::pods::published_uri;

impl Pass<'_> {
    /// The merges to publish and where each goes; none before the search has completed.
    fn to_publish(&self) -> Vec<PublishedTrial> {
        let Some(search) = self.memory.search() else { return Vec::new() };
        if !matches!(search.outcome(), Some(Outcome::Completed(_))) {
            return Vec::new();
        }
        let top = usize::try_from(self.resource().spec.publish.top).unwrap_or(0);
        let entry = |id: TrialId| PublishedTrial {
            uri: published_uri(self.observed.resource, &id),
            trial: id.to_string(),
        };
        search.to_publish(top).into_iter().map(entry).collect()
    }

    pub(super) fn publishing_is_over(&self) -> bool {
        self.to_publish().iter().all(|entry| self.status.published.contains(entry))
    }

    /// Publishes what is not published yet, and deletes the Jobs of what is.
    pub(super) fn publish(&mut self, config: &SearchConfig) {
        self.forget_published();
        let capacity = usize::try_from(self.resource().spec.execution.parallel_trials).unwrap_or(1);
        let missing: Vec<PublishedTrial> = self
            .to_publish()
            .into_iter()
            .filter(|entry| !self.status.published.contains(entry))
            .take(capacity)
            .collect();
        for entry in missing {
            let Ok(id) = entry.trial.parse::<TrialId>() else { continue };
            let attempts = self.attempts(Role::Publish, Some(&id));
            let key = |attempt| JobKey { role: Role::Publish, trial: Some(id.clone()), attempt };
            let Some(&latest) = attempts.last() else {
                self.start_publishing(config, &id, 0);
                continue;
            };
            match self.seen(&key(latest)) {
                Some(Seen::There(job)) => self.judge_publishing(config, &id, &entry, job),
                Some(Seen::Vanished) => self.start_publishing(config, &id, latest + 1),
                Some(Seen::Assumed | Seen::Going) => {}
                None => self.start_publishing(config, &id, latest),
            }
        }
    }

    fn start_publishing(&mut self, config: &SearchConfig, id: &TrialId, attempt: u32) {
        let Some(search) = self.memory.search() else { return };
        let Some(recipe) = search.recipe_of(id).cloned() else { return };
        let scores = super::status::card(search, id);
        self.start(config, &Work::Publish { trial: id.clone(), recipe, scores }, attempt);
    }

    fn judge_publishing(
        &mut self,
        config: &SearchConfig,
        id: &TrialId,
        entry: &PublishedTrial,
        job: &JobView,
    ) {
        let confirmed = self.observed.confirmed.contains(&job.key);
        let next = job.key.attempt + 1;
        let fault = match verdict(job, self.observed.pods_of(job), confirmed) {
            Verdict::Open => {
                return self.look_into(job);
            }
            Verdict::Answer(Message::Published { uri }) if uri.trim_end_matches('/') == entry.uri => {
                self.status.published.retain(|other| other.trial != entry.trial);
                self.status.published.push(entry.clone());
                let message = format!("{id} is published in {uri}");
                self.writes.events.push((reason::PUBLISHED, message, false));
                return;
            }
            // Published elsewhere: publish.uri has changed since. Lost: publishing again writes the same.
            Verdict::Answer(_) | Verdict::Lost => return self.start_publishing(config, id, next),
            Verdict::Failed(message) => {
                Fault { reason: reason::PUBLISH_FAILED, message, until_changed: false }
            }
            Verdict::Fault(fault) => Fault { reason: reason::PUBLISH_FAILED, ..fault },
        };
        if self.retry_is_due(job, job.ended().unwrap_or(job.created), &fault) {
            self.start_publishing(config, id, next);
        }
    }

    /// Deletes publishing Jobs whose merges the status in the cluster already lists.
    fn forget_published(&mut self) {
        let known = self.memory.status(self.observed.resource).published;
        let done: Vec<JobKey> = self
            .observed
            .jobs
            .values()
            .filter(|job| job.key.role == Role::Publish && job.ended().is_some())
            .filter(|job| {
                let trial = job.key.trial.as_ref().map(ToString::to_string).unwrap_or_default();
                let uri = job.key.trial.as_ref().map(|id| published_uri(self.observed.resource, id));
                known.iter().any(|entry| entry.trial == trial && Some(&entry.uri) == uri.as_ref())
            })
            .map(|job| job.key.clone())
            .collect();
        for key in done {
            self.stop(&key);
        }
    }
}
