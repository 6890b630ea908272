//! Euclidean projection onto the simplex: the nearest weights that are not negative and sum to 1.

/// The point of the probability simplex nearest to `weights` (Wang and Carreira-Perpinan, arXiv 1309.1541, algorithm 1;
/// Duchi et al. 2008): every weight is lowered by the same amount and cut off at 0.
pub fn project_onto_simplex(weights: &[f64]) -> Vec<f64> {
    // Already there: leave the bits alone, whatever the rounding of the sum.
    if weights.iter().all(|w| *w >= 0.0) && (weights.iter().sum::<f64>() - 1.0).abs() < 1e-12 {
        return weights.to_vec();
    }
    let mut descending = weights.to_vec();
    descending.sort_by(|a, b| b.total_cmp(a));
    let (mut sum, mut lowering) = (0.0, 0.0);
    for (index, weight) in descending.iter().enumerate() {
        sum += weight;
        let candidate = (sum - 1.0) / (index + 1) as f64;
        if *weight <= candidate {
            break;
        }
        lowering = candidate;
    }
    weights.iter().map(|w| (w - lowering).max(0.0)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_projections() {
        assert_eq!(project_onto_simplex(&[0.25, 0.75]), [0.25, 0.75]);
        assert_eq!(project_onto_simplex(&[2.0, -1.0]), [1.0, 0.0]);
        assert_eq!(project_onto_simplex(&[1.0, 1.0, -5.0]), [0.5, 0.5, 0.0]);
    }

    proptest! {
        /// The projection p of w is the point with (w - p)(v - p) <= 0 for every vertex v.
        #[test]
        fn the_projection_is_the_nearest_point(weights in prop::collection::vec(-2.0..2.0, 1..30)) {
            let nearest = project_onto_simplex(&weights);
            prop_assert!(nearest.iter().all(|w| *w >= 0.0));
            prop_assert!((nearest.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            for vertex in 0..weights.len() {
                let product: f64 = (0..weights.len())
                    .map(|i| (weights[i] - nearest[i]) * (f64::from(u8::from(i == vertex)) - nearest[i]))
                    .sum();
                prop_assert!(product < 1e-12);
            }
        }
    }
}
