//! Sums over whole tensors that don't depend on how the tensor is cut: blocks of fixed size, then a fixed tree.

/// Elements of a block. Chunks, threads and shards split tensors only at multiples of it.
pub(crate) const BLOCK: usize = 4096;

/// Adds neighbours pairwise, level by level, the odd last one carried up unchanged.
pub(crate) fn tree_sum(mut sums: Vec<f64>) -> f64 {
    while sums.len() > 1 {
        sums = sums.chunks(2).map(|pair| pair.iter().copied().reduce(|a, b| a + b).unwrap_or(0.0)).collect();
    }
    sums.pop().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_adds_neighbours_first() {
        // Distinguishes the tree from adding from left to right: there the ones would vanish one by one.
        let big = 2f64.powi(53);
        let sum = |values: &[f64]| tree_sum(values.to_vec()).to_bits();
        assert_eq!(sum(&[big, 0.0, 1.0, 1.0]), (big + 2.0).to_bits());
        assert_eq!(sum(&[]), 0.0_f64.to_bits());
        assert_eq!(sum(&[1.0, 2.0, 3.0]), 6.0_f64.to_bits());
    }
}
