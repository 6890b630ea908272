//! One parameter of a method: its name, its range, and the forms that values have.

use serde::{Deserialize, Serialize};

/// One number for all checkpoints, or one for each in the recipe's order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum PerCheckpoint {
    /// The same for all.
    All(f64),
    /// One for each checkpoint.
    Each(Vec<f64>),
}

impl PerCheckpoint {
    /// The number of one checkpoint. `None` for a place beyond the list's end.
    pub fn of(&self, place: usize) -> Option<f64> {
        match self {
            Self::All(value) => Some(*value),
            Self::Each(values) => values.get(place).copied(),
        }
    }

    pub(crate) fn values(&self) -> &[f64] {
        match self {
            Self::All(value) => std::slice::from_ref(value),
            Self::Each(values) => values,
        }
    }
}

/// What is done with the differences that a sparsifying method keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rescale {
    /// Nothing.
    None,
    /// Divided by the fraction that is kept, for random methods by each element's probability of being kept: the sum is
    /// as before on average, as in the papers of DARE and DELLA.
    Inverse,
    /// Multiplied so that the sum of magnitudes is as before, as mergekit does.
    L1,
}

/// A parameter by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "documented at the fields of the same names in `Parameters`")]
pub enum Parameter {
    Lambda,
    Density,
    Gamma,
    Epsilon,
    Normalize,
    Rescale,
    T,
    SelectTopk,
    FilterWise,
    NuslerpFlatten,
    NuslerpRowWise,
    MaxIter,
    Tol,
    Eps,
    R,
    Alpha,
    MaskLambda,
    Agreement,
}

impl Parameter {
    /// The name in recipes and, for those it has, in mergekit's YAML.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lambda => "lambda",
            Self::Density => "density",
            Self::Gamma => "gamma",
            Self::Epsilon => "epsilon",
            Self::Normalize => "normalize",
            Self::Rescale => "rescale",
            Self::T => "t",
            Self::SelectTopk => "select_topk",
            Self::FilterWise => "filter_wise",
            Self::NuslerpFlatten => "nuslerp_flatten",
            Self::NuslerpRowWise => "nuslerp_row_wise",
            Self::MaxIter => "max_iter",
            Self::Tol => "tol",
            Self::Eps => "eps",
            Self::R => "r",
            Self::Alpha => "alpha",
            Self::MaskLambda => "mask_lambda",
            Self::Agreement => "agreement",
        }
    }

    /// Whether it is on or off.
    pub(crate) const fn is_switch(self) -> bool {
        matches!(
            self,
            Self::Normalize | Self::Rescale | Self::FilterWise | Self::NuslerpFlatten | Self::NuslerpRowWise
        )
    }

    /// Whether it counts something.
    pub(crate) const fn is_whole(self) -> bool {
        matches!(self, Self::MaxIter | Self::Agreement)
    }

    /// Whether one value makes sense, and in words what would.
    pub(crate) fn range(self) -> (fn(f64) -> bool, &'static str) {
        match self {
            Self::Density | Self::SelectTopk => {
                (|value| value > 0.0 && value <= 1.0, "more than 0 and at most 1")
            }
            Self::Gamma => (|value| (0.0..1.0).contains(&value), "at least 0 and less than 1"),
            Self::MaxIter | Self::Agreement => (|value| value >= 1.0, "at least 1"),
            Self::Lambda => (f64::is_finite, "a finite number"),
            _ => (|value| value.is_finite() && value >= 0.0, "a finite number of at least 0"),
        }
    }
}
