//! Eigen-decomposition of symmetric matrices that gives the same bits on every machine.
//!
//! Tuned linear algebra picks its kernels by processor, so its last bits differ between machines. The cyclic Jacobi
//! method here uses only IEEE additions, multiplications, divisions and square roots in one fixed order. It is also
//! the most accurate method for positive definite matrices (Demmel and Veselic 1992), and fast enough for the
//! dimensions of a full covariance matrix (about 100).

/// Sweeps after which the iteration ends in any case; symmetric matrices need about ten.
const MAX_SWEEPS: usize = 60;

/// Eigenvalues and orthonormal eigenvectors of a symmetric matrix, in no particular order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Eigen {
    /// Eigenvalue i belongs to eigenvector i.
    pub(crate) values: Vec<f64>,
    /// Row-major n x n: row i is eigenvector i.
    pub(crate) vectors: Vec<f64>,
}

impl Eigen {
    /// Decomposes the row-major n x n `matrix`, whose two triangles must be equal, by cyclic Jacobi rotations.
    pub(crate) fn of_symmetric(mut matrix: Vec<f64>, n: usize) -> Self {
        let mut vectors = vec![0.0; n * n];
        for i in 0..n {
            vectors[i * n + i] = 1.0;
        }
        for _ in 0..MAX_SWEEPS {
            let mut rotated = false;
            for p in 0..n {
                for q in p + 1..n {
                    if let Some(rotation) = Rotation::annihilating(&matrix, n, p, q) {
                        rotation.apply_to_both_sides(&mut matrix, n);
                        rotation.apply_to_rows(&mut vectors, n);
                        rotated = true;
                    }
                }
            }
            if !rotated {
                break;
            }
        }
        Self { values: (0..n).map(|i| matrix[i * n + i]).collect(), vectors }
    }
}

/// A plane rotation by the angle with `sine` and `cosine` in the coordinates `p < q`.
struct Rotation {
    p: usize,
    q: usize,
    tangent: f64,
    cosine: f64,
    sine: f64,
}

impl Rotation {
    /// The rotation by at most 45 degrees that makes element (p, q) zero; none if it is negligible already.
    fn annihilating(matrix: &[f64], n: usize, p: usize, q: usize) -> Option<Self> {
        let (app, aqq, apq) = (matrix[p * n + p], matrix[q * n + q], matrix[p * n + q]);
        if apq.abs() <= f64::EPSILON * 0.5 * (app.abs().sqrt() * aqq.abs().sqrt()) {
            return None;
        }
        // Golub and Van Loan, Matrix Computations, section 8.5.2: the smaller root of t^2 + 2 theta t - 1.
        let theta = (aqq - app) / (2.0 * apq);
        let tangent = 1.0_f64.copysign(theta) / (theta.abs() + (theta * theta + 1.0).sqrt());
        let cosine = 1.0 / (tangent * tangent + 1.0).sqrt();
        Some(Self { p, q, tangent, cosine, sine: tangent * cosine })
    }

    /// Replaces the symmetric A by J' A J.
    fn apply_to_both_sides(&self, matrix: &mut [f64], n: usize) {
        let &Self { p, q, tangent, cosine, sine } = self;
        let apq = matrix[p * n + q];
        matrix[p * n + p] -= tangent * apq;
        matrix[q * n + q] += tangent * apq;
        matrix[p * n + q] = 0.0;
        matrix[q * n + p] = 0.0;
        for k in (0..n).filter(|&k| k != p && k != q) {
            let (akp, akq) = (matrix[k * n + p], matrix[k * n + q]);
            let (new_p, new_q) = (cosine * akp - sine * akq, sine * akp + cosine * akq);
            matrix[k * n + p] = new_p;
            matrix[p * n + k] = new_p;
            matrix[k * n + q] = new_q;
            matrix[q * n + k] = new_q;
        }
    }

    /// Replaces V' by J' V', the eigenvectors being the rows.
    fn apply_to_rows(&self, vectors: &mut [f64], n: usize) {
        let (before, after) = vectors.split_at_mut(self.q * n);
        let row_p = &mut before[self.p * n..(self.p + 1) * n];
        for (vp, vq) in row_p.iter_mut().zip(&mut after[..n]) {
            (*vp, *vq) = (self.cosine * *vp - self.sine * *vq, self.sine * *vp + self.cosine * *vq);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    /// Sum over i of `value_i` `vector_i` `vector_i`'.
    fn rebuild(eigen: &Eigen, n: usize) -> Vec<f64> {
        let mut matrix = vec![0.0; n * n];
        for (i, value) in eigen.values.iter().enumerate() {
            let vector = &eigen.vectors[i * n..(i + 1) * n];
            for r in 0..n {
                for c in 0..n {
                    matrix[r * n + c] += value * vector[r] * vector[c];
                }
            }
        }
        matrix
    }

    #[test]
    fn a_diagonal_matrix_is_its_own_decomposition() {
        let eigen = Eigen::of_symmetric(vec![3.0, 0.0, 0.0, 1.0], 2);
        assert_eq!(eigen, Eigen { values: vec![3.0, 1.0], vectors: vec![1.0, 0.0, 0.0, 1.0] });
    }

    #[test]
    fn the_known_two_by_two_case() {
        let eigen = Eigen::of_symmetric(vec![2.0, 1.0, 1.0, 2.0], 2);
        assert_eq!(eigen.values, [1.0, 3.0]);
    }

    #[test]
    fn random_matrices_are_rebuilt_from_an_orthonormal_basis() {
        for n in [1, 2, 5, 30] {
            let mut stream = Stream::new(3, "eigen");
            let mut matrix = vec![0.0; n * n];
            for r in 0..n {
                for c in 0..=r {
                    let value = stream.normal();
                    matrix[r * n + c] = value;
                    matrix[c * n + r] = value;
                }
            }
            let eigen = Eigen::of_symmetric(matrix.clone(), n);
            for (built, original) in rebuild(&eigen, n).iter().zip(&matrix) {
                assert!((built - original).abs() < 1e-13 * n as f64);
            }
            let unit = Eigen { values: vec![1.0; n], vectors: eigen.vectors };
            for (i, entry) in rebuild(&unit, n).iter().enumerate() {
                let expected = if i % (n + 1) == 0 { 1.0 } else { 0.0 };
                assert!((entry - expected).abs() < 1e-13);
            }
        }
    }

    #[test]
    fn tiny_eigenvalues_of_a_graded_matrix_keep_their_relative_accuracy() {
        // diag(1, 1e-8) [[1, 0.5], [0.5, 1]] diag(1, 1e-8): determinant 0.75e-16.
        let eigen = Eigen::of_symmetric(vec![1.0, 0.5e-8, 0.5e-8, 1e-16], 2);
        assert!((eigen.values[0] * eigen.values[1] / 0.75e-16 - 1.0).abs() < 1e-14);
    }
}
