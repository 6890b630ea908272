//! Makes a merge: plans every file, streams the tensors, and leaves the output complete or not looking so.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use mergesearch_recipe::{Align, Recipe};

use crate::budget::Budget;
use crate::carried;
use crate::element::Float;
use crate::job::{Job, Work, jobs, stacked_layers};
use crate::layout::Layout;
use crate::output::{Folder, Preparation, same_place};
use crate::pipeline::{NotFinite, Pipeline};
use crate::pool::Pool;
use crate::provenance;
use crate::publish::RECIPE;
use crate::storage::Stores;
use crate::{Error, Location, Progress, Warning};

/// How a merge is made; nothing here changes a byte of the result but `max_shard_size`.
#[derive(Debug, Clone)]
pub struct MergeOptions {
    /// Memory for tensors and their uploads, in bytes. Default 512 MiB.
    pub memory_budget: u64,
    /// Bytes of tensors in one file, at most, unless one tensor alone is larger. Default 5 GB, as transformers.
    pub max_shard_size: u64,
    /// Threads for arithmetic; twice as many work, as those of local files wait now and then. Default: one for each processor.
    pub threads: usize,
    /// Whether a complete model at the output is replaced. Default no. Of an incomplete one those files are kept that
    /// this very merge finished earlier, by the same version from the same sources, and the others replaced.
    pub overwrite: bool,
    /// Which part of the output is made, when several merges share the work, each on a machine of its own. Default: all.
    pub part: Option<Part>,
}

/// One of several parts of a merge, each some of the output's files, of equally many bytes if the tensors allow. Every part
/// has to be made with the same options but for the index. Whichever is finished last completes the output; a part that is
/// made again changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Which one, from 0.
    pub index: u32,
    /// How many there are, at least 1.
    pub count: u32,
}

impl Default for MergeOptions {
    fn default() -> Self {
        Self {
            memory_budget: 512 << 20,
            max_shard_size: 5_000_000_000,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            overwrite: false,
            part: None,
        }
    }
}

/// What a merge did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergeReport {
    /// Bytes of tensors read.
    pub bytes_read: u64,
    /// Bytes of safetensors files written; those that an earlier attempt finished don't count.
    pub bytes_written: u64,
    /// Whether the output is a whole model; not as long as other parts are missing.
    pub complete: bool,
    /// NaN in the output.
    pub nan: u64,
    /// Infinities in the output.
    pub infinite: u64,
    /// The safetensors files, in order.
    pub shards: Vec<String>,
    /// What a user should know although the merge was made; the pool's own warnings are not repeated.
    pub warnings: Vec<Warning>,
}

/// Merges the pool's checkpoints by the recipe into the folder `output`.
///
/// The recipe's checkpoints are found in the pool by name; they may be fewer. What is last written makes the output
/// complete: `model.safetensors.index.json` for several files of weights, `config.json` for one. Before it is
/// there, no loader takes the folder for a model. When this future is dropped or fails, unfinished files and uploads are
/// removed ([`Stores::close`] waits for the latter).
pub async fn merge(
    stores: &Stores,
    pool: &Pool,
    recipe: &Recipe,
    output: &Location,
    options: &MergeOptions,
    progress: &Progress,
) -> Result<MergeReport, Error> {
    let mut reports = merge_all(stores, pool, vec![Merging::new(recipe, output)], options, progress).await?;
    Ok(reports.remove(0))
}

/// One of several merges of a pool that are made in one pass.
#[derive(Debug, Clone)]
pub struct Merging<'a> {
    /// How the checkpoints are merged.
    pub recipe: &'a Recipe,
    /// The folder that the merge goes into.
    pub output: &'a Location,
    /// Further small files beside it, by name.
    pub(crate) beside: Vec<(&'a str, Bytes)>,
}

impl<'a> Merging<'a> {
    /// A merge with nothing beside it.
    pub const fn new(recipe: &'a Recipe, output: &'a Location) -> Self {
        Self { recipe, output, beside: Vec::new() }
    }

    /// A merge with its recipe beside it, by which [`is_published`](crate::is_published()) knows it again.
    pub fn with_recipe(recipe: &'a Recipe, output: &'a Location) -> Result<Self, Error> {
        let beside = vec![(RECIPE, Bytes::from(recipe.to_yaml()?))];
        Ok(Self { recipe, output, beside })
    }
}

/// Makes several merges of a pool at once: every byte of the pool that all of them need is read once (methods that measure
/// whole tensors first still do so for each merge).
///
/// The recipes may differ in method, groups and seed. The reports, in the same order, all count the bytes read together.
/// Each output is complete as [`merge()`] says, all of them at the end.
pub async fn merge_all(
    stores: &Stores,
    pool: &Pool,
    mergings: Vec<Merging<'_>>,
    options: &MergeOptions,
    progress: &Progress,
) -> Result<Vec<MergeReport>, Error> {
    let recipes: Vec<Recipe> = mergings.iter().map(|merging| merging.recipe.clone()).collect();
    let Some(first) = recipes.first() else { return Ok(Vec::new()) };
    let aligned = match first.align {
        Some(Align::Experts) => Some(pool.aligned(stores, reference(pool, first)?, options).await?),
        None => None,
    };
    let pool = aligned.as_ref().unwrap_or(pool);
    let jobs = jobs(pool, &recipes)?;
    let layout = layout(&jobs, options);
    let outputs: Vec<&Location> = mergings.iter().map(|merging| merging.output).collect();
    if let Some(place) = (1..outputs.len())
        .find(|&place| outputs[..place].iter().any(|earlier| same_place(earlier, outputs[place])))
    {
        return Err(Error::OutputTwice(outputs[place].to_string()));
    }
    let mut folders = Vec::new();
    for merging in &mergings {
        folders.push(Folder::new(merging.output, &layout, &provenance::metadata(pool, merging.recipe)?));
    }
    let sizes =
        folders.iter().flat_map(|folder| (0..layout.shards.len()).map(|place| folder.size(&layout, place)));
    let budget = Budget::divide(options, pool, &jobs, &outputs, sizes.max().unwrap_or(0))?;
    let donor = pool.donor(first)?;
    let in_parts = options.part.is_some();
    let mut finished = vec![true; layout.shards.len()];
    for folder in &folders {
        let preparation = Preparation { overwrite: options.overwrite, shared: in_parts };
        let ready = folder.prepare(stores, pool, &layout, preparation).await?;
        // A file that one of several merges lacks is made for all.
        finished.iter_mut().zip(ready).for_each(|(finished, ready)| *finished &= ready);
    }
    let part = options.part.unwrap_or(Part { index: 0, count: 1 });
    let ours: Vec<usize> = layout.shards_of(part).into_iter().filter(|&place| !finished[place]).collect();
    let ours_jobs =
        || ours.iter().flat_map(|&place| &layout.shards[place].tensors).map(|&place| &jobs[place]);
    let bytes_read = ours_jobs().map(|job| bytes_read(pool, job)).sum();
    let size: u64 = ours_jobs().map(|job| job.output.size).sum();
    progress.begin(bytes_read, size * outputs.len() as u64);
    for merging in &mergings {
        carried::carry(stores, donor, pool.joined.as_deref(), merging.output).await?;
        for (name, content) in &merging.beside {
            stores.put(&merging.output.join(name), content.clone()).await?;
        }
    }
    let pipeline = Pipeline::new(stores, pool, budget, options, progress);
    let mut found = vec![vec![NotFinite::default(); outputs.len()]; jobs.len()];
    for &place in &ours {
        let shard = &layout.shards[place];
        let files: Vec<(Location, Bytes)> = folders
            .iter()
            .map(|folder| (folder.location.join(&shard.file), folder.headers[place].clone()))
            .collect();
        pipeline.write_shard(&jobs, shard, &files, &mut found).await?;
    }
    let (layers, joined) = (stacked_layers(first), pool.joined.as_deref());
    let config = carried::config(&donor.config, main_float(&jobs), layers.as_deref(), joined);
    let mut reports = Vec::new();
    for (place, folder) in folders.iter().enumerate() {
        let found: Vec<NotFinite> = found.iter().map(|found| found[place]).collect();
        reports.push(MergeReport {
            bytes_read,
            bytes_written: ours.iter().map(|&shard| folder.size(&layout, shard)).sum(),
            complete: folder.complete(stores, &layout, config.clone(), in_parts).await?,
            nan: found.iter().map(|found| found.nan).sum(),
            infinite: found.iter().map(|found| found.infinite).sum(),
            shards: layout.shards.iter().map(|shard| shard.file.clone()).collect(),
            warnings: warning(&jobs, &found).into_iter().collect(),
        });
    }
    Ok(reports)
}

/// The member whose experts others are matched with: the base, or else the first checkpoint.
pub(crate) fn reference(pool: &Pool, recipe: &Recipe) -> Result<usize, Error> {
    recipe
        .base
        .as_ref()
        .or_else(|| recipe.checkpoints.first())
        .map_or(Ok(0), |checkpoint| pool.member(checkpoint))
}

/// The output's files: with several merges of parts, so many of equal size that every part has as many.
pub(crate) fn layout(jobs: &[Arc<Job>], options: &MergeOptions) -> Layout {
    let tensors: Vec<_> = jobs.iter().map(|job| job.output.clone()).collect();
    let parts = options.part.map_or(1, |part| part.count);
    Layout::plan(&tensors, options.max_shard_size, parts)
}

/// The first tensor with numbers that aren't finite.
fn warning(jobs: &[Arc<Job>], found: &[NotFinite]) -> Option<Warning> {
    let (job, found) = jobs.iter().zip(found).find(|(_, found)| **found != NotFinite::default())?;
    let (tensor, nan, infinite) = (job.output.name.clone(), found.nan, found.infinite);
    Some(Warning::NotFinite { tensor, nan, infinite })
}

/// Bytes of tensors that a job reads, in all its passes.
pub(crate) fn bytes_read(pool: &Pool, job: &Job) -> u64 {
    let places = || job.members.iter().map(|&member| (member, &pool.tensors[job.tensor].places[member]));
    let adjustments = places().filter_map(|(_, place)| place.adjustment.as_ref());
    // Adapters of one base share its bytes.
    let mut seen = HashSet::new();
    let sources = places().filter(|&(member, _)| seen.insert(pool.source(job.tensor, member)));
    job.passes() * sources.map(|(_, place)| place.size).sum::<u64>()
        + adjustments.map(|adjustment| adjustment.bytes()).sum::<u64>()
}

/// The type of most of the merged bytes, which config.json names.
pub(crate) fn main_float(jobs: &[Arc<Job>]) -> Option<Float> {
    let mut sizes: BTreeMap<_, u64> = BTreeMap::new();
    for job in jobs.iter().filter(|job| job.work != Work::Copy) {
        *sizes.entry(job.output.element).or_default() += job.output.size;
    }
    sizes.into_iter().max_by_key(|(_, size)| *size).and_then(|(element, _)| element.float())
}
