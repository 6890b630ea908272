//! Opens a pool: reads every checkpoint's headers, and finds out whether they can be merged, before anything is.

mod compare;

use std::collections::HashSet;
use std::sync::Arc;

use futures::stream::{self, StreamExt, TryStreamExt};
use mergesearch_recipe::{Align, Checkpoint, CheckpointName, Recipe, TensorPosition, Vocabulary};
use tokio::sync::Mutex;

use self::compare::{compare_configs, compare_tensors, over_base};
use crate::adjustment::Adjustment;
use crate::checkpoint::OpenCheckpoint;
use crate::element::ElementType;
use crate::error::PoolError;
use crate::experts::{self, Found};
use crate::roles::Role;
use crate::storage::{Object, Stores};
use crate::tokenizer;
use crate::vocabulary::{Joined, Rows};
use crate::{Error, MergeOptions, Warning};

/// Checkpoints opened at the same time.
const CHECKPOINTS_AT_ONCE: usize = 8;

/// The checkpoints to open.
#[derive(Debug, Clone)]
pub struct Sources {
    /// At least one. The first is the one that others are compared with, and whose element types the output has.
    pub checkpoints: Vec<Checkpoint>,
    /// The checkpoint that task vectors are taken from, if any method needs one.
    pub base: Option<Checkpoint>,
    /// Whose config, tokenizer and other carried files are used. Default: the base's, else the first checkpoint's.
    pub tokenizer_from: Option<CheckpointName>,
    /// How different vocabularies come together. Default: they have to be equal.
    pub vocabulary: Option<Vocabulary>,
    /// What is matched before a merge: opening fails where there's nothing of the kind.
    pub align: Option<Align>,
}

impl From<&Recipe> for Sources {
    fn from(recipe: &Recipe) -> Self {
        Self {
            checkpoints: recipe.checkpoints.clone(),
            base: recipe.base.clone(),
            tokenizer_from: recipe.tokenizer_from.clone(),
            vocabulary: recipe.vocabulary,
            align: recipe.align,
        }
    }
}

/// Checkpoints that fit each other, every file pinned to the version that was seen. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Pool {
    /// The checkpoints, then the base.
    members: Arc<[OpenCheckpoint]>,
    pub(crate) tensors: Arc<[PoolTensor]>,
    warnings: Vec<Warning>,
    layer_count: Option<u32>,
    /// What the recipes have to say too.
    pub(crate) vocabulary: Option<Vocabulary>,
    pub(crate) joined: Option<Arc<Joined>>,
    /// The tensors with experts matched, once they were.
    aligned: Arc<Mutex<Found>>,
}

/// One tensor of the output and where each member has it.
#[derive(Debug, Clone)]
pub(crate) struct PoolTensor {
    pub(crate) name: String,
    pub(crate) shape: Vec<u64>,
    pub(crate) role: Role,
    /// For each member.
    pub(crate) places: Vec<Place>,
}

/// A tensor's bytes in one member.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) element: ElementType,
    pub(crate) shard: usize,
    pub(crate) offset: u64,
    pub(crate) size: u64,
    /// What makes weights of the bytes' numbers, if they aren't the weights.
    pub(crate) adjustment: Option<Arc<Adjustment>>,
    /// Which rows the output's are, if not these in order.
    pub(crate) rows: Option<Arc<Rows>>,
}

/// A member's pinned files.
#[derive(Debug, Clone, Copy)]
pub struct PinnedSource<'a> {
    /// The checkpoint.
    pub name: &'a CheckpointName,
    /// Where it is.
    pub uri: &'a str,
    /// Its shards with size and version.
    pub files: &'a [Object],
}

impl Pool {
    /// Reads all headers and configs (and the few small tensors that must be equal), and fails on the first thing that
    /// doesn't fit.
    pub async fn open(stores: &Stores, sources: &Sources) -> Result<Self, Error> {
        let checkpoints = || sources.checkpoints.iter().chain(&sources.base);
        let mut names = HashSet::new();
        if let Some(twice) = checkpoints().find(|checkpoint| !names.insert(&checkpoint.name)) {
            return Err(PoolError::DuplicateName(twice.name.clone()).into());
        }
        let members: Vec<OpenCheckpoint> = stream::iter(checkpoints())
            .map(|checkpoint| OpenCheckpoint::open(stores, checkpoint))
            .buffered(CHECKPOINTS_AT_ONCE)
            .try_collect()
            .await?;
        let members = over_base(members, sources.base.is_some())?;
        let first = members.first().ok_or(PoolError::Empty)?;
        let donor = match (&sources.tokenizer_from, &sources.base) {
            (Some(name), _) => members
                .iter()
                .find(|member| member.name == *name)
                .ok_or_else(|| PoolError::NoDonor(name.clone()))?,
            (None, Some(_)) => members.last().unwrap_or(first),
            (None, None) => first,
        };
        if donor.adapter.is_some() {
            return Err(
                PoolError::AdapterAlone { field: "tokenizer_from", adapter: donor.name.clone() }.into()
            );
        }
        compare_configs(&members)?;
        let joined = match sources.vocabulary {
            Some(rule) => {
                let base = sources.base.is_some().then_some(members.len() - 1);
                Some(Joined::new(stores, &members, donor, base, rule).await?)
            }
            None => None,
        };
        let (tensors, mut warnings) = compare_tensors(stores, &members, joined.as_ref()).await?;
        if sources.align == Some(Align::Experts) && !experts::are_in(&tensors) {
            return Err(Error::NoExperts);
        }
        if joined.is_none() {
            warnings.extend(tokenizer::compare(stores, &members, donor).await?);
        }
        warnings.extend(tokenizer::compare_conventions(stores, &members, donor).await?);
        let layer_count = TensorPosition::layer_count(tensors.iter().map(|tensor| tensor.name.as_str()));
        let (vocabulary, joined) = (sources.vocabulary, joined.map(Arc::new));
        Ok(Self {
            members: members.into(),
            tensors: tensors.into(),
            warnings,
            layer_count,
            vocabulary,
            joined,
            aligned: Arc::default(),
        })
    }

    /// What a user should know although the pool can be merged.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Transformer layers, by the tensors' names; none when no name has a number where layers have theirs.
    pub const fn layer_count(&self) -> Option<u32> {
        self.layer_count
    }

    /// Bytes of all shards together.
    pub fn total_bytes(&self) -> u64 {
        // Adapters share their base's.
        let mut seen = HashSet::new();
        let shards = self.members.iter().flat_map(|member| &member.shards);
        shards.filter(|shard| seen.insert(&shard.location)).map(|shard| shard.size).sum()
    }

    /// Numbers in one merged model.
    pub fn parameter_count(&self) -> u64 {
        self.tensors.iter().map(|tensor| tensor.shape.iter().product::<u64>()).sum()
    }

    /// The names of the tensors that are merged, in the output's order.
    pub fn merged_tensors(&self) -> impl Iterator<Item = &str> {
        self.tensors.iter().filter(|tensor| tensor.role == Role::Merged).map(|tensor| tensor.name.as_str())
    }

    /// Every member with the versions of its shards, the base last: the same versions give the same merges.
    pub fn sources(&self) -> impl Iterator<Item = PinnedSource<'_>> {
        self.members.iter().map(|member| PinnedSource {
            name: &member.name,
            uri: &member.uri,
            files: &member.shards,
        })
    }

    /// For every member in the order of [`Pool::sources`], 10 characters that are others as soon as a file of the
    /// checkpoint that matters to a merge is another one.
    pub fn fingerprints(&self) -> Vec<String> {
        self.members.iter().map(|member| member.fingerprint()).collect()
    }

    /// The first member that is an adapter.
    pub(crate) fn adapter(&self) -> Option<&CheckpointName> {
        self.members.iter().find(|member| member.adapter.is_some()).map(|member| &member.name)
    }

    /// The pool with every member's experts in the order of the reference's: found once, by a pass over all experts.
    pub(crate) async fn aligned(
        &self,
        stores: &Stores,
        reference: usize,
        options: &MergeOptions,
    ) -> Result<Self, Error> {
        let mut known = self.aligned.lock().await;
        let tensors = if let Some(tensors) = known.get(&reference) {
            Arc::clone(tensors)
        } else {
            let tensors: Arc<[PoolTensor]> = experts::aligned(stores, self, reference, options).await?.into();
            known.insert(reference, Arc::clone(&tensors));
            tensors
        };
        Ok(Self { tensors, ..self.clone() })
    }

    /// The member whose config, tokenizer and other files a merge gets.
    pub(crate) fn donor(&self, recipe: &Recipe) -> Result<&OpenCheckpoint, Error> {
        let donor = recipe.donor().map_or(Ok(0), |donor| self.member(donor))?;
        Ok(&self.members[donor])
    }

    pub(crate) fn members(&self) -> &[OpenCheckpoint] {
        &self.members
    }

    /// The file that a member has a tensor in, and where its bytes begin: the same for all that share them.
    pub(crate) fn source(&self, tensor: usize, member: usize) -> (&Object, u64) {
        let place = &self.tensors[tensor].places[member];
        (&self.members[member].shards[place.shard], place.offset)
    }

    /// The index of a recipe's checkpoint among the members.
    pub(crate) fn member(&self, checkpoint: &Checkpoint) -> Result<usize, Error> {
        let found = self
            .members
            .iter()
            .position(|member| member.name == checkpoint.name && member.uri == checkpoint.uri);
        found.ok_or_else(|| Error::NotInPool {
            checkpoint: checkpoint.name.clone(),
            uri: checkpoint.uri.clone(),
        })
    }
}
