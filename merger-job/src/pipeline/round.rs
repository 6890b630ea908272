//! One pass over a tensor: its stretches are read and worked on side by side, and what comes out is taken in order.

use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::try_join_all;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::baton::Baton;
use super::input::{Input, Place, Stretch};
use super::{Pipeline, STRETCHES_AHEAD};
use crate::Error;
use crate::job::Job;
use crate::kernel::{Cut, Series};

/// No other bound on the threads of a pass than that of all computations.
pub(super) const ALL_THREADS: usize = Semaphore::MAX_PERMITS;

/// A pass that measures.
pub(super) struct Round<W> {
    /// What has to be known of the elements before a stretch: equal ones of cuts.
    pub(super) tied: Vec<(Series, Cut)>,
    /// How many threads at most work at once.
    pub(super) threads: usize,
    /// What is done with a stretch, and the equal elements before it.
    pub(super) work: W,
}

impl Pipeline {
    /// Works on every stretch of the tensor and hands on what comes out, in order.
    pub(super) async fn round<T, W>(
        self: &Arc<Self>,
        job: &Arc<Job>,
        round: Round<W>,
        mut fold: impl FnMut(T),
    ) -> Result<(), Error>
    where
        T: Send + 'static,
        W: Fn(&Stretch, &[u64]) -> Result<T, Error> + Send + Sync + 'static,
    {
        let (work, turns) = (Arc::new(round.work), Arc::new(Semaphore::new(round.threads)));
        let mut batons = Baton::run(round.tied);
        let mut ahead: VecDeque<Running<Result<T, Error>>> = VecDeque::new();
        for (first, elements) in self.stretches(job) {
            if ahead.len() >= STRETCHES_AHEAD
                && let Some(next) = ahead.pop_front()
            {
                fold(next.await??);
            }
            let memory = self.budget.take(&self.pool, job, elements).await?;
            let baton = batons.next();
            let (this, job, work, turns) =
                (Arc::clone(self), Arc::clone(job), Arc::clone(&work), Arc::clone(&turns));
            ahead.push_back(Running::spawn(async move {
                let stretch = Arc::new(this.read(&job, first, elements).await?);
                let seen = match baton {
                    Some(baton) => baton.pass(&this, &stretch).await?,
                    None => Vec::new(),
                };
                let _turn = turns.acquire().await.map_err(|error| Error::Task(error.to_string()))?;
                let found = this.compute(move || work(&stretch, &seen)).await?;
                drop(memory);
                found
            }));
        }
        for next in ahead {
            fold(next.await??);
        }
        Ok(())
    }

    /// First element and length of each stretch of a tensor.
    pub(super) fn stretches(&self, job: &Job) -> impl Iterator<Item = (u64, u64)> + use<> {
        let total = job.elements();
        let step = self.budget.shape(&self.pool, job).stretch;
        (0..total.div_ceil(step)).map(move |place| (place * step, step.min(total - place * step)))
    }

    /// The stretch of every member of the job; files of this machine are only opened, and read as they are needed.
    pub(super) async fn read(&self, job: &Job, first: u64, elements: u64) -> Result<Stretch, Error> {
        let sources: Vec<_> =
            job.members.iter().map(|&member| self.pool.source(job.tensor, member)).collect();
        let places = || job.members.iter().map(|&member| &self.pool.tensors[job.tensor].places[member]);
        let is_gathered: Vec<bool> = places().map(|place| place.rows.is_some()).collect();
        // Adapters of one base share its bytes.
        let shares = |earlier: usize, slot: usize| !is_gathered[earlier] && sources[earlier] == sources[slot];
        let reader_of = |slot: usize| (0..slot).find(|&earlier| shares(earlier, slot)).unwrap_or(slot);
        let readers = (0..sources.len()).filter(|&slot| reader_of(slot) == slot && !is_gathered[slot]);
        let read = try_join_all(readers.map(async |slot| {
            let (shard, place) = (sources[slot].0, &self.pool.tensors[job.tensor].places[job.members[slot]]);
            let width = place.element.bits() / 8;
            let (offset, length) = (place.offset + first * width, elements * width);
            let bytes = if let Some(file) = self.stores.open_pinned(shard, offset, length).await? {
                Place::File(file, offset)
            } else {
                let _turn = self.reads.acquire().await.map_err(|error| Error::Task(error.to_string()))?;
                Place::Memory(self.stores.read(shard, offset, length as usize).await?)
            };
            self.progress.add_read(length);
            Ok::<_, Error>((slot, bytes))
        }))
        .await?;
        let read: BTreeMap<usize, Place> = read.into_iter().collect();
        let inputs = try_join_all(places().enumerate().map(async |(slot, place)| match &place.rows {
            Some(rows) => self.gather(job, rows, first, elements).await,
            None => Ok(Input {
                float: place.element.float(),
                width: (place.element.bits() / 8) as usize,
                bytes: read[&reader_of(slot)].clone(),
                adjuster: job.adjusters.get(slot).cloned().flatten(),
            }),
        }))
        .await?;
        let (shape, row) = (self.budget.shape(&self.pool, job), job.row() as usize);
        Ok(Stretch { inputs, first, elements, shape, row })
    }

    /// Runs arithmetic on a thread where it holds up no reading or writing, twice as many at once as the options say.
    pub(super) async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        let _turn = self.computations.acquire().await.map_err(|error| Error::Task(error.to_string()))?;
        tokio::task::spawn_blocking(work).await.map_err(|error| Error::Task(error.to_string()))
    }
}

/// A task that ends when its handle is dropped: a merge that fails or is dropped leaves nothing running.
pub(super) struct Running<T>(JoinHandle<T>);

impl<T: Send + 'static> Running<T> {
    pub(super) fn spawn(work: impl Future<Output = T> + Send + 'static) -> Self {
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
