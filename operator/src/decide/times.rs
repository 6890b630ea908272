//! When a trial ran, as its Job and its pods tell: for people, and for the metrics.

use k8s_openapi::jiff::Timestamp;
use mergesearch_crds::{EVALUATOR, labels};
use mergesearch_search::TrialTime;

use super::verdict::SOURCES;
use crate::metrics::TrialPhase;
use crate::observe::{ContainerState, ContainerView, JobView, PodView};

/// When an attempt ran that gave its trial a result: from the moment that its last pod had a node, so without the time in
/// queues. As the Job tells where no pod is left; `None` while nothing has ended.
pub(super) fn trial_time(job: &JobView, pods: &[PodView]) -> Option<TrialTime> {
    let pod = pods.iter().rev().find(|pod| pod.has_ended() && pod.scheduled.is_some());
    let container = |name: &str| pod?.container(name);
    let started = pod.and_then(|pod| pod.scheduled).unwrap_or(job.started);
    let source = SOURCES.into_iter().find_map(container);
    let succeeded = |container: &&ContainerView| matches!(container.termination(), Some((0, ..)));
    let merged = source.filter(succeeded).and_then(ContainerView::finished);
    let evaluators = [EVALUATOR, labels::HELD_OUT_CONTAINER].into_iter().filter_map(container);
    let evaluated = evaluators.filter_map(ContainerView::finished).max();
    // A trial that failed before its evaluation.
    let failed = || pod?.containers.iter().filter_map(ContainerView::finished).max();
    let ended = evaluated.or_else(failed).or_else(|| job.ended())?;
    // Nodes and control plane have clocks of their own.
    let merged = merged.map(|merged| merged.max(started));
    let ended = ended.max(merged.unwrap_or(started));
    Some(TrialTime { started: seconds(started), merged: merged.map(seconds), ended: seconds(ended) })
}

/// Seconds that a pod spent in each phase.
pub(super) fn phases(pod: &PodView) -> Vec<(TrialPhase, f64)> {
    let seconds = |name: &str| match &pod.container(name)?.state {
        ContainerState::Terminated { started: Some(started), finished: Some(finished), .. } => {
            Some(finished.duration_since(*started).as_secs_f64())
        }
        _ => None,
    };
    let queued = pod.scheduled.map(|at| at.duration_since(pod.created).as_secs_f64());
    let phases = [
        (TrialPhase::Queued, queued),
        (TrialPhase::Merge, seconds(labels::MERGE_CONTAINER)),
        (TrialPhase::Fetch, seconds(labels::FETCH_CONTAINER)),
        (TrialPhase::Evaluate, seconds(EVALUATOR)),
        (TrialPhase::Report, seconds(labels::REPORT_CONTAINER)),
    ];
    phases.into_iter().filter_map(|(phase, seconds)| Some((phase, seconds?.max(0.0)))).collect()
}

/// Seconds that pods merged which together did nothing else: the longest.
pub(super) fn merge_time(pods: &[PodView]) -> Option<(TrialPhase, f64)> {
    let seconds = |pod: &PodView| match &pod.container(labels::REPORT_CONTAINER)?.state {
        ContainerState::Terminated { code: 0, started: Some(started), finished: Some(finished), .. } => {
            Some(finished.duration_since(*started).as_secs_f64())
        }
        _ => None,
    };
    let longest = pods.iter().filter_map(seconds).max_by(f64::total_cmp)?;
    Some((TrialPhase::Merge, longest.max(0.0)))
}

/// Seconds since the Unix epoch.
fn seconds(time: Timestamp) -> f64 {
    time.as_millisecond() as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{JobKey, Role};
    use crate::observe::JobPhase;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    /// A Job that was created at 0, began at 5 and ended at 100.
    fn job() -> JobView {
        JobView {
            name: "recycle".to_owned(),
            uid: "1".to_owned(),
            version: "1".to_owned(),
            key: JobKey { role: Role::Trial, trial: Some("uniform".parse().unwrap()), attempt: 0 },
            merges: Vec::new(),
            created: at(0),
            started: at(5),
            suspended: false,
            deleting: false,
            search_generation: 1,
            phase: JobPhase::Complete { at: at(100) },
        }
    }

    /// A pod that had its node at 10; its containers end so many seconds after that, with these codes.
    fn pod(containers: &[(&str, i64, i32)]) -> PodView {
        let container = |&(name, finished, code): &(&str, i64, i32)| ContainerView {
            name: name.to_owned(),
            state: ContainerState::Terminated {
                code,
                reason: String::new(),
                message: String::new(),
                started: None,
                finished: Some(at(10 + finished)),
            },
        };
        PodView {
            name: "recycle-1".to_owned(),
            uid: "2".to_owned(),
            job_uid: "1".to_owned(),
            role: Role::Trial,
            trial: Some("uniform".to_owned()),
            created: at(6),
            scheduled: Some(at(10)),
            unschedulable: None,
            failed: containers.iter().any(|(.., code)| *code != 0),
            reason: String::new(),
            message: String::new(),
            disrupted: false,
            deletion: None,
            containers: containers.iter().map(container).collect(),
        }
    }

    /// Start, merge and end in seconds after the Job's creation.
    fn told(job: &JobView, pods: &[PodView]) -> Option<(f64, Option<f64>, f64)> {
        let since = |seconds: f64| seconds - 1.8e9;
        trial_time(job, pods).map(|time| (since(time.started), time.merged.map(since), since(time.ended)))
    }

    #[test]
    fn the_last_pod_tells_from_its_node_to_its_last_evaluation() {
        let first = pod(&[("merge", 2, 0), (EVALUATOR, 3, 1)]);
        let mut last = pod(&[("merge", 20, 0), (EVALUATOR, 50, 0), ("report", 55, 0)]);
        assert_eq!(told(&job(), &[first.clone(), last.clone()]), Some((10.0, Some(30.0), 60.0)));
        last = pod(&[
            ("merge", 20, 0),
            (EVALUATOR, 50, 0),
            (labels::HELD_OUT_CONTAINER, 70, 0),
            ("report", 75, 0),
        ]);
        assert_eq!(told(&job(), &[first, last]), Some((10.0, Some(30.0), 80.0)));
    }

    #[test]
    fn what_failed_before_its_evaluation_ends_with_its_failure() {
        assert_eq!(told(&job(), &[pod(&[("merge", 20, 65)])]), Some((10.0, None, 30.0)));
        let step = pod(&[("merge", 20, 0), ("server", 25, 1)]);
        assert_eq!(told(&job(), &[step]), Some((10.0, Some(30.0), 35.0)));
    }

    #[test]
    fn without_its_pod_the_job_tells() {
        assert_eq!(told(&job(), &[]), Some((5.0, None, 100.0)));
        let never_placed = PodView { scheduled: None, ..pod(&[("merge", 20, 0)]) };
        assert_eq!(told(&job(), &[never_placed]), Some((5.0, None, 100.0)));
        assert_eq!(told(&JobView { phase: JobPhase::Active, ..job() }, &[]), None);
    }

    #[test]
    fn clocks_that_disagree_put_nothing_out_of_order() {
        let early = pod(&[("merge", -8, 0), (EVALUATOR, -3, 0), ("report", 1, 0)]);
        assert_eq!(told(&job(), &[early]), Some((10.0, Some(10.0), 10.0)));
    }
}
