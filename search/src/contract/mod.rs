//! What the pods of a search are told, what they answer, and what they leave in object storage.
//!
//! A pod is told one [`Request`] in its environment. It answers one [`Message`] in its container's termination message,
//! which holds 4096 bytes at most, and leaves a [`TrialReport`] as the durable copy of a trial's answer. The executor
//! that writes requests and the program in the pod are built from these types, so neither links the other.

mod message;
mod report;
mod request;

pub use self::message::{FaultClass, Message, PoolFacts, Scores, ScoresError};
pub use self::report::TrialReport;
pub use self::request::{
    Candidate, CleanupRequest, CollectRequest, EnvironmentError, MergeRequest, PreflightRequest,
    PublishRequest, Request, SearchIdentity, StageRequest, StorageAccess, TrialRequest,
};

/// The folder of the merged checkpoint in a trial's pod.
pub const MODEL_FOLDER: &str = "/mergesearch/model";
/// The folder of results in a trial's pod, with one folder for each stage.
pub const RESULTS_FOLDER: &str = "/mergesearch/results";
/// The folder in which persistent volume claims with checkpoints are mounted, each under its own name.
pub const CLAIMS_FOLDER: &str = "/mergesearch/claims";
/// The environment variable with a pod's index in an Indexed Job, which Kubernetes sets.
pub const INDEX_VARIABLE: &str = "JOB_COMPLETION_INDEX";
/// The file with the certificates to trust, where the search names some.
pub const CA_BUNDLE_FILE: &str = "/mergesearch/ca/ca.crt";

/// How a pod's program ends: done, or its answer says what was wrong.
pub mod exit_code {
    /// Done.
    pub const DONE: i32 = 0;
    /// The input is bad and stays bad: no retry helps.
    pub const BAD_INPUT: i32 = 65;
    /// The pool is no longer the one that the search began with.
    pub const POOL_CHANGED: i32 = 66;
    /// The candidate is not where it was handed over: it has to be merged again.
    pub const CANDIDATE_LOST: i32 = 67;
    /// A fault that may pass: another attempt may help.
    pub const TRANSIENT: i32 = 75;
}
