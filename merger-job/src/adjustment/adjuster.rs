//! An adjustment of one tensor with its numbers, read before the tensor is streamed.

use std::sync::Arc;

use super::apply::{Apply, LowRankValues, ScaleValues};
use super::{Adjustment, Matrix, Stored};
use crate::Error;
use crate::budget::Memory;
use crate::checkpoint::OpenCheckpoint;
use crate::element::Float;
use crate::simd;
use crate::storage::Stores;

/// Makes weights of runs of a tensor's numbers.
#[derive(Debug)]
pub(crate) struct Adjuster {
    scales: Option<ScaleValues>,
    low_rank: Option<LowRankValues>,
    /// What the numbers take, and those of the tensor's other adjusters.
    _memory: Option<Arc<Memory>>,
}

impl Adjuster {
    /// Reads what a tensor with rows of `columns` numbers needs.
    pub(crate) async fn read(
        stores: &Stores,
        member: &OpenCheckpoint,
        adjustment: &Adjustment,
        columns: u64,
        memory: Option<Arc<Memory>>,
    ) -> Result<Self, Error> {
        let columns = columns as usize;
        let scales = match &adjustment.scales {
            None => None,
            Some(scales) => Some(ScaleValues {
                values: values(stores, member, &scales.stored).await?,
                block: (scales.block.0 as usize, scales.block.1 as usize),
                rows: scales.rows.max(1) as usize,
                columns,
            }),
        };
        let low_rank = match &adjustment.low_rank {
            None => None,
            Some(low_rank) => {
                let rank = low_rank.rank as usize;
                Some(LowRankValues {
                    left: matrix(stores, member, &low_rank.left, rank).await?,
                    right: matrix(stores, member, &low_rank.right, columns).await?,
                    rank,
                    factor: low_rank.factor,
                    magnitude: match &low_rank.magnitude {
                        None => None,
                        Some(numbers) => Some(narrow(&values(stores, member, numbers).await?)),
                    },
                    columns,
                })
            }
        };
        Ok(Self { scales, low_rank, _memory: memory })
    }

    /// Writes the weights that a run of numbers makes, f64 over the bytes; `first` is the flat index of the first.
    pub(crate) fn apply(&self, float: Float, stored: &[u8], first: u64, weights: &mut [u8]) {
        let (scales, low_rank, first) = (self.scales.as_ref(), self.low_rank.as_ref(), first as usize);
        simd::run(Apply { scales, low_rank, float, stored, first, weights });
    }
}

async fn values(stores: &Stores, member: &OpenCheckpoint, numbers: &Stored) -> Result<Vec<f64>, Error> {
    let shard = &member.shards[numbers.shard];
    let bytes = stores.read(shard, numbers.offset, numbers.size as usize).await?;
    let mut values = vec![0.0; numbers.elements() as usize];
    // Only such types are attached.
    if let Some(float) = numbers.element.float() {
        float.decode(&bytes, &mut values);
    }
    Ok(values)
}

/// The matrix by rows of `columns` numbers.
async fn matrix(
    stores: &Stores,
    member: &OpenCheckpoint,
    matrix: &Matrix,
    columns: usize,
) -> Result<Vec<f32>, Error> {
    let values = narrow(&values(stores, member, &matrix.stored).await?);
    if !matrix.transposed {
        return Ok(values);
    }
    let rows = values.len() / columns.max(1);
    let transposed = (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column)));
    Ok(transposed.map(|(row, column)| values[column * rows + row]).collect())
}

/// Exact: wider numbers are refused when the pool is opened.
fn narrow(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&value| value as f32).collect()
}
