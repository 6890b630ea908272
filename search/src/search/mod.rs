//! The state machine: which trials should exist now, as a fold of everything that has happened.
//!
//! [`Search`] knows no clock, no storage and no cluster. An executor asks for [`Search::trials`], makes
//! [`Search::take_records`] durable, runs the trials, and tells each [`Search::record`]. Everything it decides follows
//! from its configuration and its records, in order; [`Search::replay`] of the records gives the same state, bit for
//! bit, and so does a serialised snapshot.
//!
//! One module for each question: `advance` (what follows from a record), `propose` (which trial comes next), `greedy`
//! and `rounds` (the baselines), `finals` (who is scored in the end), `view` (what people are shown).

mod advance;
mod finals;
mod greedy;
mod optimizer;
mod propose;
mod rounds;
mod view;

use std::collections::BTreeMap;

use mergesearch_recipe::Recipe;
use serde::{Deserialize, Serialize};

use self::optimizer::Optimizer;
use crate::archive::Archive;
use crate::config::{Budget, ConfigError, SearchConfig};
use crate::fitness::Yardstick;
use crate::journal::{Record, Vector};
use crate::problem::Problem;
use crate::results::Measurement;
use crate::trial::{Stage, Trial, TrialId, TrialOutcome, TrialResult, TrialTime};

pub use self::optimizer::{EndReason, GenerationSummary};
pub use self::view::{LARGE_WEIGHTS, Phase, Progress, Row};

/// The most coordinates of a vector that is recorded; longer ones would fill a cluster's storage. They follow from the
/// records before them, and the recipe's hash tells whether they did.
const LARGEST_RECORDED: usize = 256;

/// A search, as far as it has come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Search {
    problem: Problem,
    /// In order of issue.
    trials: Vec<TrialState>,
    positions: BTreeMap<TrialId, usize>,
    finished: usize,
    yardstick: Option<Yardstick>,
    optimizer: Option<Optimizer>,
    archive: Archive,
    time_exhausted: bool,
    unsaved: Vec<Record>,
}

/// A trial that exists.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct TrialState {
    id: TrialId,
    vector: Option<Vec<f64>>,
    recipe: Recipe,
    /// Hash of the canonical recipe.
    key: String,
    duplicate_of: Option<TrialId>,
    ending: Option<Ending>,
}

/// How and when a trial ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Ending {
    outcome: TrialOutcome,
    gpu_seconds: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    time: Option<TrialTime>,
    /// How many trials had ended before.
    order: usize,
}

/// How a search ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The finalists are scored.
    Completed(EndReason),
    /// It can't go on.
    Failed(FailReason, String),
}

/// Why a search can't go on; a sentence says more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailReason {
    /// More trials failed than the budget allows.
    MaxFailedTrials,
    /// No baseline of the first round could be evaluated.
    Baselines,
}

/// Why a result is refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecordError {
    /// The trial was never issued.
    #[error("result of trial {0}: this search has issued no such trial")]
    Unknown(TrialId),
    /// The trial has a result already.
    #[error("result of trial {0}: it has a result already")]
    Repeated(TrialId),
    /// The trial shares another one's result.
    #[error("result of trial {0}: it is a duplicate of {1} and shares its result")]
    Duplicate(TrialId, TrialId),
    /// The scores do not fit the trial's stages.
    #[error("result of trial {id}: expected finite scores for {expected}")]
    Scores {
        /// The trial.
        id: TrialId,
        /// The stages and how many metrics each.
        expected: String,
    },
}

/// Why a journal does not continue as this search.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// The configuration is no search.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The journal does not begin with its configuration.
    #[error("journal: expected the search's configuration in its first record, and only there")]
    Unopened,
    /// The journal is that of another search.
    #[error("{field} differs from the search that the journal belongs to; only the budget may change")]
    Changed {
        /// Path of the first field that differs.
        field: String,
    },
    /// Replay comes to another trial than the journal has.
    #[error(
        "journal record {record}: trial {id} does not follow from the records before it (written by another version?)"
    )]
    Diverged {
        /// From 1.
        record: usize,
        /// The trial of the record.
        id: TrialId,
    },
    /// A result does not fit.
    #[error("journal record {record}: {source}")]
    Result {
        /// From 1.
        record: usize,
        /// Why.
        source: RecordError,
    },
}

impl Search {
    /// A search at its beginning. Its first record is its configuration.
    ///
    /// # Errors
    /// When the configuration contradicts itself.
    pub fn new(config: SearchConfig) -> Result<Self, ConfigError> {
        let opened = Record::Opened { config: Box::new(config.clone()) };
        let mut search = Self::unrecorded(config)?;
        search.unsaved.push(opened);
        Ok(search)
    }

    fn unrecorded(config: SearchConfig) -> Result<Self, ConfigError> {
        Ok(Self {
            problem: Problem::new(config)?,
            trials: Vec::new(),
            positions: BTreeMap::new(),
            finished: 0,
            yardstick: None,
            optimizer: None,
            archive: Archive::default(),
            time_exhausted: false,
            unsaved: Vec::new(),
        })
    }

    /// The search that a journal tells of, going on under `config`. An empty journal is a new search. A budget other
    /// than the journal's is taken over, with a record of its own.
    ///
    /// # Errors
    /// When the journal belongs to another configuration or does not follow from its own records.
    pub fn replay(
        config: SearchConfig,
        records: impl IntoIterator<Item = Record>,
    ) -> Result<Self, ReplayError> {
        let budget = config.budget.clone();
        let mut records = records.into_iter();
        let mut search = match records.next() {
            None => return Ok(Self::new(config)?),
            Some(Record::Opened { config: opened }) => {
                if let Some(field) = opened.difference(&config) {
                    return Err(ReplayError::Changed { field });
                }
                Self::unrecorded(*opened)?
            }
            Some(_) => return Err(ReplayError::Unopened),
        };
        for (index, record) in records.enumerate() {
            search.apply_recorded(record, index + 2)?;
        }
        if search.config().budget != budget {
            search.change_budget(budget);
        }
        Ok(search)
    }

    /// The recorded vector, or the one that follows from the records so far where it was too long to be recorded.
    fn vector_of(&self, id: &TrialId, recorded: Option<Vector>) -> Option<Vec<f64>> {
        match recorded {
            Some(Vector(values)) => Some(values),
            None if matches!(id, TrialId::Candidate { .. } | TrialId::Mean { .. }) => {
                self.propose().filter(|(proposed, _)| proposed == id)?.1
            }
            None => None,
        }
    }

    fn apply_recorded(&mut self, record: Record, number: usize) -> Result<(), ReplayError> {
        match record {
            Record::Opened { .. } => return Err(ReplayError::Unopened),
            Record::Issued { id, vector, recipe, duplicate_of } => {
                let vector = self.vector_of(&id, vector);
                let follows = self
                    .state(id.clone(), vector)
                    .filter(|state| state.key == recipe && state.duplicate_of == duplicate_of)
                    .filter(|state| !self.positions.contains_key(&state.id));
                let Some(state) = follows else { return Err(ReplayError::Diverged { record: number, id }) };
                self.insert(state);
            }
            Record::Finished(result) => {
                self.check(&result).map_err(|source| ReplayError::Result { record: number, source })?;
                self.finish(result);
            }
            Record::BudgetChanged(budget) => self.adopt_budget(budget),
            Record::TimeExhausted => self.exhaust_time(),
        }
        Ok(())
    }

    /// The configuration, with the budget as it is now.
    pub fn config(&self) -> &SearchConfig {
        self.problem.config()
    }

    /// Coordinates that CMA-ES searches in.
    pub fn dimension(&self) -> usize {
        self.problem.dimension()
    }

    /// Candidates a generation, before any restart.
    pub fn population_size(&self) -> usize {
        self.problem.population_size()
    }

    /// The trials that should be running now, at most `capacity`: those that were issued and have no result, oldest
    /// first, then new ones. Asking again gives the same. New trials leave records: make them durable first
    /// ([`Search::take_records`]).
    pub fn trials(&mut self, capacity: usize) -> Vec<Trial> {
        while self.running().count() < capacity {
            let Some((id, vector)) = self.propose() else { break };
            let Some(state) = self.state(id, vector) else { break };
            let vector = state.vector.clone().filter(|vector| vector.len() <= LARGEST_RECORDED);
            self.unsaved.push(Record::Issued {
                id: state.id.clone(),
                vector: vector.map(Vector),
                recipe: state.key.clone(),
                duplicate_of: state.duplicate_of.clone(),
            });
            self.insert(state);
        }
        let stages = |id: &TrialId| self.stages(id);
        self.running()
            .take(capacity)
            .map(|state| Trial {
                id: state.id.clone(),
                recipe: state.recipe.clone(),
                stages: stages(&state.id),
            })
            .collect()
    }

    /// A trial that an executor has to run: issued, without a result, and not given up.
    pub fn open_trial(&self, id: &TrialId) -> Option<Trial> {
        let state = self.running().find(|state| state.id == *id)?;
        Some(Trial { id: id.clone(), recipe: state.recipe.clone(), stages: self.stages(id) })
    }

    /// Whether a trial has a result.
    pub fn has_ended(&self, id: &TrialId) -> bool {
        self.ending(id).is_some()
    }

    /// GPU seconds of all trials that have ended.
    pub fn gpu_seconds(&self) -> f64 {
        self.trials.iter().filter_map(|state| Some(state.ending.as_ref()?.gpu_seconds)).sum()
    }

    /// Takes a trial's result.
    ///
    /// # Errors
    /// When the trial does not exist, has a result, or the scores do not fit its stages; the state is then unchanged.
    pub fn record(&mut self, result: TrialResult) -> Result<(), RecordError> {
        self.check(&result)?;
        self.unsaved.push(Record::Finished(result.clone()));
        self.finish(result);
        Ok(())
    }

    /// The time is over: nothing more is searched; the final stages follow. Running search trials are given up.
    pub fn time_exhausted(&mut self) {
        if !self.time_exhausted {
            self.unsaved.push(Record::TimeExhausted);
            self.exhaust_time();
        }
    }

    /// Goes on under another budget. Raising that of a completed search continues it.
    pub fn change_budget(&mut self, budget: Budget) {
        self.unsaved.push(Record::BudgetChanged(budget.clone()));
        self.adopt_budget(budget);
    }

    /// The records since the last call, to be appended to the journal and made durable before anything that follows
    /// from them is done.
    pub fn take_records(&mut self) -> Vec<Record> {
        std::mem::take(&mut self.unsaved)
    }

    /// How the search ended, once it has.
    pub fn outcome(&self) -> Option<Outcome> {
        if let Some((reason, message)) = self.failure() {
            return Some(Outcome::Failed(reason, message));
        }
        let reason = self.search_end()?;
        let finals = self.finals()?;
        finals.iter().all(|id| self.outcome_of(id).is_some()).then_some(Outcome::Completed(reason))
    }

    /// Issued trials that an executor has to run, oldest first.
    fn running(&self) -> impl Iterator<Item = &TrialState> {
        let failed = self.failure().is_some();
        self.trials.iter().filter(move |state| {
            let given_up =
                self.time_exhausted && matches!(state.id, TrialId::Candidate { .. } | TrialId::Greedy(_));
            !failed && !given_up && state.ending.is_none() && state.duplicate_of.is_none()
        })
    }

    fn trial(&self, id: &TrialId) -> Option<&TrialState> {
        self.positions.get(id).map(|&position| &self.trials[position])
    }

    /// A trial's own ending or, for a duplicate, that of the trial it repeats.
    fn ending(&self, id: &TrialId) -> Option<&Ending> {
        let state = self.trial(id)?;
        match &state.duplicate_of {
            Some(original) => self.trial(original)?.ending.as_ref(),
            None => state.ending.as_ref(),
        }
    }

    fn outcome_of(&self, id: &TrialId) -> Option<&TrialOutcome> {
        self.ending(id).map(|ending| &ending.outcome)
    }

    /// Scores of a trial in stage `search`, when it succeeded.
    fn search_scores(&self, id: &TrialId) -> Option<&[Measurement]> {
        self.stage_scores(id, Stage::Search)
    }

    fn stage_scores(&self, id: &TrialId, stage: Stage) -> Option<&[Measurement]> {
        let TrialOutcome::Succeeded(stages) = self.outcome_of(id)? else { return None };
        stages.iter().find(|scores| scores.stage == stage).map(|scores| scores.scores.as_slice())
    }

    /// The fitness by which baselines are ordered and `best` is chosen; `None` until round 0 is in or when the trial
    /// failed or is infeasible.
    fn fitness(&self, id: &TrialId) -> Option<f64> {
        let scores = self.search_scores(id)?;
        let yardstick = self.yardstick.as_ref()?;
        let feasible = yardstick.violation(&self.config().objectives, scores) <= 0.0;
        feasible.then(|| yardstick.fitness(self.config(), scores))
    }

    fn stages(&self, id: &TrialId) -> Vec<Stage> {
        match id {
            TrialId::Final(_) if self.config().held_out.is_empty() => vec![Stage::Test],
            TrialId::Final(_) => vec![Stage::Test, Stage::HeldOut],
            _ => vec![Stage::Search],
        }
    }
}
