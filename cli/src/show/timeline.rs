//! The timeline of trials: when each ran, and how busy the evaluators were.

use mergesearch_search::{TrialId, TrialTime};
use serde::Serialize;

/// Nothing that is shorter, in seconds, is taken for an interruption: between two trials a cluster looks for a node and
/// fetches images.
const LEAST_INTERRUPTION: f64 = 60.0;

/// When the trials of a search ran.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Timeline {
    /// The first start, in seconds since the Unix epoch.
    pub(crate) first_start: f64,
    /// The trials of which it is known, in the order of their start.
    pub(crate) spans: Vec<Span>,
    /// The most trials at a time that were allowed, at least 1.
    pub(crate) parallel_trials: usize,
    /// The part of these places that was in use from the first start to the last end of a trial that was not a final one,
    /// interruptions left out, from 0 to 1. `None` when no such trial took any time.
    pub(crate) busy: Option<f64>,
    /// How often in that time nothing ran for longer than the longest trial, and for longer than a minute: the search was
    /// stopped or suspended, or waited for something.
    pub(crate) interruptions: usize,
}

/// When a trial ran, in seconds since the first start.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Span {
    /// The trial.
    pub(crate) trial: TrialId,
    /// Which part of the search it was.
    pub(crate) part: Part,
    /// It began, with its merge.
    pub(crate) started: f64,
    /// It was merged; `None` when that failed or is not known.
    pub(crate) merged: Option<f64>,
    /// It ended, not before it started.
    pub(crate) ended: f64,
}

/// A part of a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Part {
    /// What the search is compared with, on search items.
    Baselines,
    /// What CMA-ES proposed, on search items.
    Searched,
    /// The finalists, on test and held-out items.
    Finals,
}

impl Timeline {
    /// Puts in order when trials ran, of which `parallel_trials` could at a time; `None` when there is none.
    pub(crate) fn new<'a>(
        times: impl Iterator<Item = (&'a TrialId, TrialTime)>,
        parallel_trials: usize,
    ) -> Option<Self> {
        let mut times: Vec<(&TrialId, TrialTime)> = times.collect();
        times.sort_by(|(_, one), (_, other)| one.started.total_cmp(&other.started));
        let first_start = times.first()?.1.started;
        let spans: Vec<Span> =
            times.into_iter().map(|(id, time)| Span::new(id.clone(), time, first_start)).collect();
        let parallel_trials = parallel_trials.max(1);
        let (busy, interruptions) = usage(&spans, parallel_trials);
        Some(Self { first_start, spans, parallel_trials, busy, interruptions })
    }
}

impl Span {
    fn new(trial: TrialId, time: TrialTime, first_start: f64) -> Self {
        let part = match &trial {
            TrialId::Final(_) => Part::Finals,
            id if id.is_baseline() => Part::Baselines,
            _ => Part::Searched,
        };
        // Milliseconds: what a difference of large numbers has beyond them is noise.
        let since = |seconds: f64| ((seconds - first_start) * 1e3).round() / 1e3;
        let started = since(time.started);
        Self { trial, part, started, merged: time.merged.map(since), ended: since(time.ended).max(started) }
    }

    fn seconds(&self) -> f64 {
        self.ended - self.started
    }
}

/// The part of the places that was in use, and the number of interruptions. `spans` are in the order of their start.
fn usage(spans: &[Span], parallel_trials: usize) -> (Option<f64>, usize) {
    let mut searched = spans.iter().filter(|span| span.part != Part::Finals).peekable();
    let Some(from) = searched.peek().map(|span| span.started) else { return (None, 0) };
    let until = searched.map(|span| span.ended).fold(from, f64::max);
    let longest = spans.iter().map(Span::seconds).fold(LEAST_INTERRUPTION, f64::max);

    let (mut in_use, mut left_out, mut interruptions) = (0.0, 0.0, 0);
    let mut ended = from;
    // A finalist counts where the search went on after it, under a larger budget.
    for span in spans {
        let (start, end) = (span.started.clamp(from, until), span.ended.clamp(from, until));
        let gap = start - ended;
        if gap > longest {
            interruptions += 1;
            left_out += gap;
        }
        in_use += end - start;
        ended = ended.max(end);
    }
    let available = (until - from - left_out) * parallel_trials as f64;
    // More than all: the search now allows fewer at a time than it did.
    ((available > 0.0).then(|| (in_use / available).min(1.0)), interruptions)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Trials by text, start and end; each is merged after its first second.
    fn timeline(trials: &[(&str, f64, f64)], parallel_trials: usize) -> Option<Timeline> {
        const EPOCH: f64 = 1_795_663_813.123;
        let ids: Vec<TrialId> = trials.iter().map(|(id, ..)| id.parse().unwrap()).collect();
        let times = trials.iter().map(|&(_, started, ended)| TrialTime {
            started: EPOCH + started,
            merged: Some(EPOCH + started + 1.0),
            ended: EPOCH + ended,
        });
        Timeline::new(ids.iter().zip(times), parallel_trials)
    }

    #[track_caller]
    fn assert_usage(trials: &[(&str, f64, f64)], parallel_trials: usize, busy: f64, interruptions: usize) {
        let found = timeline(trials, parallel_trials).unwrap();
        assert!((found.busy.unwrap() - busy).abs() < 1e-9, "{:?}, expected {busy}", found.busy);
        assert_eq!(found.interruptions, interruptions);
    }

    #[test]
    fn trials_are_told_in_the_order_of_their_start_in_seconds_since_the_first() {
        let found =
            timeline(&[("uniform", 2.5, 4.0), ("base", 0.0, 9.0), ("g0001-c000", 9.0, 11.0)], 2).unwrap();
        let told = serde_json::to_value(&found).unwrap();
        assert_eq!(
            told["spans"][1],
            serde_json::json!({"trial": "uniform", "part": "baselines", "started": 2.5, "merged": 3.5, "ended": 4.0})
        );
        let order: Vec<String> = found.spans.iter().map(|span| span.trial.to_string()).collect();
        assert_eq!(order, ["base", "uniform", "g0001-c000"]);
        assert_eq!(told["firstStart"], 1_795_663_813.123);
    }

    #[test]
    fn busy_is_the_part_of_all_places_that_was_in_use() {
        let full = [("base", 0.0, 10.0), ("uniform", 0.0, 4.0), ("soup-2", 4.0, 10.0)];
        assert_usage(&full, 2, 1.0, 0);
        assert_usage(&full, 4, 0.5, 0);
        // What waits for the slowest of a generation leaves places free.
        assert_usage(&[("g0001-c000", 0.0, 10.0), ("g0001-c001", 0.0, 5.0)], 2, 0.75, 0);
    }

    #[test]
    fn a_pause_that_is_longer_than_every_trial_is_an_interruption() {
        let paused = |pause: f64| [("base", 0.0, 100.0), ("uniform", 100.0 + pause, 200.0 + pause)];
        assert_usage(&paused(90.0), 1, 200.0 / 290.0, 0);
        assert_usage(&paused(1e6), 1, 1.0, 1);
        // Short trials on a cluster: half a minute between them is its own way.
        assert_usage(&[("base", 0.0, 10.0), ("uniform", 40.0, 50.0)], 1, 0.4, 0);
        // Nothing is idle while one trial runs.
        let long = [("base", 0.0, 300.0), ("uniform", 0.0, 5.0), ("soup-2", 295.0, 300.0)];
        assert_usage(&long, 2, 310.0 / 600.0, 0);
    }

    #[test]
    fn finals_count_only_where_the_search_went_on_after_them() {
        let ended = [("base", 0.0, 10.0), ("final-base", 1000.0, 1500.0)];
        assert_usage(&ended, 1, 1.0, 0);
        let continued = [("base", 0.0, 10.0), ("final-base", 10.0, 15.0), ("g0001-c000", 20.0, 25.0)];
        assert_usage(&continued, 1, 0.8, 0);
    }

    #[test]
    fn what_took_no_time_has_no_usage() {
        assert_eq!(timeline(&[], 2), None);
        assert_eq!(timeline(&[("base", 3.0, 3.0)], 2).unwrap().busy, None);
        assert_eq!(timeline(&[("final-base", 0.0, 5.0)], 2).unwrap().busy, None);
    }

    proptest! {
        #[test]
        fn whatever_the_clocks_said_the_usage_is_a_share(
            times in prop::collection::vec((0.0..5e3_f64, -9.0..900.0_f64, any::<bool>()), 1..40),
            parallel_trials in 0_usize..9,
        ) {
            let texts = |last: bool| if last { "final-base" } else { "base" };
            let trials: Vec<(&str, f64, f64)> =
                times.iter().map(|&(start, took, last)| (texts(last), start, start + took)).collect();
            let found = timeline(&trials, parallel_trials).unwrap();
            prop_assert!(found.busy.is_none_or(|busy| (0.0..=1.0).contains(&busy)), "{:?}", found.busy);
            prop_assert!(found.interruptions < trials.len());
            prop_assert!(found.spans.iter().all(|span| 0.0 <= span.started && span.started <= span.ended));
            let mut reversed = trials.clone();
            reversed.reverse();
            let again = timeline(&reversed, parallel_trials).unwrap();
            prop_assert_eq!((again.busy.is_some(), again.interruptions), (found.busy.is_some(), found.interruptions));
        }
    }
}
