//! The time that a search has taken, over all its runs, and what is kept back of it for the final stages.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// What is remembered from one run to the next.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Spent {
    /// Wall-clock seconds of all runs.
    pub(crate) seconds: f64,
    /// Seconds that single trials took, together.
    pub(crate) trial_seconds: f64,
    /// How many trials those were.
    pub(crate) trials: u64,
    /// The most trials at a time that a run of them allowed; 0 when none has noted it.
    #[serde(default)]
    pub(crate) parallel_trials: usize,
}

/// Counts on from what earlier runs spent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    before: Spent,
    started: Instant,
}

impl Clock {
    pub(super) fn continuing(before: Spent) -> Self {
        Self { before, started: Instant::now() }
    }

    pub(super) fn spent(&self) -> Spent {
        Spent { seconds: self.before.seconds + self.started.elapsed().as_secs_f64(), ..self.before }
    }

    /// A trial has ended, of at most so many at a time.
    pub(super) fn trial_took(&mut self, duration: Duration, at_a_time: usize) {
        self.before.trial_seconds += duration.as_secs_f64();
        self.before.trials += 1;
        self.before.parallel_trials = self.before.parallel_trials.max(at_a_time);
    }

    /// Mean seconds of a trial; 0 before the first has ended.
    pub(super) fn trial_seconds(&self) -> f64 {
        if self.before.trials == 0 { 0.0 } else { self.before.trial_seconds / self.before.trials as f64 }
    }

    /// How long `trials` more take, so many at a time.
    pub(super) fn estimate(&self, trials: usize, at_a_time: usize) -> Duration {
        let rounds = trials.div_ceil(at_a_time.max(1)) as f64;
        Duration::try_from_secs_f64(self.trial_seconds() * rounds).unwrap_or(Duration::MAX)
    }

    /// When searching has to end so that `finals` trials still fit within `limit` seconds; `None` when it has to end
    /// now.
    pub(super) fn time_left(&self, limit: f64, finals: usize, at_a_time: usize) -> Option<Duration> {
        let left = limit - self.spent().seconds - self.estimate(finals, at_a_time).as_secs_f64();
        (left > 0.0).then(|| Duration::try_from_secs_f64(left).unwrap_or(Duration::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn final_trials_are_kept_back_at_the_pace_of_the_trials_so_far() {
        let spent = Spent { seconds: 100.0, trial_seconds: 40.0, trials: 4, parallel_trials: 2 };
        let clock = Clock::continuing(spent);
        // 13 trials, 4 at a time, take 4 rounds of 10 seconds.
        assert_eq!(clock.estimate(13, 4), Duration::from_secs(40));
        let left = clock.time_left(200.0, 13, 4).unwrap().as_secs_f64();
        assert!(left > 50.0 && left <= 60.0, "{left}");
        assert_eq!(clock.time_left(140.0, 13, 4), None);
    }

    #[test]
    fn the_most_trials_at_a_time_are_those_of_a_run_that_ended_some() {
        let mut clock = Clock::continuing(Spent { parallel_trials: 3, ..Spent::default() });
        for (at_a_time, most) in [(2, 3), (4, 4), (1, 4)] {
            clock.trial_took(Duration::from_secs(1), at_a_time);
            assert_eq!(clock.spent().parallel_trials, most);
        }
    }
}
