//! What pods are told, and the names and hashes that operator and pods have in common.

use k8s_openapi::api::core::v1::Container;
use mergesearch_crds::{DeletionPolicy, Handoff, MergeSearch, bytes};
use mergesearch_recipe::{Checkpoint, Recipe};
use mergesearch_search::contract::{
    Candidate, CleanupRequest, CollectRequest, MergeRequest, PreflightRequest, PublishRequest, Request,
    SearchIdentity, StageRequest, StorageAccess, TrialRequest,
};
use mergesearch_search::{SearchConfig, Stage, Trial, TrialId};
use sha2::{Digest as _, Sha256};

use super::Blueprint;
use crate::identity::{Work, hexadecimal};

/// A shard's size when the spec's quantity is none, which its rules exclude: that of the Hugging Face libraries.
const MAX_SHARD_SIZE: u64 = 5_000_000_000;

/// Which search a resource of the cluster is.
pub fn identity(resource: &MergeSearch) -> SearchIdentity {
    let metadata = &resource.metadata;
    SearchIdentity {
        namespace: metadata.namespace.clone().unwrap_or_default(),
        name: metadata.name.clone().unwrap_or_default(),
        uid: metadata.uid.clone().unwrap_or_default(),
    }
}

/// The URI of the folder that a trial's merge is published in.
pub fn published_uri(resource: &MergeSearch, trial: &TrialId) -> String {
    format!("{}/{trial}", publish_folder(resource))
}

fn publish_folder(resource: &MergeSearch) -> String {
    match &resource.spec.publish.uri {
        Some(uri) => uri.trim_end_matches('/').to_owned(),
        None => format!("{}/published", identity(resource).folder(&resource.spec.storage.output)),
    }
}

/// The folders that a search leaves: its candidates, and with `artifacts` all that is deleted with it.
pub fn left_folders(resource: &MergeSearch, artifacts: bool) -> Vec<String> {
    let search = identity(resource);
    let storage = &resource.spec.storage;
    let deletes = artifacts && storage.deletion_policy == DeletionPolicy::Delete;
    let handoff = resource.spec.execution.handoff.as_ref().and_then(Handoff::location);
    let candidates = handoff.map(|handoff| search.candidates_folder(&handoff));
    deletes.then(|| search.folder(&storage.output)).into_iter().chain(candidates).collect()
}

/// What is read from the results of each stage: the metrics of the objectives, or the held-out ones, in the order of the
/// configuration.
pub fn stage_requests(config: &SearchConfig, stages: &[Stage]) -> Vec<StageRequest> {
    let metrics = |stage: Stage| match stage {
        Stage::Search | Stage::Test => {
            config.objectives.iter().filter_map(|objective| objective.metric.get(&stage).cloned()).collect()
        }
        Stage::HeldOut => config.held_out.iter().map(|held_out| held_out.metric.clone()).collect(),
    };
    stages.iter().map(|&stage| StageRequest { stage, metrics: metrics(stage) }).collect()
}

/// SHA-256 of a recipe's canonical form, in hexadecimal.
pub fn recipe_hash(recipe: &Recipe) -> String {
    hexadecimal(&Sha256::digest(recipe.canonical()))
}

/// SHA-256 of what an evaluator runs, in hexadecimal: its image, command, args and env, which may not change in a
/// search.
#[expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "JSON fails only on maps with other keys than strings"
)]
pub fn evaluator_hash(evaluator: &Container) -> String {
    let Container { image, command, args, env, .. } = evaluator;
    // An empty list is no list. The order of variables counts: later ones may refer to earlier ones.
    let (command, args) = (command.as_deref().unwrap_or_default(), args.as_deref().unwrap_or_default());
    let env = env.as_deref().unwrap_or_default();
    let json =
        serde_json::to_vec(&(image, command, args, env)).expect("lists of strings always have a JSON form");
    hexadecimal(&Sha256::digest(json))
}

impl Blueprint<'_> {
    /// What the pod of a piece of work is told.
    pub(super) fn request(&self, work: &Work, attempt: u32) -> Request {
        let search = identity(self.resource);
        let storage = self.storage_access();
        let output = &self.resource.spec.storage.output;
        match work {
            Work::Preflight => Request::Preflight(self.preflight(search, storage)),
            Work::Merge(trials) => Request::Merge(Box::new(self.merge(trials, search, storage))),
            Work::Trial(Trial { id, recipe, stages }) => Request::Trial(Box::new(TrialRequest {
                output: search.trial_folder(output, id),
                search,
                storage,
                trial: id.clone(),
                attempt,
                recipe: recipe.clone(),
                recipe_hash: recipe_hash(recipe),
                fingerprints: self.fingerprints(recipe),
                stages: stage_requests(self.config, stages),
                max_shard_size: self.max_shard_size(),
                memory: self.merger_memory(true),
                candidate: self.handed(id).map(|handed| handed.uri),
            })),
            Work::Collect(Trial { id, recipe, stages }) => Request::Collect(CollectRequest {
                output: search.trial_folder(output, id),
                search,
                storage,
                trial: id.clone(),
                recipe_hash: recipe_hash(recipe),
                stages: stage_requests(self.config, stages),
            }),
            Work::Publish { trial, recipe, scores } => Request::Publish(Box::new(PublishRequest {
                search,
                storage,
                trial: trial.clone(),
                recipe: recipe.clone(),
                fingerprints: self.fingerprints(recipe),
                scores: scores.clone(),
                max_shard_size: self.max_shard_size(),
                memory: self.merger_memory(false),
                output: published_uri(self.resource, trial),
            })),
            Work::Discard | Work::Cleanup => {
                let folders = left_folders(self.resource, matches!(work, Work::Cleanup));
                Request::Cleanup(CleanupRequest { folders, search, storage })
            }
        }
    }

    fn merge(&self, trials: &[Trial], search: SearchIdentity, storage: StorageAccess) -> MergeRequest {
        let candidate = |Trial { id, recipe, .. }: &Trial| Candidate {
            trial: id.clone(),
            recipe: recipe.clone(),
            output: self.handed(id).map(|handed| handed.uri).unwrap_or_default(),
        };
        MergeRequest {
            search,
            storage,
            candidates: trials.iter().map(candidate).collect(),
            fingerprints: trials.first().map(|trial| self.fingerprints(&trial.recipe)).unwrap_or_default(),
            parts: self.resource.spec.execution.merger.parallelism.max(1).unsigned_abs(),
            max_shard_size: self.max_shard_size(),
            memory: self.merger_memory(false),
        }
    }

    fn preflight(&self, search: SearchIdentity, storage: StorageAccess) -> PreflightRequest {
        let config = self.config;
        let own = search.folder(&self.resource.spec.storage.output);
        let publishes = self.resource.spec.publish.top > 0;
        let handoff = self.handoff().map(|handoff| search.candidates_folder(&handoff));
        PreflightRequest {
            search,
            storage,
            checkpoints: config.checkpoints.clone(),
            base: config.base.clone(),
            dtype: config.dtype,
            tokenizer_from: config.tokenizer_from.clone(),
            vocabulary: config.vocabulary,
            align: config.align,
            max_shard_size: self.max_shard_size(),
            outputs: [own]
                .into_iter()
                .chain(publishes.then(|| publish_folder(self.resource)))
                .chain(handoff)
                .collect(),
        }
    }

    fn storage_access(&self) -> StorageAccess {
        let storage = &self.resource.spec.storage;
        StorageAccess {
            endpoint: storage.endpoint.clone(),
            region: storage.region.clone(),
            path_style: storage.path_style,
        }
    }

    fn max_shard_size(&self) -> u64 {
        bytes(&self.resource.spec.merge.max_shard_size).unwrap_or(MAX_SHARD_SIZE)
    }

    /// Those of the recipe's checkpoints and then its base, or none when one of them is not known.
    fn fingerprints(&self, recipe: &Recipe) -> Vec<String> {
        let known = self.start.map(|start| start.fingerprints.as_slice()).unwrap_or_default();
        let pool = || self.config.checkpoints.iter().chain(&self.config.base).zip(known);
        let of = |wanted: &Checkpoint| {
            pool()
                .find(|(checkpoint, _)| checkpoint.name == wanted.name)
                .map(|(_, fingerprint)| fingerprint.clone())
        };
        recipe.checkpoints.iter().chain(&recipe.base).map(of).collect::<Option<_>>().unwrap_or_default()
    }
}
