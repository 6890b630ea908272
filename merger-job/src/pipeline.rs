//! Moves tensors through bounded memory: stretches are read ahead and combined side by side, and written in order.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::future::try_join_all;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;

use crate::budget::{Budget, Memory};
use crate::element::Float;
use crate::job::{Job, Work};
use crate::kernel::{Combined, Formula, Stretch, combine};
use crate::layout::ShardPlan;
use crate::pool::Pool;
use crate::slerp::Products;
use crate::storage::Stores;
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

/// Output bytes and the memory they still hold.
struct Done {
    combined: Combined,
    memory: Memory,
}

/// A stretch on its way to the file, with its tensor.
type Ahead = (usize, Running<Result<Done, Error>>);

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
            computations: Semaphore::new(options.threads.max(1)),
            progress: progress.clone(),
        })
    }

    /// Writes one file of the output; afterwards it is visible. What isn't finite is added to `found`, by job.
    pub(crate) async fn write_shard(
        self: &Arc<Self>,
        jobs: &[Job],
        shard: &ShardPlan,
        file: &Location,
        found: &mut [NotFinite],
    ) -> Result<(), Error> {
        let mut writer = self.stores.write(file, self.budget.part_size).await?;
        writer.write(shard.header.clone()).await?;
        let (sender, mut receiver) = mpsc::channel::<Ahead>(STRETCHES_AHEAD);
        let read_ahead = async move {
            for &place in &shard.tensors {
                self.begin_tensor(&jobs[place], place, &sender).await?;
            }
            Ok::<(), Error>(())
        };
        let write = async {
            while let Some((place, running)) = receiver.recv().await {
                let Done { combined, memory } = running.await??;
                found[place].nan += combined.nan;
                found[place].infinite += combined.infinite;
                let length = combined.bytes.len() as u64;
                writer.write(combined.bytes).await?;
                self.progress.add_written(length);
                drop(memory);
            }
            Ok(())
        };
        futures::try_join!(read_ahead, write)?;
        Ok(writer.finish().await?)
    }

    /// Begins all stretches of a tensor, as memory allows.
    async fn begin_tensor(
        self: &Arc<Self>,
        job: &Job,
        place: usize,
        sender: &mpsc::Sender<Ahead>,
    ) -> Result<(), Error> {
        let combination = match &job.work {
            Work::Copy => None,
            Work::Combine(formula, float) => Some((formula.clone(), *float)),
            Work::Slerp(t, float) => {
                let weights = self.products(job).await?.weights(*t).to_vec();
                Some((Formula::Weighted { weights }, *float))
            }
        };
        let combination = Arc::new(combination);
        for (start, elements) in self.stretches(job) {
            let memory = self.budget.take(&self.pool, job, elements).await?;
            let (this, job, combination) = (Arc::clone(self), job.clone(), Arc::clone(&combination));
            let running =
                Running::spawn(
                    async move { this.combine(&job, &combination, start, elements, memory).await },
                );
            // The receiver is gone only when writing failed, which is the error that counts.
            if sender.send((place, running)).await.is_err() {
                break;
            }
        }
        Ok(())
    }

    /// First element and length of each stretch of a tensor.
    fn stretches(&self, job: &Job) -> impl Iterator<Item = (u64, u64)> + use<> {
        let total = job.elements();
        let step = self.budget.stretch(&self.pool, job);
        (0..total.div_ceil(step)).map(move |place| (place * step, step.min(total - place * step)))
    }

    async fn combine(
        &self,
        job: &Job,
        combination: &Arc<Option<(Formula, Float)>>,
        start: u64,
        elements: u64,
        mut memory: Memory,
    ) -> Result<Done, Error> {
        let mut sources = self.read(job, start, elements).await?;
        if combination.is_none() {
            let bytes = sources.pop().map(|(_, bytes)| bytes).unwrap_or_default();
            return Ok(Done { combined: Combined { bytes, nan: 0, infinite: 0 }, memory });
        }
        let combination = Arc::clone(combination);
        let combined = self
            .compute(move || match combination.as_ref() {
                Some((formula, float)) => combine(formula, &with_floats(sources), elements as usize, *float),
                None => Combined::default(),
            })
            .await?;
        memory.free_sources();
        Ok(Done { combined, memory })
    }

    /// The products of the two members of a job over the whole tensor.
    async fn products(self: &Arc<Self>, job: &Job) -> Result<Products, Error> {
        let mut running = Vec::new();
        for (start, elements) in self.stretches(job) {
            let memory = self.budget.take(&self.pool, job, elements).await?;
            let (this, job) = (Arc::clone(self), job.clone());
            running.push(Running::spawn(async move {
                let sources = this.read(&job, start, elements).await?;
                let products = this
                    .compute(move || match with_floats(sources).as_slice() {
                        [first, second] => Products::of(first, second, elements as usize),
                        _ => Products::default(),
                    })
                    .await;
                drop(memory);
                products
            }));
        }
        let mut products = Products::default();
        for stretch in running {
            products.extend(stretch.await??);
        }
        Ok(products)
    }

    /// The stretch of every member of the job, with the type that its elements have there.
    async fn read(&self, job: &Job, start: u64, elements: u64) -> Result<Vec<(Option<Float>, Bytes)>, Error> {
        try_join_all(job.members.iter().map(async |&member| {
            let place = &self.pool.tensors[job.tensor].places[member];
            let shard = &self.pool.members()[member].shards[place.shard];
            let bytes = place.element.bits() / 8;
            let length = (elements * bytes) as usize;
            let _turn = self.reads.acquire().await.map_err(|error| Error::Task(error.to_string()))?;
            let read = self.stores.read(shard, place.offset + start * bytes, length).await?;
            self.progress.add_read(length as u64);
            Ok((place.element.float(), read))
        }))
        .await
    }

    /// Runs arithmetic on a thread where it holds up no reading or writing, as many at once as the options allow.
    async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        let _turn = self.computations.acquire().await.map_err(|error| Error::Task(error.to_string()))?;
        tokio::task::spawn_blocking(work).await.map_err(|error| Error::Task(error.to_string()))
    }
}

/// Sources of a combination; all of them have a floating-point type.
fn with_floats(sources: Vec<(Option<Float>, Bytes)>) -> Vec<Stretch> {
    sources.into_iter().filter_map(|(float, bytes)| Some((float?, bytes))).collect()
}

/// A task that ends when its handle is dropped: a merge that fails or is dropped leaves nothing running.
struct Running<T>(JoinHandle<T>);

impl<T: Send + 'static> Running<T> {
    fn spawn(work: impl Future<Output = T> + Send + 'static) -> Self {
        Self(tokio::spawn(work))
    }
}

impl<T> Future for Running<T> {
    type Output = Result<T, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map_err(|error| Error::Task(error.to_string()))
    }
}

impl<T> Drop for Running<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
