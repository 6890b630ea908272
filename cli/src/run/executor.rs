//! The loop: asks the search which trials should run, runs them, tells it what came of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use mergesearch_search::{
    Outcome, Phase, Record, RecordError, Search, StageScores, Trial, TrialId, TrialOutcome, TrialResult,
};
use tokio::sync::oneshot;
use tokio::task::{JoinError, JoinSet};
use tokio::time::sleep;

use super::clock::Clock;
use super::interrupt::Interrupt;
use super::trial::{Fault, Folders, Workshop};
use crate::failure::Failure;
use crate::progress::{Display, Moment};
use crate::scores;
use crate::state::State;

type Ended = (TrialId, Result<(TrialResult, Duration), Fault>);

/// A search in execution.
pub(super) struct Executor {
    pub(super) search: Search,
    pub(super) state: State,
    pub(super) workshop: Arc<Workshop>,
    pub(super) clock: Clock,
    pub(super) display: Display,
    /// Trials at the same time.
    pub(super) capacity: usize,
    /// The running trials; dropping an entry stops its trial.
    pub(super) running: BTreeMap<TrialId, oneshot::Sender<()>>,
    pub(super) tasks: JoinSet<Ended>,
    /// The search has been told that its time is over.
    pub(super) time_is_over: bool,
}

enum Event {
    Ended(Option<Result<Ended, JoinError>>),
    TimeOver,
    Interrupted(&'static str),
}

impl Executor {
    /// Runs the search to its end. Whatever stops it before, no process is left and everything finished is kept.
    pub(super) async fn run(&mut self, interrupt: &mut Interrupt) -> Result<Outcome, Failure> {
        let outcome = self.steps(interrupt).await;
        self.running.clear();
        while self.tasks.join_next().await.is_some() {}
        let noted = self.state.set_spent(&self.clock.spent());
        self.display.finish();
        let outcome = outcome?;
        noted.map_err(Failure::run)?;
        Ok(outcome)
    }

    async fn steps(&mut self, interrupt: &mut Interrupt) -> Result<Outcome, Failure> {
        loop {
            let trials = self.search.trials(self.capacity);
            self.save()?;
            if self.take_over_finished(&trials)? {
                continue;
            }
            self.adjust(trials);
            self.show();
            if let Some(outcome) = self.search.outcome() {
                return Ok(outcome);
            }
            match self.next_event(interrupt).await {
                Event::Ended(Some(Ok((id, ended)))) => {
                    let wanted = self.running.remove(&id).is_some();
                    self.take(ended, wanted)?;
                }
                Event::Ended(Some(Err(error))) => {
                    return Err(Failure::Run(format!("internal: a trial's task failed: {error}")));
                }
                // Nothing runs, nothing is to be started, and the search has not ended.
                Event::Ended(None) => {
                    return Err(Failure::Run("internal: the search waits for nothing".to_owned()));
                }
                Event::TimeOver => {
                    self.time_is_over = true;
                    self.search.time_exhausted();
                }
                Event::Interrupted(signal) => {
                    return Err(Failure::Run(format!(
                        "interrupted by {signal}; run the same command again to go on"
                    )));
                }
            }
        }
    }

    async fn next_event(&mut self, interrupt: &mut Interrupt) -> Event {
        let time_left = self.time_left();
        tokio::select! {
            ended = self.tasks.join_next() => Event::Ended(ended),
            signal = interrupt.received() => Event::Interrupted(signal),
            () = sleep(time_left.unwrap_or_default()), if time_left.is_some() => Event::TimeOver,
        }
    }

    /// How long may still be searched; `None` without a limit or when searching is over anyway.
    fn time_left(&self) -> Option<Duration> {
        let limit = self.search.config().budget.max_seconds?;
        if self.time_is_over || matches!(self.search.progress().phase, Phase::Finals | Phase::Ended) {
            return None;
        }
        let stages = if self.search.config().held_out.is_empty() { 1 } else { 2 };
        let finals = stages * self.search.most_finals();
        Some(self.clock.time_left(limit, finals, self.capacity).unwrap_or_default())
    }

    /// Takes over results that a killed run wrote without coming to journal them; before anything is started.
    fn take_over_finished(&mut self, trials: &[Trial]) -> Result<bool, Failure> {
        let new = trials.iter().map(|trial| &trial.id).filter(|id| !self.running.contains_key(id));
        let finished = new.filter_map(|id| self.state.result(id).transpose());
        let finished = finished.collect::<Result<Vec<_>, _>>().map_err(Failure::run)?;
        let found = !finished.is_empty();
        for result in finished {
            self.record(result)?;
        }
        Ok(found)
    }

    /// Stops trials that are not wanted any more and starts those that are.
    fn adjust(&mut self, trials: Vec<Trial>) {
        self.running.retain(|id, _| trials.iter().any(|trial| trial.id == *id));
        for trial in trials {
            if self.running.contains_key(&trial.id) {
                continue;
            }
            let (stop, stopped) = oneshot::channel();
            self.running.insert(trial.id.clone(), stop);
            let folders = Folders {
                kept: self.state.trial_folder(&trial.id),
                scratch: self.state.scratch_folder(&trial.id),
                shown: format!("trials/{}", trial.id),
            };
            let workshop = Arc::clone(&self.workshop);
            self.tasks.spawn(async move {
                let result = workshop.run(&trial, &folders, stopped).await;
                (trial.id, result)
            });
        }
    }

    fn take(&mut self, ended: Result<(TrialResult, Duration), Fault>, wanted: bool) -> Result<(), Failure> {
        match ended {
            Ok((result, took)) => {
                self.clock.trial_took(took, self.capacity);
                if wanted { self.record(result) } else { Ok(()) }
            }
            Err(Fault::Stopped) => Ok(()),
            Err(fault) => Err(Failure::Run(format!(
                "{fault}; nothing finished is lost, run the same command again to go on"
            ))),
        }
    }

    fn record(&mut self, result: TrialResult) -> Result<(), Failure> {
        self.check_directions(&result);
        let refused = |error: RecordError| Failure::Run(format!("internal: {error}"));
        self.search.record(result).map_err(refused)?;
        self.save()?;
        self.state.set_spent(&self.clock.spent()).map_err(Failure::run)
    }

    /// Warns of a metric that the evaluator wants the other way; the display says each warning once.
    fn check_directions(&mut self, result: &TrialResult) {
        let TrialOutcome::Succeeded(stages) = &result.outcome else { return };
        for StageScores { stage, .. } in stages {
            let folder = self.state.trial_folder(&result.id).join(stage.as_str());
            for warning in scores::direction_warnings(&folder, *stage, self.search.config()) {
                self.display.warn(warning);
            }
        }
    }

    fn save(&mut self) -> Result<(), Failure> {
        let records: Vec<Record> = self.search.take_records();
        self.state.append(&records).map_err(Failure::run)
    }

    fn show(&mut self) {
        let progress = self.search.progress();
        let left = progress.planned.saturating_sub(progress.succeeded + progress.failed);
        let moment = Moment {
            remaining: (self.clock.trial_seconds() > 0.0).then(|| self.clock.estimate(left, self.capacity)),
            progress,
            running: self.running.keys().map(ToString::to_string).collect(),
            history: self.search.history(),
        };
        self.display.update(&moment);
        for warning in self.search.warnings() {
            self.display.warn(warning);
        }
    }
}
