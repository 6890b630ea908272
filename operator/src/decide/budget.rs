//! Time: `budget.maxDuration` counts the hours in which a search runs, and keeps enough of them for the final scores.

use mergesearch_search::Search;

use super::{IntoTime as _, Pass};

impl Pass<'_> {
    /// Seconds in which the search has run.
    fn active_seconds(&self) -> f64 {
        let since = self.status.active_since.as_ref();
        let running = since.map_or(0.0, |since| self.now().duration_since(since.0).as_secs_f64().max(0.0));
        self.status.active_seconds.unwrap_or(0.0) + running
    }

    /// Tells the search when its time is over, so that the final scores still fit in.
    pub(super) fn watch_time(&mut self) {
        let active = self.active_seconds();
        let capacity = f64::from(self.resource().spec.execution.parallel_trials);
        let Some(search) = self.memory.search_mut() else { return };
        let Some(limit) = search.config().budget.max_seconds else { return };
        if search.progress().phase.is_after_search() {
            return;
        }
        let left = limit - active - reserve(search, active, capacity);
        if left <= 0.0 {
            search.time_exhausted();
        } else {
            self.wake_after(std::time::Duration::try_from_secs_f64(left).unwrap_or(super::IDLE));
        }
    }

    /// Starts or stops the clock.
    pub(super) fn keep_time(&mut self) {
        let ended = self.memory.search().is_none_or(|search| search.outcome().is_some());
        let runs = self.may_start && self.status.start_time.is_some() && !ended;
        match (&self.status.active_since, runs) {
            (None, true) => self.status.active_since = Some(self.now().into_time()),
            (Some(_), false) => {
                self.status.active_seconds = Some(self.active_seconds());
                self.status.active_since = None;
            }
            _ => {}
        }
    }

    /// When the search will end at the present rate; `None` before a trial has ended.
    pub(super) fn estimate(&self) -> Option<k8s_openapi::jiff::Timestamp> {
        let progress = self.memory.search()?.progress();
        let ended = progress.succeeded + progress.failed;
        let left = progress.planned.saturating_sub(ended);
        self.status.active_since.as_ref()?;
        let seconds = self.active_seconds() / (ended > 0).then_some(ended as f64)? * left as f64;
        let duration = k8s_openapi::jiff::SignedDuration::try_from_secs_f64(seconds).ok()?;
        self.now().checked_add(duration).ok()
    }
}

/// Seconds that the final trials take, at the pace of the trials so far.
fn reserve(search: &Search, active: f64, capacity: f64) -> f64 {
    let progress = search.progress();
    let ended = (progress.succeeded + progress.failed) as f64;
    if ended == 0.0 {
        return 0.0;
    }
    let stages = if search.config().held_out.is_empty() { 1.0 } else { 2.0 };
    let trial = active * capacity.min(ended) / ended;
    let rounds = (stages * search.most_finals() as f64 / capacity.max(1.0)).ceil();
    rounds * trial
}
