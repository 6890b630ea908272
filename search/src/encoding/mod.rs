//! The plain coordinates CMA-ES searches in, and the merge weights and parameters they stand for.
//!
//! Weights of K checkpoints sum to 1, so they live in a plane of K - 1 dimensions. [`Encoding`] lays orthonormal
//! coordinates into it, with the uniform soup as the origin: a step has the same length in both spaces, no checkpoint
//! is special, and there is no direction in which a move changes nothing. With several groups of tensors, K - 1
//! coordinates are shared and every group adds K - 1 deviations of its own, which start at a third of the standard
//! deviation, so that the search first finds weights for the whole model. Parameters with bounds follow at the end.

mod bounds;
mod decimals;
mod plane;
mod simplex;

use serde::{Deserialize, Serialize};

pub use self::bounds::{BoundedParameter, BoundsError};
pub use self::decimals::shorten;
pub use self::simplex::project_onto_simplex;

/// The first standard deviation of a group's deviations, in units of that of the shared coordinates.
const DEVIATION_SCALE: f64 = 1.0 / 3.0;
/// How far from 1 a sum of weights may be; a sum of shortened decimals is nearer.
const SUM_TOLERANCE: f64 = 1e-6;

/// Translates between search coordinates and weights with parameters.
///
/// The coordinates are, in this order: K - 1 shared ones; if there is more than one group, K - 1 deviations of each
/// group; one for each parameter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Shape", into = "Shape")]
pub struct Encoding {
    checkpoints: usize,
    groups: usize,
    parameters: Vec<BoundedParameter>,
    non_negative: bool,
}

/// What an [`Encoding`] is made of, not yet checked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Shape {
    /// The number of checkpoints K, at least 2.
    pub checkpoints: usize,
    /// The number of groups of tensors with weights of their own, at least 1.
    pub groups: usize,
    /// Parameters of the merge method, shared by all groups.
    pub parameters: Vec<BoundedParameter>,
    /// Whether weights are projected onto the simplex, so that none is negative.
    pub non_negative: bool,
}

/// What a point stands for.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    /// For each group one weight per checkpoint as merged, summing to 1: `raw`, projected if the encoding says so.
    pub weights: Vec<Vec<f64>>,
    /// The same before the projection.
    pub raw: Vec<Vec<f64>>,
    /// The squared Euclidean distance between both, summed over the groups; 0 without projection.
    pub squared_distance: f64,
    /// One value per parameter, within its bounds.
    pub parameters: Vec<f64>,
}

/// Why a shape or a point was refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum EncodingError {
    /// Nothing to blend.
    #[error("a search needs at least two checkpoints, not {0}")]
    Checkpoints(usize),
    /// No tensors.
    #[error("a search needs at least one group of tensors")]
    Groups,
    /// The weights are not one number per checkpoint.
    #[error("expected {expected} weights, one per checkpoint, not {given}")]
    Weights {
        /// The number of checkpoints.
        expected: usize,
        /// The number of weights.
        given: usize,
    },
    /// The weights do not lie in the plane.
    #[error("weights must be finite and sum to 1, not {0}")]
    Sum(f64),
    /// Too few or too many parameter values.
    #[error("expected {expected} parameter values, not {given}")]
    Parameters {
        /// The number of parameters.
        expected: usize,
        /// The number of values.
        given: usize,
    },
    /// A point of another encoding.
    #[error("expected {expected} coordinates, not {given}")]
    Dimension {
        /// The number of coordinates.
        expected: usize,
        /// The number given.
        given: usize,
    },
    /// A parameter's bounds or value.
    #[error(transparent)]
    Bounds(#[from] BoundsError),
}

impl Encoding {
    /// Checks a shape.
    pub fn new(shape: Shape) -> Result<Self, EncodingError> {
        let Shape { checkpoints, groups, parameters, non_negative } = shape;
        if checkpoints < 2 {
            return Err(EncodingError::Checkpoints(checkpoints));
        }
        if groups == 0 {
            return Err(EncodingError::Groups);
        }
        Ok(Self { checkpoints, groups, parameters, non_negative })
    }

    /// The number of coordinates.
    pub fn dimension(&self) -> usize {
        self.first_parameter() + self.parameters.len()
    }

    /// Coordinates in the plane: K - 1.
    fn plane(&self) -> usize {
        self.checkpoints - 1
    }

    fn first_parameter(&self) -> usize {
        let deviations = if self.groups > 1 { self.groups } else { 0 };
        (1 + deviations) * self.plane()
    }

    /// The default step size 1 / sqrt(K (K + 1)): per coordinate, the standard deviation of the uniform distribution
    /// on the simplex. (A weight of it has the variance (K - 1) / (K^2 (K + 1)); all K together are shared by K - 1
    /// coordinates.)
    pub fn default_sigma(&self) -> f64 {
        let k = self.checkpoints as f64;
        1.0 / (k * (k + 1.0)).sqrt()
    }

    /// The first standard deviation of each coordinate in units of `sigma`: 1, for deviations of groups 1/3, for
    /// parameters a sixth of their range whatever `sigma` is.
    pub fn scales(&self, sigma: f64) -> Vec<f64> {
        let mut scales = vec![DEVIATION_SCALE; self.first_parameter()];
        scales[..self.plane()].fill(1.0);
        scales.extend(self.parameters.iter().map(|p| p.initial_deviation() / sigma));
        scales
    }

    /// The point at which every group has these `weights`, with the parameters at their start.
    pub fn encode(&self, weights: &[f64]) -> Result<Vec<f64>, EncodingError> {
        let starts: Vec<f64> = self.parameters.iter().map(BoundedParameter::start).collect();
        self.encode_with(weights, &starts)
    }

    /// The point at which every group has these `weights` and the parameters these values.
    pub fn encode_with(&self, weights: &[f64], parameters: &[f64]) -> Result<Vec<f64>, EncodingError> {
        let (expected, given) = (self.checkpoints, weights.len());
        if given != expected {
            return Err(EncodingError::Weights { expected, given });
        }
        let sum: f64 = weights.iter().sum();
        if sum.is_nan() || (sum - 1.0).abs() > SUM_TOLERANCE {
            return Err(EncodingError::Sum(sum));
        }
        let (expected, given) = (self.parameters.len(), parameters.len());
        if given != expected {
            return Err(EncodingError::Parameters { expected, given });
        }
        let mut point = plane::coordinates(weights);
        point.resize(self.first_parameter(), 0.0);
        for (parameter, &value) in self.parameters.iter().zip(parameters) {
            point.push(parameter.coordinate(value)?);
        }
        Ok(point)
    }

    /// The weights and parameters that a point stands for.
    pub fn decode(&self, point: &[f64]) -> Result<Decoded, EncodingError> {
        let (expected, given) = (self.dimension(), point.len());
        if given != expected {
            return Err(EncodingError::Dimension { expected, given });
        }
        let (in_plane, of_parameters) = point.split_at(self.first_parameter());
        let (shared, deviations) = in_plane.split_at(self.plane());
        let raw: Vec<Vec<f64>> = if self.groups == 1 {
            vec![plane::weights(shared)]
        } else {
            let own =
                |deviation: &[f64]| shared.iter().zip(deviation).map(|(s, d)| s + d).collect::<Vec<_>>();
            deviations.chunks_exact(self.plane()).map(|deviation| plane::weights(&own(deviation))).collect()
        };
        let weights: Vec<Vec<f64>> = if self.non_negative {
            raw.iter().map(|group| project_onto_simplex(group)).collect()
        } else {
            raw.clone()
        };
        let squared_distance =
            raw.iter().flatten().zip(weights.iter().flatten()).map(|(r, w)| (r - w) * (r - w)).sum();
        let parameters = self.parameters.iter().zip(of_parameters).map(|(p, &c)| p.value(c)).collect();
        Ok(Decoded { weights, raw, squared_distance, parameters })
    }
}

impl TryFrom<Shape> for Encoding {
    type Error = EncodingError;

    fn try_from(shape: Shape) -> Result<Self, EncodingError> {
        Self::new(shape)
    }
}

impl From<Encoding> for Shape {
    fn from(encoding: Encoding) -> Self {
        let Encoding { checkpoints, groups, parameters, non_negative } = encoding;
        Self { checkpoints, groups, parameters, non_negative }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encoding(checkpoints: usize, groups: usize, non_negative: bool) -> Encoding {
        let lambda = BoundedParameter::new(0.0, 2.0, 1.0).unwrap();
        let density = BoundedParameter::new(0.0, 1.0, 1.0).unwrap();
        Encoding::new(Shape { checkpoints, groups, parameters: vec![lambda, density], non_negative }).unwrap()
    }

    #[test]
    fn dimensions_and_scales() {
        assert_eq!(encoding(2, 1, false).dimension(), 1 + 2);
        assert_eq!(encoding(4, 1, false).dimension(), 3 + 2);
        let grouped = encoding(3, 4, false);
        assert_eq!(grouped.dimension(), 2 + 4 * 2 + 2);
        let scales = grouped.scales(0.5);
        assert_eq!(scales[..2], [1.0; 2]);
        assert_eq!(scales[2..10], [1.0 / 3.0; 8]);
        // A sixth of the ranges 2 and 1, at sigma 0.5.
        assert!((scales[10] - 2.0 / 3.0).abs() < 1e-15 && (scales[11] - 1.0 / 3.0).abs() < 1e-15);
    }

    #[test]
    fn the_default_sigma_is_the_spread_of_the_uniform_distribution_on_the_simplex() {
        for (checkpoints, expected) in [(2, 0.41), (4, 0.22), (16, 0.061), (64, 0.0155)] {
            assert!((encoding(checkpoints, 1, false).default_sigma() / expected - 1.0).abs() < 0.02);
        }
    }

    #[test]
    fn what_cannot_be_encoded_is_refused() {
        let shape = Shape { checkpoints: 1, groups: 1, parameters: vec![], non_negative: false };
        assert_eq!(Encoding::new(shape.clone()), Err(EncodingError::Checkpoints(1)));
        assert_eq!(Encoding::new(Shape { checkpoints: 2, groups: 0, ..shape }), Err(EncodingError::Groups));
        let encoding = encoding(3, 1, false);
        assert_eq!(encoding.encode(&[0.5, 0.5]), Err(EncodingError::Weights { expected: 3, given: 2 }));
        assert_eq!(encoding.encode(&[1.0, 1.0, 1.0]), Err(EncodingError::Sum(3.0)));
        assert!(encoding.encode(&[f64::NAN, 1.0, 0.0]).is_err());
        assert!(encoding.encode_with(&[1.0, 0.0, 0.0], &[3.0, 0.5]).is_err());
        assert_eq!(encoding.decode(&[0.0]), Err(EncodingError::Dimension { expected: 4, given: 1 }));
        assert!(
            serde_json::from_str::<Encoding>(
                r#"{"checkpoints":1,"groups":1,"parameters":[],"nonNegative":false}"#
            )
            .is_err()
        );
    }

    #[test]
    fn a_group_deviates_by_its_own_coordinates_only() {
        let encoding = encoding(3, 2, false);
        let mut point = encoding.encode(&[0.2, 0.3, 0.5]).unwrap();
        point[2 + 2] += 0.1;
        let decoded = encoding.decode(&point).unwrap();
        assert!((decoded.weights[0][0] - 0.2).abs() < 1e-15);
        // The first basis vector is (1, -1, 0) / sqrt(2).
        assert!((decoded.weights[1][0] - 0.2 - 0.1 / 2.0_f64.sqrt()).abs() < 1e-15);
        assert!((decoded.weights[1][2] - 0.5).abs() < 1e-15);
    }

    #[test]
    fn negative_weights_are_projected_on_request() {
        let point = encoding(2, 1, true).encode(&[1.5, -0.5]).unwrap();
        let free = encoding(2, 1, false).decode(&point).unwrap();
        assert!((free.weights[0][1] + 0.5).abs() < 1e-15);
        assert_eq!((&free.weights, free.squared_distance), (&free.raw, 0.0));
        let projected = encoding(2, 1, true).decode(&point).unwrap();
        assert_eq!(projected.weights, [[1.0, 0.0]]);
        assert_eq!(projected.raw, free.raw);
        assert!((projected.squared_distance - 0.5).abs() < 1e-14);
    }

    proptest! {
        #[test]
        fn weights_and_parameters_survive_the_round_trip(
            mut weights in prop::collection::vec(-1.0..1.0, 2..20),
            groups in 1_usize..4,
            lambda in 0.0..=2.0,
            density in 0.0..=1.0,
        ) {
            weights[0] += 1.0 - weights.iter().sum::<f64>();
            let encoding = encoding(weights.len(), groups, false);
            let point = encoding.encode_with(&weights, &[lambda, density]).unwrap();
            prop_assert_eq!(point.len(), encoding.dimension());
            let decoded = encoding.decode(&point).unwrap();
            prop_assert_eq!(decoded.weights.len(), groups);
            for group in &decoded.weights {
                prop_assert!(group.iter().zip(&weights).all(|(a, b)| (a - b).abs() < 1e-12));
                prop_assert!((group.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            }
            prop_assert!((decoded.parameters[0] - lambda).abs() < 1e-12);
            prop_assert!((decoded.parameters[1] - density).abs() < 1e-12);
            let text = serde_json::to_string(&encoding).unwrap();
            prop_assert_eq!(serde_json::from_str::<Encoding>(&text).unwrap(), encoding);
        }
    }
}
