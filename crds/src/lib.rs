//! The `MergeSearch` resource: its types, its rules, and the way from a manifest to a search.
//!
//! - [`MergeSearch`] and [`MergeSearchJournal`] are the resources, one module for each section of the spec. Doc comments
//!   of fields are the descriptions in the CRD and in the reference.
//! - [`Manifest::parse`] reads a manifest as a person wrote it and reports everything that is wrong with it at once.
//! - [`read_journal`] turns the chunks of a search's journal back into its records, and finds damage.
//! - [`search_config()`] turns a spec into the search engine's configuration.
//! - [`files`] are the CRDs and the reference, generated from the types.
//!
//! This crate knows no cluster client, no clock and no environment: both executors use it.

mod budget;
mod cel;
pub mod conditions;
mod defaults;
mod evaluation;
mod execution;
mod generated;
mod journal;
pub mod labels;
mod location;
mod manifest;
mod merge;
mod objectives;
mod pool;
mod publish;
mod quantity;
mod reference;
mod resource;
mod rules;
mod schema;
mod search;
mod search_config;
mod status;
mod storage;

pub use budget::Budget;
pub use evaluation::{EVALUATOR, Evaluation};
pub use execution::{
    Execution, Handoff, ImagePullPolicy, Merger, PoolCache, Scratch, ScratchMedium, Strategy,
};
pub use generated::{GenerateError, files, yaml};
pub use journal::{
    JournalContents, JournalDamage, JournalStart, MergeSearchJournal, MergeSearchJournalSpec, SEAL_BYTES,
    read_journal,
};
pub use kube::core::Duration;
pub use location::{Location, LocationError};
pub use manifest::{Finding, Manifest, ManifestErrors};
pub use merge::{
    Align, Dtype, Granularity, Merge, Method, ParameterRange, Parameters, Tokens, Vocabulary, Weights,
};
pub use objectives::{Bound, Constraint, Direction, HeldOut, Metric, Objective, RelativeBound, StageMetrics};
pub use pool::{Baseline, CheckpointSource, Pool};
pub use publish::Publish;
pub use quantity::bytes;
pub use reference::reference;
pub use resource::{MergeSearch, MergeSearchSpec};
pub use rules::{Place, Plan, check};
pub use search::{Algorithm, Fitness, Greedy, SearchSpec, Start, Stop};
pub use search_config::{SearchConfigError, budget, search_config};
pub use status::{
    BaselineScore, BestTrial, CheckpointWeight, FrontTrial, HeldOutScore, Measurement, MergeSearchStatus,
    ObjectiveScore, PublishedTrial, TrialCounts,
};
pub use storage::{CaBundle, DeletionPolicy, Storage};
