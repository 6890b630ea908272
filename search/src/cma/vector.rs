//! The three vector operations of CMA-ES, summing from the first element to the last.

/// a u + b v, element by element.
pub(super) fn combine(a: f64, u: &[f64], b: f64, v: &[f64]) -> Vec<f64> {
    u.iter().zip(v).map(|(u, v)| a * u + b * v).collect()
}

/// The inner product.
pub(super) fn dot(u: &[f64], v: &[f64]) -> f64 {
    u.iter().zip(v).map(|(u, v)| u * v).sum()
}

/// The Euclidean length.
pub(super) fn norm(v: &[f64]) -> f64 {
    dot(v, v).sqrt()
}
