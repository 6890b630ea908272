//! Merges along the sphere: weights that follow from the lengths of vectors and the angles between them.
//!
//! All of these methods are linear in the tensors once the products of each with each are known, so one pass over whole
//! tensors and a small matrix are enough, whatever the number of steps.

use crate::blocks::lanes;

/// Cosines beyond this are as good as parallel to `slerp`, which then is linear, as everywhere in the field.
const PARALLEL: f64 = 0.9995;
/// The sine below which vectors are as good as parallel to `nuslerp`.
const COLINEAR: f64 = 1e-8;
/// The least length that `nuslerp` divides by.
const LEAST_LENGTH: f64 = 1e-7;
/// The least product of lengths that `model_stock` divides by.
const LEAST_PRODUCT: f64 = 1e-6;

/// The products of several vectors with each other.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Gram {
    count: usize,
    /// Row by row, each from the diagonal on.
    products: Vec<f64>,
}

impl Gram {
    /// From the products in the order of [`Gram::pairs`].
    pub(crate) fn new(count: usize, products: Vec<f64>) -> Self {
        Self { count, products }
    }

    /// Of short vectors.
    pub(crate) fn of(vectors: &[&[f64]]) -> Self {
        let pairs = Self::pairs(vectors.len());
        let products = pairs.map(|(left, right)| lanes::dot(vectors[left], vectors[right])).collect();
        Self::new(vectors.len(), products)
    }

    /// The pairs of `count` vectors in order, each vector with itself and with those after it.
    pub(crate) fn pairs(count: usize) -> impl Iterator<Item = (usize, usize)> {
        (0..count).flat_map(move |left| (left..count).map(move |right| (left, right)))
    }

    fn product(&self, left: usize, right: usize) -> f64 {
        let (left, right) = (left.min(right), left.max(right));
        let row = left * self.count - left * left.saturating_sub(1) / 2;
        self.products.get(row + right - left).copied().unwrap_or(0.0)
    }

    fn length(&self, place: usize) -> f64 {
        self.product(place, place).sqrt()
    }

    /// The product of two sums of the vectors, given by their coefficients.
    fn between(&self, left: &[f64], right: &[f64]) -> f64 {
        let mut sum = 0.0;
        for (i, a) in left.iter().enumerate() {
            for (j, b) in right.iter().enumerate() {
                sum += a * b * self.product(i, j);
            }
        }
        sum
    }
}

/// A mean of directions shorter than this part of the weights' sum is what rounding leaves of nothing: its square is a
/// difference of products near 1, known to 1e-16.
const CANCELLED: f64 = 1e-7;

/// How the weights of vectors follow from their products.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Rule {
    /// Two vectors: `sin((1-t)Ω)/sin Ω` and `sin(tΩ)/sin Ω`, where Ω is the angle between them; `1-t` and `t` where they
    /// are (anti)parallel or not finite. A vector of zeros stands at a right angle.
    Slerp { t: f64 },
    /// As `Slerp`, but linear only where the sine is below 1e-8.
    Nuslerp { t: f64 },
    /// The weighted mean of directions, corrected by one step in its tangent space, as long as the weighted mean of
    /// lengths.
    Multislerp { weights: Vec<f64>, eps: f64 },
    /// The Riemannian (Karcher) mean of directions, as long as the mean of lengths.
    Karcher { weights: Vec<f64>, max_iter: u32, tol: f64 },
    /// Every vector the same weight `t / N`, with `t = N cos θ / (1 + (N - 1) cos θ)` (arXiv 2403.19522, equation 5) and
    /// cos θ the mean over all pairs.
    ModelStock,
}

impl Rule {
    /// The weights of the vectors.
    pub(crate) fn weights(&self, gram: &Gram) -> Vec<f64> {
        match self {
            Self::Slerp { t } => {
                let norms = gram.length(0) * gram.length(1);
                let cosine = if norms == 0.0 { 0.0 } else { gram.product(0, 1) / norms };
                interpolate(*t, if cosine.abs() <= PARALLEL { Some(cosine) } else { None })
            }
            Self::Nuslerp { t } => {
                let norms = gram.length(0).max(LEAST_LENGTH) * gram.length(1).max(LEAST_LENGTH);
                let cosine = (gram.product(0, 1) / norms).clamp(-1.0, 1.0);
                let apart = libm::sin(libm::acos(cosine)).abs() >= COLINEAR;
                interpolate(*t, apart.then_some(cosine))
            }
            Self::Multislerp { weights, eps } => multislerp(gram, weights, *eps),
            Self::Karcher { weights, max_iter, tol } => karcher(gram, weights, *max_iter, *tol),
            Self::ModelStock => model_stock(gram),
        }
    }
}

/// The weights of two vectors by the cosine between them; linear without one.
fn interpolate(t: f64, cosine: Option<f64>) -> Vec<f64> {
    cosine.map_or_else(
        || vec![1.0 - t, t],
        |cosine| {
            let angle = libm::acos(cosine);
            let sine = libm::sin(angle);
            vec![libm::sin((1.0 - t) * angle) / sine, libm::sin(t * angle) / sine]
        },
    )
}

fn multislerp(gram: &Gram, weights: &[f64], eps: f64) -> Vec<f64> {
    if gram.count == 1 {
        return vec![1.0];
    }
    let lengths: Vec<f64> = (0..gram.count).map(|place| gram.length(place)).collect();
    // Coefficients of the vectors: of each direction, then of their weighted mean.
    let scales: Vec<f64> = lengths.iter().map(|length| 1.0 / (length + eps)).collect();
    let mean: Vec<f64> = weights.iter().zip(&scales).map(|(weight, scale)| weight * scale).collect();
    let mean_length = gram.between(&mean, &mean).max(0.0).sqrt();
    let all: f64 = weights.iter().map(|weight| weight.abs()).sum();
    if mean_length < eps.max(CANCELLED * all) {
        // Directions that cancel out: nothing on the sphere is between them, so the mean is linear.
        return weights.to_vec();
    }
    let mean: Vec<f64> = mean.iter().map(|value| value / mean_length).collect();
    // The weighted sum of what each direction has beside the mean.
    let mut tangent = vec![0.0; gram.count];
    for (place, (weight, scale)) in weights.iter().zip(&scales).enumerate() {
        let mut direction = vec![0.0; gram.count];
        direction[place] = *scale;
        let along = gram.between(&direction, &mean);
        for (tangent, (direction, mean)) in tangent.iter_mut().zip(direction.iter().zip(&mean)) {
            *tangent += weight * (direction - along * mean);
        }
    }
    let step = gram.between(&tangent, &tangent).max(0.0).sqrt() + eps;
    let length: f64 = weights.iter().zip(&lengths).map(|(weight, length)| weight * length).sum();
    let sine = libm::sin(step) / step;
    mean.iter()
        .zip(&tangent)
        .map(|(mean, tangent)| length * (mean * libm::cos(step) + tangent * sine))
        .collect()
}

fn karcher(gram: &Gram, weights: &[f64], max_iter: u32, tol: f64) -> Vec<f64> {
    if gram.count == 1 {
        return vec![1.0];
    }
    let sum: f64 = weights.iter().sum();
    let lengths: Vec<f64> = (0..gram.count).map(|place| gram.length(place)).collect();
    let length: f64 = weights.iter().zip(&lengths).map(|(weight, length)| weight / sum * length).sum();
    // Tensors of (almost) zeros have no direction.
    let valid: Vec<usize> = (0..gram.count).filter(|&place| lengths[place] > tol).collect();
    let valid_sum: f64 = valid.iter().map(|&place| weights[place]).sum();
    if valid.is_empty() || valid_sum == 0.0 {
        return vec![0.0; gram.count];
    }
    let direction = |place: usize| {
        let mut direction = vec![0.0; gram.count];
        direction[place] = 1.0 / lengths[place];
        direction
    };
    let normalized = |vector: Vec<f64>, least: f64| {
        let length = gram.between(&vector, &vector).max(0.0).sqrt();
        if length > least { vector.iter().map(|value| value / length).collect() } else { vector }
    };
    let mut start = vec![0.0; gram.count];
    for &place in &valid {
        start[place] = weights[place] / valid_sum / lengths[place];
    }
    let mut mean = if gram.between(&start, &start).max(0.0).sqrt() < tol {
        direction(valid[0])
    } else {
        normalized(start, 0.0)
    };
    for _ in 0..max_iter {
        let mut tangent = vec![0.0; gram.count];
        for &place in &valid {
            let direction = direction(place);
            let cosine = gram.between(&mean, &direction).clamp(-1.0, 1.0);
            let angle = libm::acos(cosine);
            let sine = libm::sin(angle);
            if angle < tol || sine < tol {
                // There already, or opposite, from where no way is shorter than others.
                continue;
            }
            let scale = weights[place] / valid_sum * (angle / sine);
            for (tangent, (direction, mean)) in tangent.iter_mut().zip(direction.iter().zip(&mean)) {
                *tangent += scale * (direction - cosine * mean);
            }
        }
        let step = gram.between(&tangent, &tangent).max(0.0).sqrt();
        if step < tol {
            break;
        }
        let (cosine, sine) = (libm::cos(step), libm::sin(step) / step);
        let moved = mean.iter().zip(&tangent).map(|(mean, tangent)| cosine * mean + sine * tangent).collect();
        mean = normalized(moved, tol);
    }
    mean.iter().map(|value| length * value).collect()
}

fn model_stock(gram: &Gram) -> Vec<f64> {
    let count = gram.count as f64;
    let cosines = Gram::pairs(gram.count).filter(|(left, right)| left != right).map(|(left, right)| {
        let norms = (gram.length(left) * gram.length(right)).max(LEAST_PRODUCT);
        (gram.product(left, right) / norms).clamp(-1.0, 1.0)
    });
    let pairs = count * (count - 1.0) / 2.0;
    let cosine = cosines.sum::<f64>() / pairs;
    let t = count * cosine / (1.0 + (count - 1.0) * cosine);
    vec![t / count; gram.count]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights(rule: &Rule, vectors: &[&[f64]]) -> Vec<f64> {
        rule.weights(&Gram::of(vectors))
    }

    fn assert_near(weights: &[f64], expected: &[f64]) {
        assert_eq!(weights.len(), expected.len());
        for (weight, expected) in weights.iter().zip(expected) {
            assert!((weight - expected).abs() < 1e-9, "{weights:?}");
        }
    }

    #[test]
    fn a_right_angle_is_halved() {
        let half = std::f64::consts::FRAC_1_SQRT_2;
        for rule in [Rule::Slerp { t: 0.5 }, Rule::Nuslerp { t: 0.5 }] {
            assert_near(&weights(&rule, &[&[2.0, 0.0], &[0.0, 3.0]]), &[half, half]);
        }
        assert_near(&weights(&Rule::Slerp { t: 1.0 }, &[&[2.0, 0.0], &[0.0, 3.0]]), &[0.0, 1.0]);
    }

    #[test]
    fn parallel_and_empty_vectors_are_interpolated() {
        let slerp = Rule::Slerp { t: 0.25 };
        assert_near(&weights(&slerp, &[&[1.0, 1.0], &[2.0, 2.0]]), &[0.75, 0.25]);
        assert_near(&weights(&slerp, &[&[1.0], &[-1.0]]), &[0.75, 0.25]);
        let nan = weights(&slerp, &[&[f64::NAN], &[1.0]]);
        assert_near(&nan, &[0.75, 0.25]);
        let zeros = weights(&Rule::Slerp { t: 0.5 }, &[&[0.0, 0.0], &[1.0, 0.0]]);
        assert_near(&zeros, &[std::f64::consts::FRAC_1_SQRT_2; 2]);
    }

    /// Both means of equal weights lie in the middle of an arc, as long as the mean of the lengths.
    #[test]
    fn means_of_two_lie_in_the_middle() {
        let vectors: [&[f64]; 2] = [&[2.0, 0.0], &[0.0, 4.0]];
        let middle = 3.0 * std::f64::consts::FRAC_1_SQRT_2;
        let multislerp = Rule::Multislerp { weights: vec![0.5, 0.5], eps: 0.0 };
        let karcher = Rule::Karcher { weights: vec![1.0, 1.0], max_iter: 10, tol: 1e-9 };
        for rule in [multislerp, karcher] {
            let weights = weights(&rule, &vectors);
            assert_near(&[2.0 * weights[0], 4.0 * weights[1]], &[middle, middle]);
        }
    }

    #[test]
    fn the_karcher_mean_has_no_pull_left() {
        let vectors: [&[f64]; 3] = [&[1.0, 0.0, 0.0], &[0.0, 1.0, 0.0], &[0.6, 0.0, 0.8]];
        let rule = Rule::Karcher { weights: vec![1.0, 1.0, 1.0], max_iter: 100, tol: 1e-12 };
        let found = weights(&rule, &vectors);
        let mean: Vec<f64> =
            (0..3).map(|place| found.iter().zip(vectors).map(|(w, v)| w * v[place]).sum()).collect();
        let dot = |left: &[f64], right: &[f64]| left.iter().zip(right).map(|(a, b)| a * b).sum::<f64>();
        let mut pull = [0.0; 3];
        for vector in vectors {
            let cosine = dot(&mean, vector);
            let angle = cosine.acos();
            for place in 0..3 {
                pull[place] += angle / angle.sin() * (vector[place] - cosine * mean[place]);
            }
        }
        assert!(dot(&pull, &pull).sqrt() < 1e-9, "{pull:?}");
        assert_near(&[dot(&mean, &mean)], &[1.0]);
    }

    #[test]
    fn model_stock_moves_further_the_more_the_vectors_agree() {
        let same = weights(&Rule::ModelStock, &[&[1.0, 0.0], &[1.0, 0.0]]);
        assert_near(&same, &[0.5, 0.5]);
        let apart = weights(&Rule::ModelStock, &[&[1.0, 0.0], &[0.0, 1.0]]);
        assert_near(&apart, &[0.0, 0.0]);
        // cos θ = 0.6: t = 2 * 0.6 / 1.6 = 0.75.
        let between = weights(&Rule::ModelStock, &[&[1.0, 0.0], &[0.6, 0.8]]);
        assert_near(&between, &[0.375, 0.375]);
    }
}
