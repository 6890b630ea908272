//! How alike the experts of two checkpoints are.

use std::sync::Arc;

use futures::future::try_join_all;
use tokio::sync::Semaphore;

use super::find::{Layer, Part};
use crate::adjustment::Adjuster;
use crate::blocks::{BLOCK, lanes};
use crate::element::Float;
use crate::pool::Pool;
use crate::simd::{self, Kernel};
use crate::storage::Stores;
use crate::{Error, MergeOptions};

/// Ranges read at the same time.
const READS_AT_ONCE: usize = 16;
/// What a number takes while it's read and compared: its bytes, and as f64.
const NUMBER: u64 = 16;

/// The products of each of the reference's experts (rows) with each of the member's, summed over all their weights and rows of
/// the router: blocks of 4,096 numbers, one after the other, whatever the memory and the threads.
pub(super) async fn similarities(
    stores: &Stores,
    pool: &Pool,
    layer: &Layer,
    reference: usize,
    member: usize,
    options: &MergeOptions,
) -> Result<Vec<f64>, Error> {
    let mut sums = vec![0.0; layer.experts * layer.experts];
    let fitting = options.memory_budget / 2 / (2 * layer.experts as u64 * NUMBER) / BLOCK as u64;
    let stretch = fitting.max(1) * BLOCK as u64;
    for part in &layer.parts {
        let left = Experts::new(stores, pool, part, layer.experts, reference).await?;
        let right = Experts::new(stores, pool, part, layer.experts, member).await?;
        for first in (0..left.elements).step_by(stretch as usize) {
            let elements = stretch.min(left.elements - first);
            let (left, right) = (left.read(first, elements).await?, right.read(first, elements).await?);
            let threads = options.threads.max(1);
            let work = move || add(sums, &left, &right, threads);
            sums = tokio::task::spawn_blocking(work).await.map_err(|error| Error::Task(error.to_string()))?;
        }
    }
    Ok(sums)
}

/// One part of all experts of a member.
struct Experts<'a> {
    stores: &'a Stores,
    pool: &'a Pool,
    member: usize,
    /// For each expert the tensor, and the first of its numbers there.
    places: Vec<(usize, u64)>,
    /// For each expert, what makes weights of its numbers.
    adjusters: Vec<Option<Arc<Adjuster>>>,
    /// Numbers of one expert.
    elements: u64,
}

impl<'a> Experts<'a> {
    async fn new(
        stores: &'a Stores,
        pool: &'a Pool,
        part: &Part,
        experts: usize,
        member: usize,
    ) -> Result<Self, Error> {
        let size = |tensor: usize| pool.tensors[tensor].shape.iter().product::<u64>();
        let (places, elements): (Vec<(usize, u64)>, u64) = match part {
            Part::Apart(tensors) => {
                let elements = tensors.first().map_or(0, |&tensor| size(tensor));
                if let Some(&other) = tensors.iter().find(|&&tensor| size(tensor) != elements) {
                    return Err(Error::UnequalExperts { tensor: pool.tensors[other].name.clone() });
                }
                (tensors.iter().map(|&tensor| (tensor, 0)).collect(), elements)
            }
            Part::Rows(tensor) => {
                let elements = size(*tensor) / experts as u64;
                ((0..experts as u64).map(|expert| (*tensor, expert * elements)).collect(), elements)
            }
        };
        let mut adjusters = Vec::new();
        for &(tensor, _) in &places {
            let tensor = &pool.tensors[tensor];
            adjusters.push(match &tensor.places[member].adjustment {
                None => None,
                Some(adjustment) if adjustment.needs_rows() || matches!(part, Part::Rows(_)) => {
                    return Err(Error::AdjustedExperts { tensor: tensor.name.clone() });
                }
                Some(adjustment) => {
                    let columns = tensor.shape.last().copied().unwrap_or(1).max(1);
                    let member = &pool.members()[member];
                    Some(Arc::new(Adjuster::read(stores, member, adjustment, columns, None).await?))
                }
            });
        }
        Ok(Self { stores, pool, member, places, adjusters, elements })
    }

    /// A run of every expert's weights.
    async fn read(&self, first: u64, elements: u64) -> Result<Vec<Vec<f64>>, Error> {
        let turns = Semaphore::new(READS_AT_ONCE);
        let runs = self.places.iter().zip(&self.adjusters).map(async |(&(tensor, begin), adjuster)| {
            let _turn = turns.acquire().await.map_err(|error| Error::Task(error.to_string()))?;
            let place = &self.pool.tensors[tensor].places[self.member];
            let shard = &self.pool.members()[self.member].shards[place.shard];
            let width = place.element.bits() / 8;
            let (offset, size) = (place.offset + (begin + first) * width, elements * width);
            let bytes = self.stores.read(shard, offset, size as usize).await?;
            // Only floats are found.
            let float = place.element.float().unwrap_or(Float::F32);
            let mut values = vec![0.0; elements as usize];
            match adjuster {
                None => float.decode(&bytes, &mut values),
                Some(adjuster) => {
                    let mut weights = vec![0; values.len() * Float::F64.bytes()];
                    adjuster.apply(float, &bytes, first, &mut weights);
                    Float::F64.decode(&weights, &mut values);
                }
            }
            Ok::<_, Error>(values)
        });
        try_join_all(runs).await
    }
}

/// Adds the products of every pair, rows of them on several threads.
fn add(mut sums: Vec<f64>, left: &[Vec<f64>], right: &[Vec<f64>], threads: usize) -> Vec<f64> {
    let each = left.len().div_ceil(threads).max(1);
    std::thread::scope(|scope| {
        for (sums, left) in sums.chunks_mut(each * right.len().max(1)).zip(left.chunks(each)) {
            scope.spawn(move || simd::run(Products { sums, left, right }));
        }
    });
    sums
}

struct Products<'a> {
    sums: &'a mut [f64],
    left: &'a [Vec<f64>],
    right: &'a [Vec<f64>],
}

impl Kernel for Products<'_> {
    type Output = ();

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "part of a kernel, which is compiled for several processors")]
    fn run(self) {
        let length = self.left.first().map_or(0, Vec::len);
        // Blocks outside, so that all that is multiplied stays in the cache.
        for begin in (0..length).step_by(BLOCK) {
            let end = (begin + BLOCK).min(length);
            let pairs = self.left.iter().flat_map(|left| self.right.iter().map(move |right| (left, right)));
            for (sum, (left, right)) in self.sums.iter_mut().zip(pairs) {
                *sum += lanes::dot(&left[begin..end], &right[begin..end]);
            }
        }
    }
}
