//! The shape of the search distribution: a full covariance matrix with its axes, or variances alone.

use serde::{Deserialize, Serialize};

use super::vector::{combine, dot};
use crate::eigen::Eigen;

/// Variances below this share of the largest one are raised to it, so that C stays positive definite.
const SMALLEST_SHARE: f64 = 1e-16;

/// A covariance matrix C = B D^2 B' together with what is needed to sample from it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Covariance {
    /// Every pair of coordinates.
    Full {
        /// C, row-major, its triangles equal.
        matrix: Vec<f64>,
        /// B', row-major: row i is the unit vector of axis i.
        axes: Vec<f64>,
        /// D: the standard deviation along each axis.
        lengths: Vec<f64>,
    },
    /// The coordinates are the axes.
    Separable {
        /// The diagonal of C.
        variances: Vec<f64>,
        /// The standard deviation of each coordinate.
        lengths: Vec<f64>,
    },
}

impl Covariance {
    /// The covariance of independent coordinates with these standard deviations.
    pub(super) fn diagonal(deviations: &[f64], separable: bool) -> Self {
        let n = deviations.len();
        let variances: Vec<f64> = deviations.iter().map(|d| d * d).collect();
        let lengths = deviations.to_vec();
        if separable {
            return Self::Separable { variances, lengths };
        }
        let (mut matrix, mut axes) = (vec![0.0; n * n], vec![0.0; n * n]);
        for (i, variance) in variances.into_iter().enumerate() {
            matrix[i * n + i] = variance;
            axes[i * n + i] = 1.0;
        }
        Self::Full { matrix, axes, lengths }
    }

    /// Element (row, column) of C.
    pub(super) fn element(&self, row: usize, column: usize) -> f64 {
        match self {
            Self::Full { matrix, lengths, .. } => matrix[row * lengths.len() + column],
            Self::Separable { variances, .. } if row == column => variances[row],
            Self::Separable { .. } => 0.0,
        }
    }

    /// D, the standard deviation along each axis.
    pub(super) fn axis_lengths(&self) -> &[f64] {
        match self {
            Self::Full { lengths, .. } | Self::Separable { lengths, .. } => lengths,
        }
    }

    /// B D z: turns a standard normal vector into one with this covariance.
    pub(super) fn colour(&self, z: &[f64]) -> Vec<f64> {
        let stretched = z.iter().zip(self.axis_lengths()).map(|(z, d)| z * d).collect();
        self.along_axes(stretched)
    }

    /// C^(-1/2) y = B D^-1 B' y.
    pub(super) fn whiten(&self, y: &[f64]) -> Vec<f64> {
        self.along_axes(self.in_units_of_axes(y))
    }

    /// |C^(-1/2) y|^2, the squared Mahalanobis length.
    pub(super) fn squared_length(&self, y: &[f64]) -> f64 {
        let inner = self.in_units_of_axes(y);
        dot(&inner, &inner)
    }

    /// Axis `index`, as a vector as long as the standard deviation along it.
    pub(super) fn axis(&self, index: usize) -> Vec<f64> {
        let mut unit = vec![0.0; self.axis_lengths().len()];
        unit[index] = 1.0;
        self.colour(&unit)
    }

    /// C becomes keep C + sum of weight v v' over `terms`, and the axes follow.
    pub(super) fn update<'a>(&mut self, keep: f64, terms: impl Iterator<Item = (f64, &'a [f64])>) {
        match self {
            Self::Separable { variances, lengths } => {
                for variance in variances.iter_mut() {
                    *variance *= keep;
                }
                for (weight, v) in terms {
                    for (variance, v) in variances.iter_mut().zip(v) {
                        *variance += weight * (v * v);
                    }
                }
                raise_to_floor(variances);
                *lengths = variances.iter().map(|v| v.sqrt()).collect();
            }
            Self::Full { matrix, axes, lengths } => {
                let n = lengths.len();
                for element in matrix.iter_mut() {
                    *element *= keep;
                }
                for (weight, v) in terms {
                    for (row, vr) in matrix.chunks_exact_mut(n).zip(v) {
                        for (element, vc) in row.iter_mut().zip(v) {
                            // The product of the two entries first: it is the same for (r, c) and (c, r).
                            *element += weight * (vr * vc);
                        }
                    }
                }
                let mut eigen = Eigen::of_symmetric(matrix.clone(), n);
                if raise_to_floor(&mut eigen.values) {
                    *matrix = rebuild(&eigen, n);
                }
                *lengths = eigen.values.iter().map(|v| v.sqrt()).collect();
                *axes = eigen.vectors;
            }
        }
    }

    /// D^-1 B' y.
    fn in_units_of_axes(&self, y: &[f64]) -> Vec<f64> {
        match self {
            Self::Full { axes, lengths, .. } => {
                axes.chunks_exact(lengths.len()).zip(lengths).map(|(axis, d)| dot(axis, y) / d).collect()
            }
            Self::Separable { lengths, .. } => y.iter().zip(lengths).map(|(y, d)| y / d).collect(),
        }
    }

    /// B v.
    fn along_axes(&self, v: Vec<f64>) -> Vec<f64> {
        match self {
            Self::Full { axes, lengths, .. } => {
                let n = lengths.len();
                axes.chunks_exact(n).zip(v).fold(vec![0.0; n], |sum, (axis, v)| combine(1.0, &sum, v, axis))
            }
            Self::Separable { .. } => v,
        }
    }
}

/// Raises variances that are negative or negligible beside the largest; whether there were any.
fn raise_to_floor(variances: &mut [f64]) -> bool {
    let largest = variances.iter().copied().fold(0.0, f64::max);
    let floor = (largest * SMALLEST_SHARE).max(1e-100);
    let mut raised = false;
    for variance in variances.iter_mut().filter(|v| **v < floor) {
        *variance = floor;
        raised = true;
    }
    raised
}

/// B D^2 B', symmetric by construction.
fn rebuild(eigen: &Eigen, n: usize) -> Vec<f64> {
    let mut matrix = vec![0.0; n * n];
    for (value, axis) in eigen.values.iter().zip(eigen.vectors.chunks_exact(n)) {
        for (row, r) in matrix.chunks_exact_mut(n).zip(axis) {
            for (element, c) in row.iter_mut().zip(axis) {
                *element += value * (r * c);
            }
        }
    }
    matrix
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whitening_undoes_colouring_up_to_a_rotation() {
        for separable in [false, true] {
            let mut covariance = Covariance::diagonal(&[1.0, 2.0, 0.5], separable);
            covariance.update(0.9, [(0.3, [1.0, -2.0, 0.5].as_slice())].into_iter());
            let z = [0.3, -1.2, 2.0];
            let length = covariance.squared_length(&covariance.colour(&z));
            assert!((length - dot(&z, &z)).abs() < 1e-13);
            let y = [1.0, 2.0, 3.0];
            let white = covariance.whiten(&y);
            assert!((dot(&white, &white) - covariance.squared_length(&y)).abs() < 1e-13);
        }
    }

    #[test]
    fn a_negative_direction_is_raised_and_the_matrix_agrees_with_its_axes() {
        let mut covariance = Covariance::diagonal(&[1.0, 1.0], false);
        covariance.update(1.0, [(-2.0, [0.6, 0.8].as_slice())].into_iter());
        assert!(covariance.axis_lengths().iter().all(|d| *d > 0.0));
        let y = covariance.axis(0);
        assert!((covariance.squared_length(&y) - 1.0).abs() < 1e-9);
        assert!(covariance.element(0, 0) > 0.0);
        assert_eq!(covariance.element(0, 1).to_bits(), covariance.element(1, 0).to_bits());
    }
}
