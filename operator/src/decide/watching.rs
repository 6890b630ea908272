//! What a person should hear of while trials run: disruptions, nodes that do not answer, evaluators that fail.

use std::collections::BTreeSet;

use k8s_openapi::jiff::SignedDuration;
use mergesearch_crds::conditions::reason;
use mergesearch_search::TrialId;

use super::Pass;
use crate::identity::Role;
use crate::observe::{JobView, PodView};

/// Disruptions of one trial after which it waits.
pub(super) const MOST_DISRUPTIONS: usize = 5;
/// Failed trials without a success between them after which the evaluator is suspected.
const FAILURES_IN_A_ROW: usize = 3;
/// Seconds after the end of its grace period at which a pod's node is taken for lost.
const LOST_AFTER: i64 = 30;

impl Pass<'_> {
    /// Counts a trial's disruptions, and gives up on nodes that do not answer.
    pub(super) fn watch(&mut self, id: &TrialId) {
        let jobs: Vec<&JobView> = self
            .observed
            .jobs
            .values()
            .filter(|job| matches!(job.key.role, Role::Merge | Role::Trial))
            .filter(|job| job.key.trial.as_ref() == Some(id))
            .collect();
        for job in jobs {
            for pod in self.observed.pods_of(job) {
                if pod.disrupted {
                    self.memory.disrupted.entry(id.clone()).or_default().insert(pod.uid.clone());
                }
                self.watch_node(id, pod);
            }
            let disruptions = self.memory.disrupted.get(id).map_or(0, BTreeSet::len);
            if disruptions >= MOST_DISRUPTIONS && job.is_active() {
                self.memory.disrupted.remove(id);
                let generation = self.resource().metadata.generation.unwrap_or(0);
                self.memory.held.insert(id.clone(), generation);
                self.stop(&job.key);
            }
        }
    }

    /// Says that the evaluator fails where it is not just one candidate that does.
    pub(super) fn watch_evaluator(&mut self) {
        let Some(search) = self.memory.search() else { return };
        let (failures, last) = search.failures_in_a_row();
        let many = if search.progress().succeeded == 0 { 1 } else { FAILURES_IN_A_ROW };
        if failures >= many {
            let times = if failures == 1 { "1 trial" } else { &format!("{failures} trials in a row") };
            let message = format!("{times} failed; the last: {}", last.unwrap_or_default());
            self.trouble(reason::EVALUATOR_FAILED, message);
        }
    }

    fn watch_node(&mut self, id: &TrialId, pod: &PodView) {
        let Some(deletion) = pod.deletion.filter(|_| !pod.has_ended()) else { return };
        let lost = deletion + SignedDuration::from_secs(LOST_AFTER);
        let force = deletion + SignedDuration::from_secs(self.resource().spec.execution.node_lost_seconds);
        if self.now() < lost {
            self.wake_at(lost);
            return;
        }
        self.trouble(
            reason::NODE_LOST,
            format!("pod {} of trial {id} does not end: its node does not answer", pod.name),
        );
        if self.now() >= force {
            self.writes.delete_pods.push((pod.name.clone(), pod.uid.clone()));
        } else {
            self.wake_at(force);
        }
    }
}
