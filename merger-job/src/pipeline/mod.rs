//! Moves tensors through bounded memory: stretches are read ahead and combined side by side, and written in order or, in
//! local files, wherever they belong.

mod baton;
mod gather;
mod input;
mod measure;
mod round;

use std::sync::Arc;

use bytes::Bytes;
use futures::future::try_join_all;
use tokio::sync::{Semaphore, mpsc};

use self::baton::Baton;
use self::input::Stretch;
use self::round::Running;
use crate::adjustment::Adjuster;
use crate::budget::{Budget, Memory};
use crate::element::Float;
use crate::job::{Job, Work};
use crate::kernel::{Formula, Output, State, combine};
use crate::layout::ShardPlan;
use crate::pool::Pool;
use crate::storage::{PlacedFile, Stores, Writer};
use crate::{Error, Location, MergeOptions, Progress};

/// Ranges being read at the same time.
const READS_AT_ONCE: usize = 48;
/// Stretches begun and not yet written, beyond what memory already limits: many small tensors fit it.
const STRETCHES_AHEAD: usize = 64;

/// What every stretch of a merge shares.
#[derive(Debug)]
pub(crate) struct Pipeline {
    stores: Stores,
    pool: Pool,
    budget: Budget,
    reads: Semaphore,
    computations: Semaphore,
    progress: Progress,
}

/// Values that are no finite numbers, in one tensor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct NotFinite {
    pub(crate) nan: u64,
    pub(crate) infinite: u64,
}

/// One output's part of a stretch: its bytes, unless they are in their file already, and what isn't finite.
#[derive(Debug, Default)]
struct Part {
    bytes: Vec<u8>,
    length: u64,
    not_finite: NotFinite,
}

/// A stretch of all outputs, and the memory they still hold.
struct Done {
    parts: Vec<Part>,
    memory: Memory,
}

/// A stretch on its way to the files, with its tensor.
type Ahead = (usize, Running<Result<Done, Error>>);

/// Where one output's bytes of a tensor go: into a local file from this byte on, or back to who writes in order.
type Target = Option<(PlacedFile, u64)>;

/// How a tensor's elements are combined, for each output; nothing for what is copied.
type Combination = Option<(Vec<Formula>, Float)>;

impl Pipeline {
    pub(crate) fn new(
        stores: &Stores,
        pool: &Pool,
        budget: Budget,
        options: &MergeOptions,
        progress: &Progress,
    ) -> Arc<Self> {
        Arc::new(Self {
            stores: stores.clone(),
            pool: pool.clone(),
            budget,
            reads: Semaphore::new(READS_AT_ONCE),
            // Work on local files waits for them now and then: while half does, the other half keeps the processors busy.
            computations: Semaphore::new(2 * options.threads.max(1)),
            progress: progress.clone(),
        })
    }

    /// Writes one file of every output, its header first; afterwards they are visible. What isn't finite is added to `found`, by job and
    /// output.
    pub(crate) async fn write_shard(
        self: &Arc<Self>,
        jobs: &[Arc<Job>],
        shard: &ShardPlan,
        files: &[(Location, Bytes)],
        found: &mut [Vec<NotFinite>],
    ) -> Result<(), Error> {
        let open = files.iter().map(|(file, _)| self.stores.write(file, self.budget.parts));
        let mut writers: Vec<Writer> = try_join_all(open).await?;
        for (writer, (_, header)) in writers.iter_mut().zip(files) {
            writer.write(header.clone()).await?;
        }
        let local: Vec<Option<PlacedFile>> = writers.iter().map(Writer::placed).collect();
        let (sender, mut receiver) = mpsc::channel::<Ahead>(STRETCHES_AHEAD);
        let read_ahead = async move {
            let mut begin = 0;
            for &place in &shard.tensors {
                let job = &jobs[place];
                let outputs = local.iter().zip(files);
                let target = |(file, (_, header)): (&Option<PlacedFile>, &(Location, Bytes))| {
                    Some((file.clone()?, header.len() as u64 + begin))
                };
                let targets = outputs.map(target).collect();
                self.begin_tensor(job, place, targets, &sender).await?;
                begin += job.output.size;
            }
            Ok::<(), Error>(())
        };
        let write = async {
            while let Some((place, running)) = receiver.recv().await {
                let Done { parts, memory } = running.await??;
                for ((part, writer), found) in parts.into_iter().zip(&mut writers).zip(&mut found[place]) {
                    found.nan += part.not_finite.nan;
                    found.infinite += part.not_finite.infinite;
                    if !part.bytes.is_empty() {
                        writer.write(part.bytes.into()).await?;
                    }
                    self.progress.add_written(part.length);
                }
                drop(memory);
            }
            Ok(())
        };
        futures::try_join!(read_ahead, write)?;
        try_join_all(writers.into_iter().map(Writer::finish)).await?;
        Ok(())
    }

    /// Begins all stretches of a tensor, as memory allows.
    async fn begin_tensor(
        self: &Arc<Self>,
        job: &Arc<Job>,
        place: usize,
        targets: Vec<Target>,
        sender: &mpsc::Sender<Ahead>,
    ) -> Result<(), Error> {
        let job = &self.with_adjusters(job).await?;
        let combination = match &job.work {
            Work::Copy => None,
            Work::Merge(methods, float) => {
                let mut formulas = Vec::new();
                for method in methods {
                    let alone = Arc::new(job.alone(method));
                    formulas.push(self.formula(&alone, method).await?);
                }
                Some((formulas, *float))
            }
        };
        let combination: Arc<Combination> = Arc::new(combination);
        let formulas = || combination.iter().flat_map(|(formulas, _)| formulas);
        let tied: Vec<_> = formulas().flat_map(Formula::tied).collect();
        let mut batons = Baton::run(tied);
        for (first, elements) in self.stretches(job) {
            let memory = self.budget.take(&self.pool, job, elements).await?;
            let baton = batons.next();
            let (this, job) = (Arc::clone(self), Arc::clone(job));
            let (combination, targets) = (Arc::clone(&combination), targets.clone());
            let running = Running::spawn(async move {
                this.merge_stretch(&job, &combination, &targets, (first, elements), baton, memory).await
            });
            // The receiver is gone only when writing failed, which is the error that counts.
            if sender.send((place, running)).await.is_err() {
                break;
            }
        }
        Ok(())
    }

    /// The job with what makes weights of its members' numbers.
    async fn with_adjusters(&self, job: &Arc<Job>) -> Result<Arc<Job>, Error> {
        let places =
            || job.members.iter().map(|&member| (member, &self.pool.tensors[job.tensor].places[member]));
        if job.work == Work::Copy || places().all(|(_, place)| place.adjustment.is_none()) {
            return Ok(Arc::clone(job));
        }
        let memory = Arc::new(self.budget.take_adjusters(&self.pool, job).await?);
        let mut adjusters = Vec::new();
        for (member, place) in places() {
            let adjuster = match &place.adjustment {
                None => None,
                Some(adjustment) => {
                    let (member, memory) = (&self.pool.members()[member], Arc::clone(&memory));
                    let read =
                        Adjuster::read(&self.stores, member, adjustment, job.row(), Some(memory)).await?;
                    self.progress.add_read(adjustment.bytes());
                    Some(Arc::new(read))
                }
            };
            adjusters.push(adjuster);
        }
        Ok(Arc::new(Job { adjusters, ..Job::clone(job) }))
    }

    async fn merge_stretch(
        &self,
        job: &Job,
        combination: &Arc<Combination>,
        targets: &[Target],
        (first, elements): (u64, u64),
        baton: Option<Baton>,
        mut memory: Memory,
    ) -> Result<Done, Error> {
        let stretch = Arc::new(self.read(job, first, elements).await?);
        let seen = match baton {
            Some(baton) => baton.pass(self, &stretch).await?,
            None => Vec::new(),
        };
        let (combination, targets) = (Arc::clone(combination), targets.to_vec());
        let width = job.output.element.bits() / 8;
        let parts =
            self.compute(move || fill(&stretch, &combination, &targets, &seen, width as usize)).await??;
        memory.free_sources();
        Ok(Done { parts, memory })
    }
}

/// Combines a stretch into every output's part. Equal elements `seen` before are listed for all formulas in order.
fn fill(
    stretch: &Stretch,
    combination: &Combination,
    targets: &[Target],
    seen: &[u64],
    width: usize,
) -> Result<Vec<Part>, Error> {
    let mut parts: Vec<Part> = targets.iter().map(|_| Part::default()).collect();
    let (mut states, mut rest) = (Vec::new(), seen);
    for formula in combination.iter().flat_map(|(formulas, _)| formulas) {
        let (ours, others) = rest.split_at(formula.tied().count().min(rest.len()));
        states.push(State::new(formula, ours, stretch.first));
        rest = others;
    }
    stretch.each_chunk(|chunk| {
        let bytes = chunk.elements * width;
        for (part, target) in parts.iter_mut().zip(targets) {
            // What goes into a file at once needs no more room than a chunk.
            let kept = if target.is_some() { 0 } else { part.bytes.len() };
            part.bytes.resize(kept + bytes, 0);
        }
        if let Some((formulas, float)) = combination {
            let outputs = formulas.iter().zip(&mut states).zip(&mut parts);
            let mut outputs: Vec<Output<'_>> = outputs
                .map(|((formula, state), part)| {
                    let begin = part.bytes.len() - bytes;
                    let bytes = &mut part.bytes[begin..];
                    Output { formula, state, float: *float, bytes, nan: 0, infinite: 0 }
                })
                .collect();
            combine(chunk, &mut outputs);
            let found: Vec<(u64, u64)> = outputs.iter().map(|output| (output.nan, output.infinite)).collect();
            for (part, (nan, infinite)) in parts.iter_mut().zip(found) {
                part.not_finite.nan += nan;
                part.not_finite.infinite += infinite;
            }
        } else if let Some(source) = chunk.sources.first() {
            for part in &mut parts {
                let begin = part.bytes.len() - bytes;
                part.bytes[begin..].copy_from_slice(source.bytes);
            }
        }
        for (part, target) in parts.iter_mut().zip(targets) {
            part.length += bytes as u64;
            if let Some((file, begin)) = target {
                file.write(begin + chunk.first * width as u64, &part.bytes)?;
            }
        }
        Ok(())
    })?;
    for (part, target) in parts.iter_mut().zip(targets) {
        if target.is_some() {
            part.bytes = Vec::new();
        }
    }
    Ok(parts)
}
