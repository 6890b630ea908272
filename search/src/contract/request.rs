//! Requests: what one pod has to do, complete, so that it needs nothing but object storage.

use std::fmt::Write as _;

use mergesearch_recipe::{Align, Checkpoint, CheckpointName, Dtype, Recipe, Vocabulary};
use serde::{Deserialize, Serialize};

use crate::results::MetricName;
use crate::trial::{Stage, TrialId};

/// The environment variable that begins a request; further parts are `MERGESEARCH_REQUEST_1` and so on.
const VARIABLE: &str = "MERGESEARCH_REQUEST";
/// The folder of candidates in a search's own.
const CANDIDATES: &str = "candidates";
/// Linux takes no more than 128 KiB in one variable.
const PART_BYTES: usize = 96 * 1024;

/// Which search a pod works for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SearchIdentity {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid: a search that was deleted and made again is another one.
    pub uid: String,
}

impl SearchIdentity {
    /// The folder of everything that the search leaves: `OUTPUT/NAMESPACE/NAME/UID`.
    pub fn folder(&self, output: &str) -> String {
        format!("{}/{}/{}/{}", output.trim_end_matches('/'), self.namespace, self.name, self.uid)
    }

    /// The folder of one trial's report and results within [`Self::folder`].
    pub fn trial_folder(&self, output: &str, trial: &TrialId) -> String {
        format!("{}/trials/{trial}", self.folder(output))
    }

    /// The folder of all candidates on their way from the pods that merge to those that evaluate.
    pub fn candidates_folder(&self, handoff: &str) -> String {
        format!("{}/{CANDIDATES}", self.folder(handoff))
    }

    /// The folder of one trial's candidate within [`Self::candidates_folder`].
    pub fn candidate_folder(&self, handoff: &str, trial: &TrialId) -> String {
        format!("{}/{trial}", self.candidates_folder(handoff))
    }

    /// Whether everything in a folder is the search's own, so that it may be deleted.
    pub fn owns(&self, folder: &str) -> bool {
        let own = self.folder("");
        let folder = folder.trim_end_matches('/');
        let ends = [own.clone(), format!("{own}/{CANDIDATES}")];
        !own.contains("//") && ends.iter().any(|end| folder.ends_with(end))
    }
}

/// How object storage is reached. Credentials come from the environment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StorageAccess {
    /// The server; Amazon's when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Whether the bucket goes into the path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_style: Option<bool>,
}

/// What one pod has to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum Request {
    /// Read the pool's headers and try the output. Answered by [`Message::Pool`](super::Message::Pool).
    Preflight(PreflightRequest),
    /// Merge candidates into the handoff, for pods that evaluate them. Answered by [`Message::Done`](super::Message::Done).
    Merge(Box<MergeRequest>),
    /// Merge one candidate, or take it from the handoff; read its results. Answered by [`Message::Scores`](super::Message::Scores).
    Trial(Box<TrialRequest>),
    /// Read a trial's report instead of its lost message. Answered by `Scores` or `Absent`.
    Collect(CollectRequest),
    /// Publish one merge. Answered by [`Message::Published`](super::Message::Published).
    Publish(Box<PublishRequest>),
    /// Delete what the search left. Answered by [`Message::Done`](super::Message::Done).
    Cleanup(CleanupRequest),
}

/// See [`Request::Preflight`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PreflightRequest {
    /// For whom.
    pub search: SearchIdentity,
    /// How storage is reached.
    pub storage: StorageAccess,
    /// The pool, in manifest order.
    pub checkpoints: Vec<Checkpoint>,
    /// The base, if any.
    pub base: Option<Checkpoint>,
    /// Element type of candidates, when the manifest says one.
    pub dtype: Option<Dtype>,
    /// Whose tokenizer a candidate gets, when the manifest says so.
    pub tokenizer_from: Option<CheckpointName>,
    /// How vocabularies come together, when the manifest says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vocabulary: Option<Vocabulary>,
    /// What is matched between checkpoints, when the manifest says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub align: Option<Align>,
    /// Largest shard of a candidate, in bytes.
    pub max_shard_size: u64,
    /// URIs of folders that must be writable: the search's own, and where merges are published.
    pub outputs: Vec<String>,
}

/// See [`Request::Merge`]. Each pod of an Indexed Job makes some of every candidate's files; its index is in the environment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MergeRequest {
    /// For whom.
    pub search: SearchIdentity,
    /// How storage is reached.
    pub storage: StorageAccess,
    /// What to merge, all from the same checkpoints, which are read once.
    pub candidates: Vec<Candidate>,
    /// Fingerprints of the recipes' checkpoints and then their base, as preflight gave them.
    pub fingerprints: Vec<String>,
    /// How many pods share the work.
    pub parts: u32,
    /// Largest shard of a candidate, in bytes.
    pub max_shard_size: u64,
    /// Memory for the merge in bytes; the merger's default when not given.
    pub memory: Option<u64>,
}

/// One merge of several.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Candidate {
    /// Whose candidate it is.
    pub trial: TrialId,
    /// What to merge.
    pub recipe: Recipe,
    /// URI of the folder that it goes into.
    pub output: String,
}

/// See [`Request::Trial`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TrialRequest {
    /// For whom.
    pub search: SearchIdentity,
    /// How storage is reached.
    pub storage: StorageAccess,
    /// Which trial.
    pub trial: TrialId,
    /// Which attempt at it, from 0.
    pub attempt: u32,
    /// What to merge.
    pub recipe: Recipe,
    /// Hash of the canonical recipe.
    pub recipe_hash: String,
    /// Fingerprints of the recipe's checkpoints and then its base, as preflight gave them.
    pub fingerprints: Vec<String>,
    /// What is read from the results of each stage.
    pub stages: Vec<StageRequest>,
    /// Largest shard of a candidate, in bytes.
    pub max_shard_size: u64,
    /// Memory for the merge in bytes; the merger's default when not given.
    pub memory: Option<u64>,
    /// URI of the folder for the report and the results.
    pub output: String,
    /// URI of the folder in the handoff where the merged candidate lies; none when the pod itself merges.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidate: Option<String>,
}

/// A stage and the metrics that are read from its results.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StageRequest {
    /// The stage.
    pub stage: Stage,
    /// The metrics, in the order in which their values are answered.
    pub metrics: Vec<MetricName>,
}

/// See [`Request::Collect`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CollectRequest {
    /// For whom: a report of another search is refused.
    pub search: SearchIdentity,
    /// How storage is reached.
    pub storage: StorageAccess,
    /// Which trial.
    pub trial: TrialId,
    /// Hash of the canonical recipe: a report of another merge is refused.
    pub recipe_hash: String,
    /// Stages and metrics that the report must have.
    pub stages: Vec<StageRequest>,
    /// URI of the folder with the report.
    pub output: String,
}

/// See [`Request::Publish`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PublishRequest {
    /// For whom.
    pub search: SearchIdentity,
    /// How storage is reached.
    pub storage: StorageAccess,
    /// Which trial.
    pub trial: TrialId,
    /// What to merge.
    pub recipe: Recipe,
    /// Fingerprints of the recipe's checkpoints and then its base, as preflight gave them.
    pub fingerprints: Vec<String>,
    /// Scores for the model card: name, and a value as text, in the order shown.
    pub scores: Vec<(String, String)>,
    /// Largest shard, in bytes.
    pub max_shard_size: u64,
    /// Memory for the merge in bytes; the merger's default when not given.
    pub memory: Option<u64>,
    /// URI of the folder to publish in.
    pub output: String,
}

/// See [`Request::Cleanup`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CleanupRequest {
    /// For whom.
    pub search: SearchIdentity,
    /// How storage is reached.
    pub storage: StorageAccess,
    /// URIs of the folders to delete with everything in them: the search's own, or the one of its candidates.
    pub folders: Vec<String>,
}

/// Why the environment holds no request.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnvironmentError {
    /// Not set.
    #[error("{VARIABLE}: not set; this command runs in pods that the operator makes")]
    Missing,
    /// Not a request.
    #[error("{VARIABLE}: no request of this version: {0}")]
    Malformed(#[from] serde_json::Error),
}

impl Request {
    /// The environment variables that hold the request: names and values.
    ///
    /// # Errors
    /// When a number is not finite.
    pub fn to_environment(&self) -> Result<Vec<(String, String)>, serde_json::Error> {
        // Kubernetes replaces $(NAME) in values; in JSON a dollar sign stands in strings only and can be escaped.
        let json = serde_json::to_string(self)?.replace('$', "\\u0024");
        let mut parts = Vec::new();
        let mut rest = json.as_str();
        while !rest.is_empty() {
            let (part, after) = rest.split_at(rest.floor_char_boundary(PART_BYTES));
            parts.push((variable(parts.len()), part.to_owned()));
            rest = after;
        }
        Ok(parts)
    }

    /// Reads the request that [`Self::to_environment`] wrote.
    ///
    /// # Errors
    /// When there is none, or one of another version.
    pub fn from_environment(value_of: impl Fn(&str) -> Option<String>) -> Result<Self, EnvironmentError> {
        let parts = (0..).map(variable).map_while(|name| value_of(&name));
        let json: String = parts.collect();
        if json.is_empty() {
            return Err(EnvironmentError::Missing);
        }
        Ok(serde_json::from_str(&json)?)
    }
}

fn variable(part: usize) -> String {
    let mut name = VARIABLE.to_owned();
    if part > 0 {
        // Writing to a String can't fail.
        let _ = write!(name, "_{part}");
    }
    name
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn request(checkpoints: usize) -> Request {
        let name = |index: usize| CheckpointName::try_from(format!("sft-{index}")).unwrap();
        Request::Preflight(PreflightRequest {
            search: SearchIdentity { namespace: "team".into(), name: "recycle".into(), uid: "1-2".into() },
            storage: StorageAccess::default(),
            checkpoints: (0..checkpoints)
                .map(|index| Checkpoint { name: name(index), uri: format!("s3://models/$(HOME)/ä/{index}") })
                .collect(),
            base: None,
            dtype: None,
            tokenizer_from: None,
            vocabulary: None,
            align: None,
            max_shard_size: 5_000_000_000,
            outputs: vec!["s3://models/out".into()],
        })
    }

    #[test]
    fn a_request_passes_through_the_environment_whatever_its_size() {
        for checkpoints in [2, 256, 10_000] {
            let request = request(checkpoints);
            let environment = request.to_environment().unwrap();
            assert!(environment.iter().all(|(_, value)| value.len() <= PART_BYTES && !value.contains('$')));
            let environment: BTreeMap<String, String> = environment.into_iter().collect();
            let read = Request::from_environment(|name| environment.get(name).cloned()).unwrap();
            assert_eq!(read, request);
        }
    }

    #[test]
    fn only_a_searchs_own_folders_may_be_deleted() {
        let search = SearchIdentity { namespace: "team".into(), name: "recycle".into(), uid: "1-2".into() };
        let trial = "g0004-c012".parse().unwrap();
        assert_eq!(
            search.candidate_folder("s3://scratch/", &trial),
            "s3://scratch/team/recycle/1-2/candidates/g0004-c012"
        );
        assert!(search.owns(&search.folder("s3://a")) && search.owns(&search.candidates_folder("pvc://b")));
        for other in
            ["s3://a", "s3://a/team/recycle", "s3://a/team/recycle/1-3", "s3://a/team/recycle/1-2/trials"]
        {
            assert!(!search.owns(other), "{other}");
        }
        let nameless = SearchIdentity { name: String::new(), ..search };
        assert!(!nameless.owns(&nameless.folder("s3://a")));
    }

    #[test]
    fn what_is_no_request_is_said() {
        let missing = Request::from_environment(|_| None).unwrap_err().to_string();
        assert!(missing.starts_with("MERGESEARCH_REQUEST: not set"), "{missing}");
        let other = |name: &str| (name == VARIABLE).then(|| r#"{"kind":"other"}"#.to_owned());
        let malformed = Request::from_environment(other).unwrap_err().to_string();
        assert!(malformed.contains("no request of this version"), "{malformed}");
    }
}
