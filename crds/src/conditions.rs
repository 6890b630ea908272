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
    /// Accepted: this version can't do what the spec asks for.
    pub const NOT_SUPPORTED: &str = "NotSupported";
    /// Accepted: what may not change while the search runs has changed.
    pub const IMMUTABLE_CHANGED: &str = "ImmutableChanged";

    /// `PoolVerified`: all headers were read and agree.
    pub const VERIFIED: &str = "Verified";
    /// `PoolVerified`: headers are being read.
    pub const VERIFYING: &str = "Verifying";
    /// `PoolVerified`: a checkpoint is missing, damaged, or of another architecture.
    pub const POOL_INVALID: &str = "PoolInvalid";
    /// `PoolVerified`: a checkpoint is not the one that the search began with.
    pub const POOL_CHANGED: &str = "PoolChanged";

    /// Progressing: baselines are evaluated.
    pub const BASELINES: &str = "Baselines";
    /// Progressing: generations of CMA-ES run.
    pub const SEARCHING: &str = "Searching";
    /// Progressing: the finalists are scored on `test` and `heldout`.
    pub const FINAL_SCORES: &str = "FinalScores";
    /// Progressing: a merge is scored on `test` without each of its checkpoints.
    pub const CONTRIBUTION: &str = "Contribution";
    /// Progressing: checkpoints are published.
    pub const PUBLISHING: &str = "Publishing";
    /// Progressing: the spec is not accepted.
    pub const NOT_ACCEPTED: &str = "NotAccepted";
    /// Progressing: the search is suspended.
    pub const SUSPENDED: &str = "Suspended";
    /// Progressing: the search has ended.
    pub const ENDED: &str = "Ended";
    /// Progressing: the search is being deleted, and its artifacts with it.
    pub const DELETING: &str = "Deleting";
    /// Progressing: Jobs wait for admission or for a node.
    pub const QUEUED: &str = "Queued";
    /// Progressing: a quota or Pod Security refuses pods.
    pub const PODS_REFUSED: &str = "PodsRefused";
    /// Progressing: an image can't be pulled.
    pub const IMAGE_PULL_FAILED: &str = "ImagePullFailed";
    /// Progressing: a Secret, `ConfigMap` or volume that a pod needs is missing.
    pub const CONFIGURATION_MISSING: &str = "ConfigurationMissing";
    /// Progressing: the evaluator fails; its trials count as failed.
    pub const EVALUATOR_FAILED: &str = "EvaluatorFailed";
    /// Progressing: a merge can't be published.
    pub const PUBLISH_FAILED: &str = "PublishFailed";
    /// Progressing: storage denies access or does not answer.
    pub const STORAGE_UNAVAILABLE: &str = "StorageUnavailable";
    /// Progressing: candidates vanish from the handoff before they are evaluated.
    pub const CANDIDATE_LOST: &str = "CandidateLost";
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

    /// Event: artifacts of a deleted search stay behind.
    pub const ARTIFACTS_LEFT: &str = "ArtifactsLeft";
    /// Event: a trial failed.
    pub const TRIAL_FAILED: &str = "TrialFailed";
    /// Event: a merge was published.
    pub const PUBLISHED: &str = "Published";
}
