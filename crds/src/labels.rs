//! Names that objects of a search carry in a cluster: labels, annotations, containers, volumes, environment.

/// The API group.
pub const GROUP: &str = "mergesearch.dev";
/// The API version with its group, as in a manifest.
pub const API_VERSION: &str = "mergesearch.dev/v1alpha1";
/// The kind of a search.
pub const KIND: &str = "MergeSearch";

/// Label: the name of the search (shortened with a hash above 63 characters).
pub const SEARCH: &str = "mergesearch.dev/search";
/// Label: the uid of the search.
pub const SEARCH_UID: &str = "mergesearch.dev/search-uid";
/// Label: what a Job is for: `preflight`, `merge`, `trial`, `collect`, `publish`, `discard` or `cleanup`.
pub const ROLE: &str = "mergesearch.dev/role";
/// Label (shortened with a hash above 63 characters) and annotation (whole): the trial's identity.
pub const TRIAL: &str = "mergesearch.dev/trial";
/// Label: the attempt of the trial, from 0.
pub const ATTEMPT: &str = "mergesearch.dev/attempt";
/// Label: the generation, from 1, of a trial that belongs to one.
pub const GENERATION: &str = "mergesearch.dev/generation";
/// Annotation: `metadata.generation` of the search when a Job was made.
pub const SEARCH_GENERATION: &str = "mergesearch.dev/search-generation";
/// Annotation: the trials whose candidates a Job merges, with commas between them.
pub const MERGES: &str = "mergesearch.dev/merges";
/// Label of `app.kubernetes.io`: the operator's name.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// The value of [`MANAGED_BY`], and the name under which the operator writes.
pub const OPERATOR: &str = "mergesearch-operator";
/// Kueue's label for the queue of a Job.
pub const QUEUE_NAME: &str = "kueue.x-k8s.io/queue-name";
/// The finalizer of searches that delete their artifacts.
pub const FINALIZER: &str = "mergesearch.dev/artifacts";

/// The container that merges a candidate.
pub const MERGE_CONTAINER: &str = "merge";
/// The container that takes a candidate from the handoff.
pub const FETCH_CONTAINER: &str = "fetch-candidate";
/// The container that reads the results, and the one of every pod that only works for the operator.
pub const REPORT_CONTAINER: &str = "report";
/// The evaluator's second container, for stage `heldout` of a final trial.
pub const HELD_OUT_CONTAINER: &str = "evaluator-heldout";
/// Container names that a template may not use.
pub const RESERVED_CONTAINERS: [&str; 4] =
    [MERGE_CONTAINER, FETCH_CONTAINER, REPORT_CONTAINER, HELD_OUT_CONTAINER];
/// The prefix of volume names that a template may not use.
pub const RESERVED_VOLUME_PREFIX: &str = "mergesearch-";
/// The folder of our volumes in a trial's pod, in which a template may not mount any.
pub const RESERVED_FOLDER: &str = "/mergesearch";
/// The prefix of environment variables that a template may not set.
pub const RESERVED_ENV_PREFIX: &str = "MERGESEARCH_";

/// Environment variable: the folder of the merged checkpoint.
pub const MODEL_DIR: &str = "MERGESEARCH_MODEL_DIR";
/// Environment variable: the folder for results.
pub const RESULTS_DIR: &str = "MERGESEARCH_RESULTS_DIR";
/// Environment variable: the stage, `search`, `test` or `heldout`.
pub const STAGE_VARIABLE: &str = "MERGESEARCH_STAGE";
