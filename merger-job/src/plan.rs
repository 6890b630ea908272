//! What a merge will read, write and hold in memory, known from headers alone.

use std::fmt;

use bytesize::ByteSize;
use mergesearch_recipe::Recipe;

use crate::budget::Budget;
use crate::carried::{self, is_carried};
use crate::job::{jobs, stacked_layers};
use crate::merge::{bytes_read, layout, main_float};
use crate::output::Folder;
use crate::pool::Pool;
use crate::provenance;
use crate::{Error, Location, MergeOptions};

/// What a merge will take. Shown as a few lines of text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Tensors of the output.
    pub tensors: usize,
    /// Numbers in the output.
    pub parameters: u64,
    /// Bytes of tensors read, all passes together.
    pub bytes_read: u64,
    /// Bytes of safetensors files written.
    pub bytes_written: u64,
    /// Bytes of the other files: config, index, tokenizer and what else comes along.
    pub bytes_beside: u64,
    /// Bytes of tensors and uploads in memory at the same time, at most.
    pub peak_memory: u64,
    /// How often the sources are read: more than once when a method first needs something of whole tensors.
    pub passes: u64,
    /// The files with tensors and their bytes.
    pub shards: Vec<(String, u64)>,
}

/// Plans the merge that [`crate::merge()`] would make; the output's kind counts, as uploads take memory.
pub fn plan(pool: &Pool, recipe: &Recipe, output: &Location, options: &MergeOptions) -> Result<Plan, Error> {
    let jobs = jobs(pool, std::slice::from_ref(recipe))?;
    let layout = layout(&jobs, options);
    let folder = Folder::new(output, &layout, &provenance::metadata(pool, recipe)?);
    let size = |place: usize| folder.size(&layout, place);
    let largest = (0..layout.shards.len()).map(size).max().unwrap_or(0);
    let budget = Budget::divide(options, pool, &jobs, &[output], largest)?;
    let passes = jobs.iter().map(|job| job.passes()).max().unwrap_or(1);
    let bytes_read = jobs.iter().map(|job| bytes_read(pool, job)).sum();
    let bytes_written = (0..layout.shards.len()).map(size).sum();
    let donor = pool.donor(recipe)?;
    let carried = donor.entries.iter().filter(|entry| is_carried(&entry.name)).map(|entry| entry.size);
    let config =
        carried::config(&donor.config, main_float(&jobs), stacked_layers(recipe).as_deref()).len() as u64;
    let index = layout.index.as_ref().map_or(0, |index| index.len() as u64);
    Ok(Plan {
        tensors: jobs.len(),
        parameters: jobs.iter().map(|job| job.elements()).sum(),
        bytes_read,
        bytes_written,
        bytes_beside: carried.sum::<u64>() + config + index,
        peak_memory: budget.most().min(bytes_read + 2 * bytes_written),
        passes,
        shards: layout
            .shards
            .iter()
            .enumerate()
            .map(|(place, shard)| (shard.file.clone(), size(place)))
            .collect(),
    })
}

impl fmt::Display for Plan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = |bytes: u64| ByteSize(bytes).display().si();
        writeln!(formatter, "output       {} tensors, {} parameters", self.tensors, self.parameters)?;
        writeln!(formatter, "reads        {} in {} pass(es)", size(self.bytes_read), self.passes)?;
        writeln!(formatter, "writes       {} in {} file(s)", size(self.bytes_written), self.shards.len())?;
        write!(formatter, "peak memory  {}", ByteSize(self.peak_memory).display().iec())
    }
}
