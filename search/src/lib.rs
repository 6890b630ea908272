//! The search engine: CMA-ES over merge recipes as a pure, deterministic, replayable state machine.
//!
//! An executor asks which trials should run ([`Search::trials`]), makes the records durable
//! ([`Search::take_records`]), merges and evaluates, and tells the results ([`Search::record`]), until there is an
//! [`Search::outcome`]. [`Search::replay`] of the records gives the same state bit for bit, on any machine.
//!
//! This crate knows no clock, no file, no network, no environment and no thread.

pub mod archive;
pub mod cma;
mod config;
pub mod contract;
mod eigen;
pub mod encoding;
mod fitness;
pub mod hypervolume;
mod journal;
mod problem;
pub mod random;
pub mod results;
mod search;
mod trial;

pub use config::{
    Baseline, Bound, Budget, ConfigError, Direction, Fitness, Granularity, HeldOut, Lambda, Objective,
    Reference, SearchConfig, Start,
};
pub use fitness::fitness_weights;
pub use journal::{Chain, Journal, JournalError, Record, Vector};
pub use search::{
    EndReason, FailReason, GenerationSummary, LARGE_WEIGHTS, Outcome, Phase, Progress, RecordError,
    ReplayError, Row, Search,
};
pub use trial::{Stage, StageScores, Trial, TrialId, TrialIdError, TrialOutcome, TrialResult, TrialTime};
