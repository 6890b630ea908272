//! Orthonormal coordinates of the plane of weights that sum to 1: Helmert's basis around the uniform weights.
//!
//! Basis vector j of K - 1 (j = 1 ...) is (1, ..., 1, -j, 0, ..., 0) / sqrt(j (j + 1)) with j ones: it weighs the first j
//! checkpoints together against the next one. Sums over prefixes and suffixes replace the matrix.

/// The length of basis vector `j` before it is normalised.
fn length(j: usize) -> f64 {
    ((j * (j + 1)) as f64).sqrt()
}

/// The K - 1 coordinates of K weights. A part along the diagonal, where the sum differs from 1, is dropped.
pub(super) fn coordinates(weights: &[f64]) -> Vec<f64> {
    let mut prefix = 0.0;
    weights
        .windows(2)
        .enumerate()
        .map(|(index, pair)| {
            let j = index + 1;
            prefix += pair[0];
            (prefix - j as f64 * pair[1]) / length(j)
        })
        .collect()
}

/// The K weights at K - 1 coordinates; they sum to 1 up to rounding.
pub(super) fn weights(coordinates: &[f64]) -> Vec<f64> {
    let uniform = 1.0 / (coordinates.len() + 1) as f64;
    let mut weights = vec![0.0; coordinates.len() + 1];
    let mut suffix = 0.0;
    for (index, coordinate) in coordinates.iter().enumerate().rev() {
        let j = index + 1;
        let share = coordinate / length(j);
        weights[j] = uniform + suffix - j as f64 * share;
        suffix += share;
    }
    weights[0] = uniform + suffix;
    weights
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn distance(a: &[f64], b: &[f64]) -> f64 {
        a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt()
    }

    #[test]
    fn the_origin_is_the_uniform_soup() {
        assert_eq!(weights(&[0.0; 3]), [0.25; 4]);
    }

    #[test]
    fn two_checkpoints_have_one_coordinate() {
        let half = std::f64::consts::FRAC_1_SQRT_2;
        assert!(distance(&weights(&[half]), &[1.0, 0.0]) < 1e-15);
        assert!((coordinates(&[0.0, 1.0])[0] + half).abs() < 1e-15);
    }

    /// Two points with the same number of coordinates, from 1 to 40.
    fn two_points() -> impl Strategy<Value = (Vec<f64>, Vec<f64>)> {
        (1_usize..40)
            .prop_flat_map(|n| (prop::collection::vec(-3.0..3.0, n), prop::collection::vec(-3.0..3.0, n)))
    }

    proptest! {
        #[test]
        fn weights_sum_to_one_and_lead_back((point, _) in two_points()) {
            let weights = weights(&point);
            prop_assert!((weights.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            prop_assert!(distance(&coordinates(&weights), &point) < 1e-12);
        }

        #[test]
        fn distances_are_kept((a, b) in two_points()) {
            prop_assert!((distance(&weights(&a), &weights(&b)) - distance(&a, &b)).abs() < 1e-12);
        }
    }
}
