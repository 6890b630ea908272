//! Divides the memory budget between what is being read, combined and written.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::blocks::BLOCK;
use crate::job::{Job, Work};
use crate::methods::Method;
use crate::pool::Pool;
use crate::statistics::BYTES_PER_SERIES;
use crate::storage::{MIN_PART, Parts};
use crate::{Error, Location, MergeOptions};

/// Memory is handed out in pages of this many bytes.
const PAGE: u64 = 4096;
/// What the program itself takes: code, connections, headers. At most half of the budget is set aside for it.
const PROGRAM: u64 = 32 << 20;
/// Longest stretch of one source that is worked on at once: beyond this a longer range is no faster.
const MAX_STRETCH: u64 = 8 << 20;
/// Bytes of all sources and outputs of a chunk: what the cache of one core holds.
const CHUNK: u64 = 1 << 20;
/// Largest part of an upload while the shard allows it.
const MAX_PART: u64 = 8 << 20;
/// Most parts of an S3 upload.
const MAX_PARTS: u64 = 10_000;
/// What methods that look at rows hold of each element beside its bytes: numbers of 64 bits for each source, and three
/// more.
const ROW_NUMBERS: u64 = 3;

/// What a number of an adjustment takes, while it's read and afterwards.
const ADJUSTMENT_NUMBER: u64 = 16;
/// What an adjusted number takes beside its bytes: the weight as a number, and as bytes.
const ADJUSTED: u64 = 16;

/// The budget, divided.
#[derive(Debug)]
pub(crate) struct Budget {
    pages: Arc<Semaphore>,
    /// Bytes of stretches, counters and upload parts at the same time, at most.
    most: u64,
    /// The most that one stretch of all sources and the outputs should take.
    per_stretch: u64,
    /// The most that counters should take.
    for_counters: u64,
    threads: u64,
    /// The parts of an upload.
    pub(crate) parts: Parts,
    /// Whether outputs wait in memory for their upload.
    uploads: bool,
}

/// How a tensor is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Elements that are worked on by one task.
    pub(crate) stretch: u64,
    /// Elements that are combined at once; stretches are whole chunks.
    pub(crate) chunk: u64,
}

impl Budget {
    /// Fails when not even one block, or row, of the widest tensor fits. Of what the program leaves, half goes to the
    /// allocator, which doesn't give back every byte at once.
    pub(crate) fn divide(
        options: &MergeOptions,
        pool: &Pool,
        jobs: &[Arc<Job>],
        outputs: &[&Location],
        largest_shard: u64,
    ) -> Result<Self, Error> {
        let budget = options.memory_budget;
        let usable = (budget - (budget / 2).min(PROGRAM)) / 2;
        let writers = outputs.iter().filter(|output| matches!(output, Location::S3 { .. })).count() as u64;
        let uploads = writers > 0;
        let part =
            (usable / 16 / writers.max(1)).clamp(MIN_PART, MAX_PART).max(largest_shard.div_ceil(MAX_PARTS));
        // Of many outputs each has fewer parts on their way: all together take half, if they can.
        let at_once = (usable / 2 / (writers.max(1) * part)).clamp(2, Parts::MOST as u64 + 1);
        let writer = writers * part * at_once;
        let smallest = |job: &Arc<Job>| {
            let cost = Cost::of(pool, job, uploads);
            pages(unit(job).saturating_mul(cost.streamed + cost.chunked)) * PAGE
        };
        let widest = jobs.iter().max_by_key(|job| smallest(job));
        let (block, counters) =
            (widest.map_or(0, smallest), jobs.iter().map(|job| counters(job)).max().unwrap_or(0));
        let adjusters = jobs.iter().map(|job| adjusters(pool, job)).max().unwrap_or(0);
        let fixed = writer + counters + adjusters;
        if usable < fixed + block {
            let needed = (fixed + block + 1).saturating_mul(2);
            let least = needed + needed.min(PROGRAM);
            return Err(match widest {
                Some(job) if job.needs_rows() && job.row() > BLOCK as u64 => {
                    Error::Row { tensor: job.output.name.clone(), elements: job.row(), least }
                }
                _ => {
                    let checkpoints = widest.map_or(0, |job| job.members.len());
                    Error::Budget { budget, least, checkpoints }
                }
            });
        }
        let stretches = usable - writer;
        let threads = options.threads.max(1) as u64;
        let stretches_at_once = 2 * threads + 2;
        // A semaphore counts no further than its maximum; a budget beyond it needs no exact count.
        let pages = usize::try_from(stretches / PAGE).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        Ok(Self {
            pages: Arc::new(Semaphore::new(pages)),
            most: stretches + writer,
            per_stretch: ((usable - fixed) / stretches_at_once).max(block),
            for_counters: (stretches / 4).max(counters).min(stretches - block - adjusters),
            threads,
            parts: Parts {
                size: usize::try_from(part).unwrap_or(usize::MAX),
                in_flight: at_once as usize - 1,
            },
            uploads,
        })
    }

    /// Bytes in use at the same time, at most.
    pub(crate) const fn most(&self) -> u64 {
        self.most
    }

    /// How the tensor is cut: whole blocks or rows, at least one.
    pub(crate) fn shape(&self, pool: &Pool, job: &Job) -> Shape {
        let (cost, unit) = (Cost::of(pool, job, self.uploads), unit(job));
        let whole = |elements: u64| (elements / unit).max(1) * unit;
        let chunk = whole(CHUNK.min(self.per_stretch / 2) / cost.chunked.max(1));
        let room = self.per_stretch.saturating_sub(chunk * cost.chunked);
        let streamed = room.checked_div(cost.streamed).unwrap_or(u64::MAX);
        let longest = MAX_STRETCH / cost.widest.max(1);
        let stretch = (streamed.min(longest) / chunk).max(1) * chunk;
        // Where whole chunks don't fit, a chunk is what does.
        let chunk = chunk.min(whole(streamed.min(longest)));
        Shape {
            stretch: if streamed < chunk { chunk } else { stretch.min(whole(streamed.min(longest))) },
            chunk,
        }
    }

    /// Waits until `elements` of the tensor's sources and outputs fit.
    pub(crate) async fn take(&self, pool: &Pool, job: &Job, elements: u64) -> Result<Memory, Error> {
        let cost = Cost::of(pool, job, self.uploads);
        let chunk = self.shape(pool, job).chunk.min(elements);
        let sources = cost.sources * elements + cost.chunked * chunk;
        let (sources, outputs) = (pages(sources), pages((cost.streamed - cost.sources) * elements));
        let permit = self.acquire(sources + outputs).await?;
        Ok(Memory { permit, sources: permits(sources) })
    }

    /// Waits until what makes weights of the members' numbers fits, if anything does.
    pub(crate) async fn take_adjusters(&self, pool: &Pool, job: &Job) -> Result<Memory, Error> {
        let permit = self.acquire(pages(adjusters(pool, job))).await?;
        Ok(Memory { permit, sources: 0 })
    }

    /// Waits until the counters of a job's ranks fit, and says how many threads may count.
    pub(crate) async fn take_counters(&self, job: &Job) -> Result<(Memory, usize), Error> {
        let each = counters(job).max(1);
        let threads = (self.for_counters / each).clamp(1, self.threads);
        let permit = self.acquire(pages(each * threads)).await?;
        Ok((Memory { permit, sources: 0 }, threads as usize))
    }

    async fn acquire(&self, pages: u64) -> Result<OwnedSemaphorePermit, Error> {
        let permit = Arc::clone(&self.pages).acquire_many_owned(permits(pages)).await;
        permit.map_err(|error| Error::Task(error.to_string()))
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

/// Bytes of one element.
struct Cost {
    /// That wait in memory before they are combined: of sources that don't lie on this machine.
    sources: u64,
    /// Those, and of outputs that wait to be uploaded.
    streamed: u64,
    /// That are held while a chunk is combined: all.
    chunked: u64,
    /// Of the widest source.
    widest: u64,
}

impl Cost {
    fn of(pool: &Pool, job: &Job, uploads: bool) -> Self {
        let width = |member: &usize| pool.tensors[job.tensor].places[*member].element.bits() / 8;
        let is_remote = |member: &&usize| matches!(pool.members()[**member].location, Location::S3 { .. });
        let outputs = match &job.work {
            Work::Copy => job.output.element.bits() / 8,
            Work::Merge(methods, _) => methods.len() as u64 * (job.output.element.bits() / 8),
        };
        // Rows that are brought together wait as read and as f64.
        let gathered = |member: &&usize| pool.tensors[job.tensor].places[**member].rows.is_some();
        let waiting = |member: &usize| if gathered(&member) { width(member) + 8 } else { width(member) };
        let sources: u64 =
            job.members.iter().filter(|member| is_remote(member) || gathered(member)).map(waiting).sum();
        let rows = if job.needs_rows() { 8 * (job.members.len() as u64 + ROW_NUMBERS) } else { 0 };
        let adjusted = job
            .members
            .iter()
            .filter(|&&member| pool.tensors[job.tensor].places[member].adjustment.is_some());
        let numbers = rows + ADJUSTED * adjusted.count() as u64;
        Self {
            sources,
            streamed: sources + if uploads { outputs } else { 0 },
            chunked: job.members.iter().map(width).sum::<u64>() + outputs + numbers,
            widest: job.members.iter().map(waiting).max().unwrap_or(1),
        }
    }
}

/// What tensors are cut at multiples of.
fn unit(job: &Job) -> u64 {
    if job.needs_rows() { job.row() } else { BLOCK as u64 }
}

/// Bytes of counters of one thread.
fn counters(job: &Job) -> u64 {
    job.methods().iter().map(Method::series).max().unwrap_or(0) * BYTES_PER_SERIES
}

/// Bytes of what makes weights of the members' numbers.
fn adjusters(pool: &Pool, job: &Job) -> u64 {
    let places = job.members.iter().map(|&member| &pool.tensors[job.tensor].places[member]);
    let numbers = places.filter_map(|place| place.adjustment.as_ref()).map(|adjustment| adjustment.numbers());
    ADJUSTMENT_NUMBER * numbers.sum::<u64>()
}

fn pages(bytes: u64) -> u64 {
    bytes.div_ceil(PAGE)
}

fn permits(pages: u64) -> u32 {
    u32::try_from(pages).unwrap_or(u32::MAX)
}
