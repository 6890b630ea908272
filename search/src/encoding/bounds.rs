//! Parameters that stay within bounds without a wall in the search space.
//!
//! The map is pycma's `BoundTransform` (Hansen et al., `cma/transformations.py`, `BoxConstraintsLinQuadTransformation`):
//! the identity in the interior, so that nothing is distorted there; quadratic in a margin on both sides of each bound,
//! which turns around smoothly at the bound; and periodic beyond, so that every coordinate stands for a value.

use serde::{Deserialize, Serialize};

/// A number between two bounds with a value to start at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked", into = "Unchecked")]
pub struct BoundedParameter {
    low: f64,
    high: f64,
    start: f64,
}

/// The serialised form of a [`BoundedParameter`].
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    low: f64,
    high: f64,
    start: f64,
}

/// Why a bounded parameter or a value of one was refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum BoundsError {
    /// No range.
    #[error("bounds must be finite with the lower one below the upper one, not {0} and {1}")]
    Range(f64, f64),
    /// The value lies outside.
    #[error("{value} is not between {low} and {high}")]
    Outside {
        /// The value.
        value: f64,
        /// The lower bound.
        low: f64,
        /// The upper bound.
        high: f64,
    },
}

impl BoundedParameter {
    /// A parameter within `low` and `high`, both allowed values, that starts at `start`.
    pub fn new(low: f64, high: f64, start: f64) -> Result<Self, BoundsError> {
        if !(low < high && (high - low).is_finite()) {
            return Err(BoundsError::Range(low, high));
        }
        let parameter = Self { low, high, start };
        parameter.check(start)?;
        Ok(parameter)
    }

    fn check(&self, value: f64) -> Result<(), BoundsError> {
        let &Self { low, high, .. } = self;
        if (low..=high).contains(&value) { Ok(()) } else { Err(BoundsError::Outside { value, low, high }) }
    }

    /// The value to start at.
    pub fn start(&self) -> f64 {
        self.start
    }

    /// The first standard deviation: a sixth of the range.
    pub fn initial_deviation(&self) -> f64 {
        (self.high - self.low) / 6.0
    }

    /// The widths of the quadratic margins inside the lower and the upper bound (pycma's `al` and `au`).
    fn margins(&self) -> (f64, f64) {
        let half = (self.high - self.low) / 2.0;
        let margin = |bound: f64| half.min(bound.abs().max(1.0) / 20.0);
        (margin(self.low), margin(self.high))
    }

    /// The value a coordinate stands for.
    pub fn value(&self, coordinate: f64) -> f64 {
        let &Self { low, high, .. } = self;
        let (below, above) = self.margins();
        // One period goes from the turning point below the lower bound to the upper one and back.
        let (bottom, top) = (low - below, high + above);
        let period = 2.0 * (top - bottom);
        let mut x = coordinate;
        if x < bottom || x > top {
            let shift = (x - bottom) % period;
            let within = if shift < 0.0 { shift + period } else { shift };
            x = if within > top - bottom { bottom + (period - within) } else { bottom + within };
        }
        let value = if x < low + below {
            low + (x - bottom) * (x - bottom) / (4.0 * below)
        } else if x > high - above {
            high - (top - x) * (top - x) / (4.0 * above)
        } else {
            x
        };
        value.clamp(low, high)
    }

    /// The coordinate nearest the interior that stands for `value`.
    pub fn coordinate(&self, value: f64) -> Result<f64, BoundsError> {
        self.check(value)?;
        let &Self { low, high, .. } = self;
        let (below, above) = self.margins();
        Ok(if value < low + below {
            (low - below) + 2.0 * (below * (value - low)).sqrt()
        } else if value > high - above {
            (high + above) - 2.0 * (above * (high - value)).sqrt()
        } else {
            value
        })
    }
}

impl TryFrom<Unchecked> for BoundedParameter {
    type Error = BoundsError;

    fn try_from(Unchecked { low, high, start }: Unchecked) -> Result<Self, BoundsError> {
        Self::new(low, high, start)
    }
}

impl From<BoundedParameter> for Unchecked {
    fn from(BoundedParameter { low, high, start }: BoundedParameter) -> Self {
        Self { low, high, start }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parameter(low: f64, high: f64) -> BoundedParameter {
        BoundedParameter::new(low, high, low).expect("valid")
    }

    #[test]
    fn values_agree_with_pycma() {
        let lambda = parameter(0.0, 2.0);
        // cma.transformations.BoxConstraintsLinQuadTransformation([[0, 2]]).transform([x])
        let expected = [
            (-5.3, 0.9),
            (-0.2, 0.1),
            (-0.05, 0.0),
            (0.0, 0.0125),
            (0.01, 0.018),
            (0.05, 0.05),
            (1.0, 1.0),
            (1.9, 1.9),
            (2.0, 1.975),
            (2.1, 2.0),
            (2.15, 1.993_75),
            (2.2, 1.975),
            (4.4, 0.1),
            (7.77, 0.73),
        ];
        for (coordinate, value) in expected {
            assert!(
                (lambda.value(coordinate) - value).abs() < 1e-14,
                "{coordinate}: {}",
                lambda.value(coordinate)
            );
        }
    }

    #[test]
    fn no_range_and_no_start_outside() {
        assert!(matches!(BoundedParameter::new(1.0, 1.0, 1.0), Err(BoundsError::Range(..))));
        assert!(matches!(BoundedParameter::new(f64::NAN, 1.0, 1.0), Err(BoundsError::Range(..))));
        assert!(matches!(BoundedParameter::new(0.0, 1.0, 1.5), Err(BoundsError::Outside { .. })));
        assert!(matches!(BoundedParameter::new(0.0, 1.0, f64::NAN), Err(BoundsError::Outside { .. })));
    }

    proptest! {
        #[test]
        fn every_coordinate_gives_a_value_within_bounds(low in -5.0..5.0_f64, width in 0.01..10.0_f64, x in -1e6..1e6) {
            let parameter = parameter(low, low + width);
            prop_assert!((low..=low + width).contains(&parameter.value(x)));
        }

        #[test]
        fn every_value_has_a_coordinate(low in -5.0..5.0_f64, width in 0.01..10.0_f64, share in 0.0..=1.0_f64) {
            let parameter = parameter(low, low + width);
            let value = (low + share * width).min(low + width);
            let back = parameter.value(parameter.coordinate(value).expect("within"));
            prop_assert!((back - value).abs() < 1e-12);
        }

        #[test]
        fn the_map_has_no_jumps(x in -20.0..20.0) {
            let parameter = parameter(0.0, 2.0);
            prop_assert!((parameter.value(x + 1e-6) - parameter.value(x)).abs() < 1.1e-6);
        }
    }
}
