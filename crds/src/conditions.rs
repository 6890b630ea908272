//! The conditions of a search and their reasons.

/// The spec keeps all rules, also those that the API server can't check.
pub const ACCEPTED: &str = "Accepted";
/// Every checkpoint is there, complete, and of one architecture.
pub const POOL_VERIFIED: &str = "PoolVerified";
/// Trials run or will; the reason says what the search is doing or waiting for.
pub const PROGRESSING: &str = "Progressing";
/// `spec.suspend` holds the search.
pub const SUSPENDED: &str = "Suspended";
/// The search has ended with a result.
pub const COMPLETED: &str = "Completed";
/// The search has ended without a result.
pub const FAILED: &str = "Failed";

/// Reasons, used for conditions, Events and metrics alike.
pub mod reason {
    /// Accepted: all rules hold.
    pub const VALID: &str = "Valid";
    /// Accepted: a rule does not hold; the message says which.
    pub const INVALID: &str = "Invalid";

    /// `PoolVerified`: all headers were read and agree.
    pub const VERIFIED: &str = "Verified";
    /// `PoolVerified`: headers are being read.
    pub const VERIFYING: &str = "Verifying";
    /// `PoolVerified`: a checkpoint is missing, damaged, or of another architecture.
    pub const POOL_INVALID: &str = "PoolInvalid";

    /// Progressing: baselines are evaluated.
    pub const BASELINES: &str = "Baselines";
    /// Progressing: generations of CMA-ES run.
    pub const SEARCHING: &str = "Searching";
    /// Progressing: the finalists are scored on `test` and `heldout`.
    pub const FINAL_SCORES: &str = "FinalScores";
    /// Progressing: checkpoints are published.
    pub const PUBLISHING: &str = "Publishing";
    /// Progressing: Jobs wait for admission or for a node.
    pub const QUEUED: &str = "Queued";
    /// Progressing: a quota or Pod Security refuses pods.
    pub const PODS_REFUSED: &str = "PodsRefused";
    /// Progressing: an image can't be pulled.
    pub const IMAGE_PULL_FAILED: &str = "ImagePullFailed";
    /// Progressing: storage denies access or does not answer.
    pub const STORAGE_UNAVAILABLE: &str = "StorageUnavailable";
    /// Progressing: a trial was disrupted several times.
    pub const REPEATED_DISRUPTION: &str = "RepeatedDisruption";
    /// Progressing: attempts of a trial are used up by faults that are not the evaluator's.
    pub const ATTEMPTS_EXHAUSTED: &str = "AttemptsExhausted";
    /// Progressing: a trial's scratch volume is too small for its candidate.
    pub const SCRATCH_TOO_SMALL: &str = "ScratchTooSmall";
    /// Progressing: a node does not answer and holds a trial.
    pub const NODE_LOST: &str = "NodeLost";

    /// Suspended: `spec.suspend` is `true`.
    pub const SUSPENDED_BY_USER: &str = "SuspendedByUser";
    /// Suspended: `spec.suspend` is `false`.
    pub const NOT_SUSPENDED: &str = "NotSuspended";

    /// Completed: `budget.maxTrials` is used up.
    pub const MAX_TRIALS: &str = "MaxTrials";
    /// Completed: `budget.maxDuration` is used up.
    pub const MAX_DURATION: &str = "MaxDuration";
    /// Completed: `budget.maxGpuHours` is used up.
    pub const MAX_GPU_HOURS: &str = "MaxGpuHours";
    /// Completed: CMA-ES has converged.
    pub const CONVERGED: &str = "Converged";

    /// Failed: more trials failed than `budget.maxFailedTrials`.
    pub const MAX_FAILED_TRIALS: &str = "MaxFailedTrials";
    /// Failed: no baseline could be evaluated.
    pub const BASELINES_FAILED: &str = "BaselinesFailed";
    /// Failed: a chunk of the journal is missing or altered.
    pub const JOURNAL_DAMAGED: &str = "JournalDamaged";

    /// Completed or Failed: the search goes on.
    pub const RUNNING: &str = "Running";
}
