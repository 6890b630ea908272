//! Sums over whole tensors that don't depend on how the tensor is cut: blocks of fixed size, lanes of fixed number inside
//! a block, then a fixed tree over the blocks.

/// Elements of a block. Chunks, threads and shards split tensors only at multiples of it.
pub(crate) const BLOCK: usize = 4096;

/// Adds neighbours pairwise, level by level, the odd last one carried up unchanged. Sums are pushed one by one; only as
/// many are held as the tree is high.
#[derive(Debug, Default, Clone)]
pub(crate) struct TreeSum {
    /// Sums of ever smaller numbers of blocks, each a power of two.
    sums: Vec<f64>,
    count: u64,
}

impl TreeSum {
    /// The next block's sum.
    pub(crate) fn push(&mut self, sum: f64) {
        let mut sum = sum;
        // As many levels are full as the count has ones at its end.
        for _ in 0..self.count.trailing_ones() {
            sum = self.sums.pop().map_or(sum, |left| left + sum);
        }
        self.sums.push(sum);
        self.count += 1;
    }

    /// The sum of all.
    pub(crate) fn total(self) -> f64 {
        self.sums.into_iter().rev().reduce(|right, left| left + right).unwrap_or(0.0)
    }
}

/// Sums of many numbers side by side, which the compiler makes vectors of.
pub(crate) mod lanes {
    /// Lanes of a sum: lane i takes elements i, i + 16, ...
    pub(crate) const LANES: usize = 16;
    /// A sum in lanes.
    pub(crate) type Lanes = [f64; LANES];

    /// Adds the lanes pairwise.
    pub(crate) fn total(lanes: &Lanes) -> f64 {
        let mut sums = *lanes;
        let mut width = LANES / 2;
        while width > 0 {
            for lane in 0..width {
                sums[lane] += sums[lane + width];
            }
            width /= 2;
        }
        sums[0]
    }

    /// The product of two vectors of equal length.
    pub(crate) fn dot(left: &[f64], right: &[f64]) -> f64 {
        let mut sums = [0.0; LANES];
        for (left, right) in left.chunks(LANES).zip(right.chunks(LANES)) {
            for (sum, (a, b)) in sums.iter_mut().zip(left.iter().zip(right)) {
                *sum += a * b;
            }
        }
        total(&sums)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tree(values: &[f64]) -> f64 {
        let mut sum = TreeSum::default();
        for value in values {
            sum.push(*value);
        }
        sum.total()
    }

    #[test]
    fn the_tree_adds_neighbours_first() {
        // Distinguishes the tree from adding from left to right: there the ones would vanish one by one.
        let big = 2f64.powi(53);
        let sum = |values: &[f64]| tree(values).to_bits();
        assert_eq!(sum(&[big, 0.0, 1.0, 1.0]), (big + 2.0).to_bits());
        assert_eq!(sum(&[]), 0.0_f64.to_bits());
        assert_eq!(sum(&[1.0, 2.0, 3.0]), 6.0_f64.to_bits());
    }

    proptest! {
        #[test]
        fn pushing_one_by_one_is_adding_level_by_level(values in prop::collection::vec(-1.0..1.0, 0..200)) {
            let mut level = values.clone();
            while level.len() > 1 {
                level = level.chunks(2).map(|pair| pair.iter().copied().reduce(|a, b| a + b).unwrap()).collect();
            }
            prop_assert_eq!(tree(&values).to_bits(), level.first().copied().unwrap_or(0.0).to_bits());
        }
    }
}
