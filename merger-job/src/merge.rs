//! Makes a merge: plans every file, streams the tensors, and leaves the output complete or not looking so.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use mergesearch_recipe::Recipe;

use crate::budget::Budget;
use crate::carried;
use crate::element::Float;
use crate::job::{Job, Work, jobs, stacked_layers};
use crate::layout::Layout;
use crate::pipeline::{NotFinite, Pipeline};
use crate::pool::Pool;
use crate::storage::Stores;
use crate::{Error, Location, Progress, Warning};

/// How a merge is made; nothing here changes a byte of the result but `max_shard_size`.
#[derive(Debug, Clone)]
pub struct MergeOptions {
    /// Memory for tensors and their uploads, in bytes. Default 512 MiB.
    pub memory_budget: u64,
    /// Bytes of tensors in one file, at most, unless one tensor alone is larger. Default 5 GB, as transformers.
    pub max_shard_size: u64,
    /// Threads for arithmetic. Default: one for each processor.
    pub threads: usize,
    /// Whether a complete model at the output is replaced. Default no. An incomplete one always is.
    pub overwrite: bool,
}

impl Default for MergeOptions {
    fn default() -> Self {
        Self {
            memory_budget: 512 << 20,
            max_shard_size: 5_000_000_000,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            overwrite: false,
        }
    }
}

/// What a merge did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergeReport {
    /// Bytes of tensors read.
    pub bytes_read: u64,
    /// Bytes of safetensors files written.
    pub bytes_written: u64,
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
    let jobs = jobs(pool, &recipes)?;
    let tensors: Vec<_> = jobs.iter().map(|job| job.output.clone()).collect();
    let layout = Layout::plan(&tensors, options.max_shard_size);
    let largest = layout.shards.iter().map(|shard| shard.size).max().unwrap_or(0);
    let outputs: Vec<&Location> = mergings.iter().map(|merging| merging.output).collect();
    let budget = Budget::divide(options, pool, &jobs, &outputs, largest)?;
    let donor = pool.donor(first)?;
    for (place, output) in outputs.iter().enumerate() {
        if outputs[..place].iter().any(|earlier| same_place(earlier, output)) {
            return Err(Error::OutputTwice(output.to_string()));
        }
        clear(stores, pool, output, options.overwrite).await?;
    }
    let bytes_read = jobs.iter().map(|job| bytes_read(pool, job)).sum();
    let size: u64 = tensors.iter().map(|tensor| tensor.size).sum();
    progress.begin(bytes_read, size * outputs.len() as u64);
    for merging in &mergings {
        carried::carry(stores, donor, merging.output).await?;
        for (name, content) in &merging.beside {
            stores.put(&merging.output.join(name), content.clone()).await?;
        }
    }
    let pipeline = Pipeline::new(stores, pool, budget, options, progress);
    let mut found = vec![vec![NotFinite::default(); outputs.len()]; jobs.len()];
    for shard in &layout.shards {
        let files: Vec<Location> = outputs.iter().map(|output| output.join(&shard.file)).collect();
        pipeline.write_shard(&jobs, shard, &files, &mut found).await?;
    }
    let config = carried::config(&donor.config, main_float(&jobs), stacked_layers(first).as_deref());
    for output in &outputs {
        stores.put(&output.join("config.json"), config.clone()).await?;
        if let Some(index) = &layout.index {
            stores.put(&output.join("model.safetensors.index.json"), index.clone()).await?;
        }
    }
    let reports = (0..outputs.len()).map(|place| {
        let found: Vec<NotFinite> = found.iter().map(|found| found[place]).collect();
        report(&jobs, &layout, bytes_read, &found)
    });
    Ok(reports.collect())
}

fn report(jobs: &[Arc<Job>], layout: &Layout, bytes_read: u64, found: &[NotFinite]) -> MergeReport {
    let first = jobs.iter().zip(found).find(|(_, found)| **found != NotFinite::default());
    let warnings = first.map(|(job, found)| Warning::NotFinite {
        tensor: job.output.name.clone(),
        nan: found.nan,
        infinite: found.infinite,
    });
    MergeReport {
        bytes_read,
        bytes_written: layout.shards.iter().map(|shard| shard.size).sum(),
        nan: found.iter().map(|found| found.nan).sum(),
        infinite: found.iter().map(|found| found.infinite).sum(),
        shards: layout.shards.iter().map(|shard| shard.file.clone()).collect(),
        warnings: warnings.into_iter().collect(),
    }
}

/// Makes room at the output: refuses a source's own place and a complete model, removes what is left of a former one.
async fn clear(stores: &Stores, pool: &Pool, output: &Location, overwrite: bool) -> Result<(), Error> {
    for member in pool.members() {
        if same_place(&member.location, output) {
            let checkpoint = member.name.clone();
            return Err(Error::OutputIsSource { output: output.to_string(), checkpoint });
        }
    }
    stores.check_writable(output).await?;
    let names: Vec<String> = stores.list(output).await?.into_iter().map(|entry| entry.name).collect();
    let has = |name: &str| names.iter().any(|found| found == name);
    if is_complete(has) && !overwrite {
        return Err(Error::OutputExists(output.to_string()));
    }
    // What makes a model complete goes first.
    let markers = ["model.safetensors.index.json", "config.json"];
    let markers = markers.into_iter().filter(|name| has(name));
    let weights = names.iter().map(String::as_str).filter(|name| is_weights(name));
    for name in markers.chain(weights) {
        stores.delete(&output.join(name)).await?;
    }
    Ok(())
}

/// Whether a folder that has these files is a whole model.
pub(crate) fn is_complete(has: impl Fn(&str) -> bool) -> bool {
    has("config.json") && (has("model.safetensors") || has("model.safetensors.index.json"))
}

/// Whether a merge may have written the file: `model.safetensors`, `model-00001-of-00002.safetensors`.
fn is_weights(name: &str) -> bool {
    let Some(middle) = name.strip_prefix("model").and_then(|rest| rest.strip_suffix(".safetensors")) else {
        return false;
    };
    let number = |text: &str| text.len() >= 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    let numbers = middle.strip_prefix('-').and_then(|middle| middle.split_once("-of-"));
    middle.is_empty() || numbers.is_some_and(|(shard, count)| number(shard) && number(count))
}

/// Whether the two are one folder, also through links.
fn same_place(source: &Location, output: &Location) -> bool {
    match (source, output) {
        (Location::File(source), Location::File(output)) => {
            let real = |path: &std::path::Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
            real(source) == real(output)
        }
        _ => source == output,
    }
}

/// Bytes of tensors that a job reads, in all its passes.
pub(crate) fn bytes_read(pool: &Pool, job: &Job) -> u64 {
    let sizes = job.members.iter().map(|&member| pool.tensors[job.tensor].places[member].size);
    job.passes() * sizes.sum::<u64>()
}

/// The type of most of the merged bytes, which config.json names.
pub(crate) fn main_float(jobs: &[Arc<Job>]) -> Option<Float> {
    let mut sizes: BTreeMap<_, u64> = BTreeMap::new();
    for job in jobs.iter().filter(|job| job.work != Work::Copy) {
        *sizes.entry(job.output.element).or_default() += job.output.size;
    }
    sizes.into_iter().max_by_key(|(_, size)| *size).and_then(|(element, _)| element.float())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_merge_writes_is_removed() {
        assert!(is_weights("model.safetensors") && is_weights("model-00001-of-00002.safetensors"));
        for name in
            ["model-a-of-b.safetensors", "adapter_model.safetensors", "model.safetensors.bak", "model-1"]
        {
            assert!(!is_weights(name), "{name}");
        }
    }
}
