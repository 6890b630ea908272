//! Divides the memory budget between what is being read, combined and written.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::blocks::BLOCK;
use crate::job::{Job, Work};
use crate::pool::Pool;
use crate::storage::{MIN_PART, PARTS_IN_FLIGHT};
use crate::{Error, Location, MergeOptions};

/// Memory is handed out in pages of this many bytes.
const PAGE: u64 = 4096;
/// What the program itself takes: code, connections, headers. At most half of the budget is set aside for it.
const PROGRAM: u64 = 32 << 20;
/// Longest stretch of one source that is read at once: beyond this a longer range is no faster.
const MAX_STRETCH: u64 = 8 << 20;
/// Largest part of an upload while the shard allows it.
const MAX_PART: u64 = 8 << 20;
/// Most parts of an S3 upload.
const MAX_PARTS: u64 = 10_000;

/// The budget, divided.
#[derive(Debug)]
pub(crate) struct Budget {
    pages: Arc<Semaphore>,
    /// Bytes of stretches and upload parts at the same time, at most.
    most: u64,
    /// The most that one stretch of all sources and the output should take.
    per_stretch: u64,
    /// Size of an upload's parts.
    pub(crate) part_size: usize,
}

impl Budget {
    /// Fails when not even one block of the widest tensor fits. Of what the program leaves, half goes to the allocator,
    /// which doesn't give back every byte at once.
    pub(crate) fn divide(
        options: &MergeOptions,
        pool: &Pool,
        jobs: &[Job],
        output: &Location,
        largest_shard: u64,
    ) -> Result<Self, Error> {
        let budget = options.memory_budget;
        let usable = (budget - (budget / 2).min(PROGRAM)) / 2;
        let (part_size, writer) = match output {
            Location::File(_) => (0, 0),
            Location::S3 { .. } => {
                let part = (usable / 16).clamp(MIN_PART, MAX_PART).max(largest_shard.div_ceil(MAX_PARTS));
                (part, part * (PARTS_IN_FLIGHT as u64 + 1))
            }
        };
        let widest = jobs.iter().max_by_key(|job| bytes_per_element(pool, job));
        let block = widest.map_or(0, |job| pages(bytes_per_element(pool, job) * BLOCK as u64) * PAGE);
        if usable < writer + block {
            let needed = (writer + block + 1).saturating_mul(2);
            let least = needed + needed.min(PROGRAM);
            let checkpoints = widest.map_or(0, |job| job.members.len());
            return Err(Error::Budget { budget, least, checkpoints });
        }
        let stretches = usable - writer;
        let at_once = 2 * options.threads.max(1) as u64 + 2;
        // A semaphore counts no further than its maximum; a budget beyond it needs no exact count.
        let pages = usize::try_from(stretches / PAGE).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        Ok(Self {
            pages: Arc::new(Semaphore::new(pages)),
            most: stretches + writer,
            per_stretch: (stretches / at_once).max(block),
            part_size: usize::try_from(part_size).unwrap_or(usize::MAX),
        })
    }

    /// Bytes in use at the same time, at most.
    pub(crate) const fn most(&self) -> u64 {
        self.most
    }

    /// How many elements of the tensor are worked on at once: whole blocks, at least one.
    pub(crate) fn stretch(&self, pool: &Pool, job: &Job) -> u64 {
        let per_element = bytes_per_element(pool, job).max(1);
        let widest =
            job.members.iter().map(|&member| pool.tensors[job.tensor].places[member].element.bits() / 8);
        let longest = MAX_STRETCH / widest.max().unwrap_or(1).max(1);
        let elements = (self.per_stretch / per_element).min(longest);
        (elements / BLOCK as u64).max(1) * BLOCK as u64
    }

    /// Waits until `elements` of the tensor's sources and output fit.
    pub(crate) async fn take(&self, pool: &Pool, job: &Job, elements: u64) -> Result<Memory, Error> {
        let (sources, output) = bytes_of_element(pool, job);
        let (sources, output) = (pages(sources * elements), pages(output * elements));
        let permit = Arc::clone(&self.pages).acquire_many_owned(permits(sources + output)).await;
        let permit = permit.map_err(|error| Error::Task(error.to_string()))?;
        Ok(Memory { permit, sources: permits(sources) })
    }
}

/// Memory taken from the budget, given back when dropped.
#[derive(Debug)]
pub(crate) struct Memory {
    permit: OwnedSemaphorePermit,
    sources: u32,
}

impl Memory {
    /// Gives back what the sources took, once they are combined.
    pub(crate) fn free_sources(&mut self) {
        drop(self.permit.split(self.sources as usize));
    }
}

/// Bytes of one element in all sources and in the output.
fn bytes_of_element(pool: &Pool, job: &Job) -> (u64, u64) {
    let bytes = |member: &usize| pool.tensors[job.tensor].places[*member].element.bits() / 8;
    // A copied source's bytes are the output's.
    let output = if job.work == Work::Copy { 0 } else { job.output.element.bits() / 8 };
    (job.members.iter().map(bytes).sum(), output)
}

fn bytes_per_element(pool: &Pool, job: &Job) -> u64 {
    let (sources, output) = bytes_of_element(pool, job);
    sources + output
}

fn pages(bytes: u64) -> u64 {
    bytes.div_ceil(PAGE)
}

fn permits(pages: u64) -> u32 {
    u32::try_from(pages).unwrap_or(u32::MAX)
}
