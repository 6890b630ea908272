//! The arithmetic of adjustments, in f64 like that of merges.
#![expect(clippy::inline_always, reason = "parts of kernels, which are compiled for several processors")]

use crate::element::Float;
use crate::simd::Kernel;

/// Columns that are worked on at once.
const TILE: usize = 256;

/// [`super::Scales`] with their numbers.
#[derive(Debug)]
pub(super) struct ScaleValues {
    pub(super) values: Vec<f64>,
    pub(super) block: (usize, usize),
    pub(super) rows: usize,
    pub(super) columns: usize,
}

/// [`super::LowRank`] with its numbers, `left` by rows of `rank`, `right` by rows of as many as the weights have columns.
#[derive(Debug)]
pub(super) struct LowRankValues {
    pub(super) left: Vec<f32>,
    pub(super) right: Vec<f32>,
    pub(super) rank: usize,
    pub(super) factor: f64,
    pub(super) magnitude: Option<Vec<f32>>,
    pub(super) columns: usize,
}

/// Reads a run of stored numbers and writes the weights that they make, f64 over the bytes.
pub(super) struct Apply<'a> {
    pub(super) scales: Option<&'a ScaleValues>,
    pub(super) low_rank: Option<&'a LowRankValues>,
    pub(super) float: Float,
    pub(super) stored: &'a [u8],
    /// Flat index of the first number.
    pub(super) first: usize,
    pub(super) weights: &'a mut [u8],
}

impl Kernel for Apply<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let mut values = vec![0.0; self.stored.len() / self.float.bytes()];
        self.float.decode(self.stored, &mut values);
        if let Some(scales) = self.scales {
            scales.apply(self.first, &mut values);
        }
        if let Some(low_rank) = self.low_rank {
            low_rank.apply(self.first, &mut values);
        }
        Float::F64.encode(&values, self.weights);
    }
}

/// The row, the first column and the values of every row's part of a run.
fn rows(
    first: usize,
    columns: usize,
    values: &mut [f64],
) -> impl Iterator<Item = (usize, usize, &mut [f64])> {
    let mut rest = values;
    let mut next = first;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (row, column) = (next / columns, next % columns);
        let count = (columns - column).min(rest.len());
        let (part, after) = std::mem::take(&mut rest).split_at_mut(count);
        (rest, next) = (after, next + count);
        Some((row, column, part))
    })
}

impl ScaleValues {
    #[inline(always)]
    fn apply(&self, first: usize, values: &mut [f64]) {
        let (down, across) = self.block;
        let (blocks_down, blocks_across) = (self.rows.div_ceil(down), self.columns.div_ceil(across));
        for (row, column, values) in rows(first, self.columns, values) {
            let (matrix, row) = (row / self.rows, row % self.rows);
            let begin = (matrix * blocks_down + row / down) * blocks_across;
            let scales = &self.values[begin..begin + blocks_across];
            for (place, value) in values.iter_mut().enumerate() {
                *value *= scales[(column + place) / across];
            }
        }
    }
}

impl LowRankValues {
    #[inline(always)]
    fn apply(&self, first: usize, values: &mut [f64]) {
        for (row, column, values) in rows(first, self.columns, values) {
            let left = &self.left[row * self.rank..(row + 1) * self.rank];
            for (place, tile) in values.chunks_mut(TILE).enumerate() {
                let begin = column + place * TILE;
                let mut sums = [0.0; TILE];
                for (step, &left) in left.iter().enumerate() {
                    let right = &self.right[step * self.columns + begin..][..tile.len()];
                    for (sum, &right) in sums.iter_mut().zip(right) {
                        *sum += f64::from(left) * f64::from(right);
                    }
                }
                for (value, sum) in tile.iter_mut().zip(sums) {
                    *value += self.factor * sum;
                }
            }
            if let Some(magnitude) = &self.magnitude {
                // Runs are whole rows then.
                let mut square = 0.0;
                for value in &*values {
                    square += value * value;
                }
                let factor = f64::from(magnitude[row]) / square.sqrt();
                for value in values {
                    *value *= factor;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::tests::bytes;
    use crate::simd;

    /// The weights of a run of stored numbers, at every level the same.
    fn weights(
        scales: Option<&ScaleValues>,
        low_rank: Option<&LowRankValues>,
        first: usize,
        stored: &[f64],
    ) -> Vec<f64> {
        let (stored, mut values) = (bytes(stored), vec![0.0; stored.len()]);
        let mut all = simd::Level::available().into_iter().map(|level| {
            let mut weights = vec![0; stored.len()];
            let float = Float::F64;
            simd::run_at(
                level,
                Apply { scales, low_rank, float, stored: &stored, first, weights: &mut weights },
            );
            weights
        });
        let first = all.next().unwrap();
        assert!(all.all(|other| other == first));
        Float::F64.decode(&first, &mut values);
        values
    }

    #[test]
    fn blocks_at_the_ends_are_smaller() {
        // Two matrices of 3 x 3 in blocks of 2 x 2.
        let values: Vec<f64> = (1..=8).map(f64::from).collect();
        let scales = ScaleValues { values, block: (2, 2), rows: 3, columns: 3 };
        let expected = [1, 1, 2, 1, 1, 2, 3, 3, 4, 5, 5, 6, 5, 5, 6, 7, 7, 8].map(f64::from);
        assert_eq!(weights(Some(&scales), None, 0, &[1.0; 18]), expected);
        assert_eq!(weights(Some(&scales), None, 5, &[1.0; 9]), expected[5..14]);
    }

    #[test]
    fn a_low_rank_product_is_added_wherever_a_run_begins() {
        let (left, right) = (vec![1.0, 2.0, -1.0, 3.0], vec![1.0, 0.0, 2.0, 0.5, 1.0, -1.0]);
        let mut low_rank = LowRankValues { left, right, rank: 2, factor: 2.0, magnitude: None, columns: 3 };
        let expected = [4.0, 4.0, 0.0, 1.0, 6.0, -10.0];
        assert_eq!(weights(None, Some(&low_rank), 0, &[0.0; 6]), expected);
        assert_eq!(weights(None, Some(&low_rank), 2, &[1.0; 3]), [1.0, 2.0, 7.0]);
        low_rank.magnitude = Some(vec![1.0, 2.0]);
        let stretched = weights(None, Some(&low_rank), 0, &[0.0; 6]);
        let half = 0.5_f64.sqrt();
        assert!((stretched[0] - half).abs() < 1e-15 && (stretched[1] - half).abs() < 1e-15);
        let length: f64 = stretched[3..].iter().map(|value| value * value).sum();
        assert!((length - 4.0).abs() < 1e-14);
    }
}
