//! Before the first trial: a Job reads the pool's headers and tries the output; its answer opens the journal.

use k8s_openapi::jiff::SignedDuration;
use mergesearch_crds::conditions::reason;
use mergesearch_crds::{JournalStart, search_config};
use mergesearch_search::contract::{Message, PoolFacts};
use mergesearch_search::{Search, SearchConfig};

use super::Pass;
use super::jobs::Seen;
use super::memory::History;
use super::verdict::{Fault, Verdict, verdict};
use crate::identity::{JobKey, Role, Work};
use crate::journal::Journal;
use crate::observe::JobView;
use crate::pods::evaluator_hash;

/// Seconds between attempts at a pool that is not as it should be: somebody may be uploading it.
const INPUT_DELAY: i64 = 300;
/// Seconds between attempts while storage does not answer.
const STORAGE_DELAY: i64 = 60;

impl Pass<'_> {
    /// Verifies the pool of a search that has not begun, and begins it.
    pub(super) fn verify_pool(&mut self, config: &SearchConfig) {
        let attempts = self.attempts(Role::Preflight, None);
        let keys: Vec<JobKey> =
            attempts.iter().map(|&attempt| JobKey { role: Role::Preflight, trial: None, attempt }).collect();
        if !matches!(self.memory.history, History::None) {
            // Its answer is in the journal. In this pass' own journal write it is not yet.
            for key in &keys {
                self.stop(key);
            }
            if !self.conditions.is_pool_verified() {
                self.conditions.pool_verified("");
            }
            return;
        }
        self.tidy(&keys);
        let Some(key) = keys.last() else {
            self.try_pool(config, 0);
            return;
        };
        let next = key.attempt + 1;
        match self.seen(key) {
            Some(Seen::There(job)) => self.judge_pool(config, job),
            Some(Seen::Vanished) => self.try_pool(config, next),
            Some(Seen::Going | Seen::Assumed) => {}
            None => self.try_pool(config, key.attempt),
        }
    }

    fn try_pool(&mut self, config: &SearchConfig, attempt: u32) {
        if self.may_start {
            self.start(config, &Work::Preflight, attempt);
        }
        if attempt == 0 {
            self.conditions.pool_not_verified(reason::VERIFYING, "the pool's headers are being read");
        }
    }

    fn judge_pool(&mut self, config: &SearchConfig, job: &JobView) {
        let next = job.key.attempt + 1;
        let confirmed = self.observed.confirmed.contains(&job.key);
        let ended = job.ended().unwrap_or(job.created);
        let (reason, message, delay) = match verdict(job, self.observed.pods_of(job), confirmed) {
            Verdict::Open => {
                self.look_into(job);
                if job.key.attempt == 0 {
                    self.conditions.pool_not_verified(reason::VERIFYING, "the pool's headers are being read");
                }
                return;
            }
            Verdict::Answer(Message::Pool(facts)) => return self.begin(&facts),
            Verdict::Answer(_) | Verdict::Lost => return self.try_pool(config, next),
            Verdict::Failed(message) => (reason::POOL_INVALID, message, INPUT_DELAY),
            Verdict::Fault(Fault { reason, message, .. }) => (reason, message, STORAGE_DELAY),
        };
        let message = message.strip_prefix("reading the results failed: ").unwrap_or(&message).to_owned();
        self.conditions.pool_not_verified(reason, &message);
        self.trouble(reason, message);
        let due = ended + SignedDuration::from_secs(delay);
        if due <= self.now() || Some(job.search_generation) != self.resource().metadata.generation {
            self.try_pool(config, next);
        } else {
            self.wake_at(due);
        }
    }

    fn begin(&mut self, facts: &PoolFacts) {
        let resource = self.observed.resource;
        let invalid = |pass: &mut Self, error: &dyn std::fmt::Display| {
            let message = error.to_string();
            if pass.conditions.refused(reason::INVALID, &message) {
                pass.writes.events.push((reason::INVALID, message, true));
            }
            pass.may_start = false;
        };
        let config = match search_config(resource, facts.layers) {
            Ok(config) => config,
            Err(error) => return invalid(self, &error),
        };
        let search = match Search::new(config) {
            Ok(search) => search,
            Err(error) => return invalid(self, &error),
        };
        let start = JournalStart {
            layers: i32::try_from(facts.layers).unwrap_or(i32::MAX),
            candidate_bytes: i64::try_from(facts.candidate_bytes).unwrap_or(i64::MAX),
            fingerprints: facts.fingerprints.clone(),
            evaluator_hash: resource.spec.evaluation.evaluator().map(evaluator_hash).unwrap_or_default(),
        };
        self.conditions.pool_verified(&facts.warnings.join("\n"));
        self.memory.begin(search, Journal::new(start));
    }
}
