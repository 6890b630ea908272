//! Merges whose weights differ from row to row, as each row's angles do.

use super::{Chunk, Tile};
use crate::sphere::{Gram, Rule};

/// `w_0(row) x_0 + w_1(row) x_1 + ...`, or with a base `base + w_0(row) (x_0 - base) + ...`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rows {
    pub(crate) base: Option<usize>,
    /// The slots of the terms.
    pub(crate) terms: Vec<usize>,
    /// How a row's weights follow from its products.
    pub(crate) rule: Rule,
}

impl Rows {
    /// For each row of a chunk of whole rows, the weights of the terms.
    pub(super) fn weights(&self, chunk: &Chunk<'_>) -> Vec<Vec<f64>> {
        let row = chunk.row.max(1);
        let mut tensors = vec![vec![0.0; chunk.elements]; self.terms.len()];
        for (values, &slot) in tensors.iter_mut().zip(&self.terms) {
            chunk.decode(slot, 0, chunk.elements, values);
        }
        if let Some(base) = self.base {
            let mut subtracted = vec![0.0; chunk.elements];
            chunk.decode(base, 0, chunk.elements, &mut subtracted);
            for values in &mut tensors {
                values.iter_mut().zip(&subtracted).for_each(|(value, base)| *value -= base);
            }
        }
        let rows = (0..chunk.elements).step_by(row);
        rows.map(|begin| {
            let vectors: Vec<&[f64]> = tensors.iter().map(|values| &values[begin..begin + row]).collect();
            self.rule.weights(&Gram::of(&vectors))
        })
        .collect()
    }

    #[inline(always)]
    pub(super) fn tile(
        &self,
        chunk: &Chunk<'_>,
        sources: &[Tile],
        (start, count): (usize, usize),
        weights: &[Vec<f64>],
        out: &mut Tile,
    ) {
        let row = chunk.row.max(1);
        let base = self.base.map(|base| &sources[base]);
        for place in 0..count {
            let weights = &weights[(start + place) / row];
            let base = base.map_or(0.0, |base| base[place]);
            let mut sum = 0.0;
            for (&slot, weight) in self.terms.iter().zip(weights) {
                sum += weight * (sources[slot][place] - base);
            }
            out[place] = base + sum;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Formula;
    use crate::kernel::tests::combined;

    #[test]
    fn every_row_has_an_angle_of_its_own() {
        // The first row's vectors stand at a right angle, the second row's are parallel.
        let formula = Formula::Rows(Rows { base: None, terms: vec![0, 1], rule: Rule::Nuslerp { t: 0.5 } });
        let merged = combined(&formula, &[&[1.0, 0.0, 1.0, 1.0], &[0.0, 1.0, 3.0, 3.0]], 2);
        let half = std::f64::consts::FRAC_1_SQRT_2;
        for (merged, expected) in merged.iter().zip([half, half, 2.0, 2.0]) {
            assert!((merged - expected).abs() < 1e-12);
        }
    }
}
