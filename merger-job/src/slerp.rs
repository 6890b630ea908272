//! Spherical interpolation: the angle between two whole tensors, and the two weights that follow from it.

use crate::blocks::{BLOCK, tree_sum};
use crate::kernel::{Stretch, decode};

/// Cosines beyond this are as good as parallel, and interpolation is linear, as everywhere in the field.
const PARALLEL: f64 = 0.9995;

/// What the angle needs, by blocks in index order: products with each other and with themselves.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Products {
    dot: Vec<f64>,
    first: Vec<f64>,
    second: Vec<f64>,
}

impl Products {
    /// Of a stretch of whole blocks, or the tensor's end.
    pub(crate) fn of(first: &Stretch, second: &Stretch, elements: usize) -> Self {
        let mut products = Self::default();
        let (mut ours, mut theirs) = (vec![0.0; BLOCK], vec![0.0; BLOCK]);
        for start in (0..elements).step_by(BLOCK) {
            let count = BLOCK.min(elements - start);
            let (ours, theirs) = (&mut ours[..count], &mut theirs[..count]);
            decode(first, start, ours);
            decode(second, start, theirs);
            let (mut dot, mut first, mut second) = (0.0, 0.0, 0.0);
            for (a, b) in ours.iter().zip(theirs.iter()) {
                dot += a * b;
                first += a * a;
                second += b * b;
            }
            products.dot.push(dot);
            products.first.push(first);
            products.second.push(second);
        }
        products
    }

    /// Adds the products of the blocks that follow.
    pub(crate) fn extend(&mut self, next: Self) {
        self.dot.extend(next.dot);
        self.first.extend(next.first);
        self.second.extend(next.second);
    }

    /// The weights of the two tensors at `t`: `sin((1-t)Ω)/sin Ω` and `sin(tΩ)/sin Ω`, where Ω is the angle between
    /// them; `1-t` and `t` where they are (anti)parallel or not finite. A tensor of zeros stands at a right angle.
    pub(crate) fn weights(self, t: f64) -> [f64; 2] {
        let (dot, first, second) = (tree_sum(self.dot), tree_sum(self.first), tree_sum(self.second));
        let norms = first.sqrt() * second.sqrt();
        let cosine = if norms == 0.0 { 0.0 } else { dot / norms };
        if cosine.abs() <= PARALLEL {
            let angle = libm::acos(cosine);
            let sine = libm::sin(angle);
            [libm::sin((1.0 - t) * angle) / sine, libm::sin(t * angle) / sine]
        } else {
            [1.0 - t, t]
        }
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "the weights at the ends and of parallel tensors are exact")]
mod tests {
    use super::*;
    use crate::element::Float;

    fn stretch(values: &[f64]) -> Stretch {
        let mut bytes = Vec::new();
        Float::F64.encode(values, &mut bytes);
        (Float::F64, bytes.into())
    }

    fn weights(first: &[f64], second: &[f64], t: f64) -> [f64; 2] {
        Products::of(&stretch(first), &stretch(second), first.len()).weights(t)
    }

    #[test]
    fn a_right_angle_is_halved() {
        let [ours, theirs] = weights(&[2.0, 0.0], &[0.0, 5.0], 0.5);
        let expected = std::f64::consts::FRAC_1_SQRT_2;
        assert!((ours - expected).abs() < 1e-15 && (theirs - expected).abs() < 1e-15);
        assert_eq!(weights(&[0.0, 0.0], &[0.0, 5.0], 0.5), [ours, theirs]);
    }

    #[test]
    fn the_ends_are_the_tensors_themselves() {
        assert_eq!(weights(&[1.0, 2.0], &[3.0, -1.0], 0.0), [1.0, 0.0]);
        assert_eq!(weights(&[1.0, 2.0], &[3.0, -1.0], 1.0), [0.0, 1.0]);
    }

    #[test]
    fn parallel_and_broken_tensors_are_interpolated_linearly() {
        assert_eq!(weights(&[1.0, 2.0], &[2.0, 4.0], 0.25), [0.75, 0.25]);
        assert_eq!(weights(&[1.0, 2.0], &[-2.0, -4.0], 0.25), [0.75, 0.25]);
        assert_eq!(weights(&[f64::NAN, 2.0], &[2.0, 4.0], 0.25), [0.75, 0.25]);
    }

    #[test]
    fn stretches_add_up_to_the_whole() {
        let first: Vec<f64> = (0..3 * BLOCK + 7).map(|i| (i as f64 * 0.7).sin()).collect();
        let second: Vec<f64> = (0..3 * BLOCK + 7).map(|i| (i as f64 * 1.3).cos()).collect();
        let whole = Products::of(&stretch(&first), &stretch(&second), first.len());
        let mut parts = Products::default();
        for (ours, theirs) in first.chunks(2 * BLOCK).zip(second.chunks(2 * BLOCK)) {
            parts.extend(Products::of(&stretch(ours), &stretch(theirs), ours.len()));
        }
        assert_eq!(parts, whole);
    }
}
