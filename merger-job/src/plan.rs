//! What merges will read, write and hold in memory, known from headers alone.

use std::fmt;

use bytesize::ByteSize;
use mergesearch_recipe::{Align, Recipe};

use crate::budget::Budget;
use crate::carried::{self, is_carried};
use crate::experts;
use crate::job::{jobs, stacked_layers};
use crate::merge::{bytes_read, layout, main_float, reference};
use crate::output::Folder;
use crate::pool::Pool;
use crate::provenance;
use crate::{Error, Location, MergeOptions, Part};

/// What one merge, or several in one pass over the pool, will take. Shown as a few lines of text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// How many merges.
    pub merges: usize,
    /// Tensors of each output.
    pub tensors: usize,
    /// Numbers in each output.
    pub parameters: u64,
    /// Bytes of tensors read, all passes together.
    pub bytes_read: u64,
    /// Bytes of safetensors files written, all merges together.
    pub bytes_written: u64,
    /// Bytes of the other files of one output: config, index, tokenizer and what else comes along.
    pub bytes_beside: u64,
    /// Bytes of tensors and uploads in memory at the same time, at most, on each machine.
    pub peak_memory: u64,
    /// How often the sources are read: more than once when a method first needs something of whole tensors, for each merge.
    pub passes: u64,
    /// The files with tensors of each output and their bytes.
    pub shards: Vec<(String, u64)>,
    /// What each machine does that shares the work; one if it isn't shared.
    pub parts: Vec<PartPlan>,
}

/// One machine's part of the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartPlan {
    /// Bytes of tensors read.
    pub bytes_read: u64,
    /// Bytes of safetensors files written.
    pub bytes_written: u64,
}

impl PartPlan {
    /// Bytes moved either way.
    pub const fn bytes(&self) -> u64 {
        self.bytes_read.saturating_add(self.bytes_written)
    }
}

impl Plan {
    /// Bytes moved by the machine that moves most: what the time of all depends on.
    pub fn longest(&self) -> u64 {
        self.parts.iter().map(PartPlan::bytes).max().unwrap_or(0)
    }
}

/// Plans the merges that [`crate::merge_all()`] would make into places like `output`, whose kind counts, as uploads take
/// memory. Where the options name a part, all parts are planned.
pub fn plan(
    pool: &Pool,
    recipes: &[Recipe],
    output: &Location,
    options: &MergeOptions,
) -> Result<Plan, Error> {
    let jobs = jobs(pool, recipes)?;
    let Some(first) = recipes.first() else { return Err(Error::NoRecipe) };
    let layout = layout(&jobs, options);
    // Sizes of headers don't depend on the recipe.
    let folder = Folder::new(output, &layout, &provenance::metadata(pool, first)?);
    let size = |place: usize| folder.size(&layout, place);
    let largest = (0..layout.shards.len()).map(size).max().unwrap_or(0);
    let budget = Budget::divide(options, pool, &jobs, &vec![output; recipes.len()], largest)?;
    let count = options.part.map_or(1, |part| part.count);
    let mut parts: Vec<PartPlan> = (0..count)
        .map(|index| {
            let shards = layout.shards_of(Part { index, count });
            let tensors = shards.iter().flat_map(|&place| &layout.shards[place].tensors);
            PartPlan {
                bytes_read: tensors.map(|&place| bytes_read(pool, &jobs[place])).sum(),
                bytes_written: shards.iter().map(|&place| size(place)).sum::<u64>() * recipes.len() as u64,
            }
        })
        .collect();
    // Every machine matches experts for itself.
    let matching = match first.align {
        Some(Align::Experts) => experts::bytes_read(pool, reference(pool, first)?),
        None => 0,
    };
    for part in &mut parts {
        part.bytes_read += matching;
    }
    let donor = pool.donor(first)?;
    let carried = donor.entries.iter().filter(|entry| is_carried(&entry.name)).map(|entry| entry.size);
    let (layers, joined) = (stacked_layers(first), pool.joined.as_deref());
    let config = carried::config(&donor.config, main_float(&jobs), layers.as_deref(), joined).len() as u64;
    let index = layout.index.as_ref().map_or(0, |index| index.len() as u64);
    let longest = parts.iter().map(|part| part.bytes_read + 2 * part.bytes_written).max().unwrap_or(0);
    Ok(Plan {
        merges: recipes.len(),
        tensors: jobs.len(),
        parameters: jobs.iter().map(|job| job.elements()).sum(),
        bytes_read: parts.iter().map(|part| part.bytes_read).sum(),
        bytes_written: parts.iter().map(|part| part.bytes_written).sum(),
        bytes_beside: carried.sum::<u64>() + config + index,
        peak_memory: budget.most().min(longest),
        passes: jobs.iter().map(|job| job.passes()).max().unwrap_or(1),
        shards: layout
            .shards
            .iter()
            .enumerate()
            .map(|(place, shard)| (shard.file.clone(), size(place)))
            .collect(),
        parts,
    })
}

impl fmt::Display for Plan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = |bytes: u64| ByteSize(bytes).display().si();
        let (merges, files) = (self.merges, self.shards.len());
        writeln!(formatter, "output       {} tensors, {} parameters", self.tensors, self.parameters)?;
        writeln!(formatter, "reads        {} in {} pass(es)", size(self.bytes_read), self.passes)?;
        write!(formatter, "writes       {} in {} file(s)", size(self.bytes_written), merges * files)?;
        writeln!(formatter, "{}", if merges > 1 { format!(" of {merges} merges") } else { String::new() })?;
        if let [_, _, ..] = &self.parts[..] {
            let (least, most) = self
                .parts
                .iter()
                .fold((u64::MAX, 0), |(least, most), part| (least.min(part.bytes()), most.max(part.bytes())));
            let (count, least, most) = (self.parts.len(), size(least), size(most));
            writeln!(formatter, "machines     {count}, each moving {least} to {most}")?;
        }
        write!(formatter, "peak memory  {}", ByteSize(self.peak_memory).display().iec())?;
        if self.parts.len() > 1 { write!(formatter, " on each") } else { Ok(()) }
    }
}
