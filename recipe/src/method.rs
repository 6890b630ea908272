//! The merge methods of the field, under mergekit's names.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Parameter;

/// How tensors of several checkpoints become one. Serialised under mergekit's `merge_method` names.
///
/// `consensus` is the one that mergekit doesn't have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MergeMethod {
    /// Weighted sum of the checkpoints: sum of `w_i theta_i` (model soups, arXiv 2203.05482).
    Linear,
    /// Spherical interpolation between two checkpoints, by whole tensors: `t` is the second weight.
    Slerp,
    /// Base plus `lambda` times the weighted sum of task vectors (arXiv 2212.04089).
    TaskArithmetic,
    /// Spherical interpolation of two, on task vectors when there is a base.
    Nuslerp,
    /// Weighted mean on the sphere, one tangent step (barycentric).
    Multislerp,
    /// Iterated Riemannian mean on the sphere, equal weights.
    Karcher,
    /// Trim, elect sign, merge (arXiv 2306.01708).
    Ties,
    /// Random drop and rescale (arXiv 2311.03099), then the weighted sum.
    DareLinear,
    /// Random drop and rescale, then TIES' sign election.
    DareTies,
    /// Magnitude-ranked random drop (arXiv 2406.11617), then sign election.
    Della,
    /// Magnitude-ranked random drop, then the weighted sum.
    DellaLinear,
    /// Drops the largest and the smallest differences (arXiv 2312.06795).
    Breadcrumbs,
    /// Breadcrumbs with sign election.
    BreadcrumbsTies,
    /// Interpolation towards the base by the angle between task vectors (arXiv 2403.19522).
    ModelStock,
    /// Interpolates where two checkpoints are near each other.
    Nearswap,
    /// Select, calculate, erase (arXiv 2408.07990).
    Sce,
    /// Importance-gated fusion of two checkpoints.
    ArceeFusion,
    /// Sums what one model changed and averages what several changed (arXiv 2601.13572).
    Ram,
    /// As `ram`, what one model alone changed strengthened by its overlap with others, tensor by tensor.
    RamplusTl,
    /// Task vectors masked by agreement (TALL masks, arXiv 2405.07813).
    Consensus,
    /// Copies one checkpoint's tensors.
    Passthrough,
}

impl MergeMethod {
    /// The name in mergekit's YAML.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Linear => "linear",
            Self::Slerp => "slerp",
            Self::TaskArithmetic => "task_arithmetic",
            Self::Nuslerp => "nuslerp",
            Self::Multislerp => "multislerp",
            Self::Karcher => "karcher",
            Self::Ties => "ties",
            Self::DareLinear => "dare_linear",
            Self::DareTies => "dare_ties",
            Self::Della => "della",
            Self::DellaLinear => "della_linear",
            Self::Breadcrumbs => "breadcrumbs",
            Self::BreadcrumbsTies => "breadcrumbs_ties",
            Self::ModelStock => "model_stock",
            Self::Nearswap => "nearswap",
            Self::Sce => "sce",
            Self::ArceeFusion => "arcee_fusion",
            Self::Ram => "ram",
            Self::RamplusTl => "ramplus_tl",
            Self::Consensus => "consensus",
            Self::Passthrough => "passthrough",
        }
    }

    /// Every method.
    pub const ALL: [Self; 21] = [
        Self::Linear,
        Self::Slerp,
        Self::TaskArithmetic,
        Self::Nuslerp,
        Self::Multislerp,
        Self::Karcher,
        Self::Ties,
        Self::DareLinear,
        Self::DareTies,
        Self::Della,
        Self::DellaLinear,
        Self::Breadcrumbs,
        Self::BreadcrumbsTies,
        Self::ModelStock,
        Self::Nearswap,
        Self::Sce,
        Self::ArceeFusion,
        Self::Ram,
        Self::RamplusTl,
        Self::Consensus,
        Self::Passthrough,
    ];

    /// Whether a search tries the method's weights. Those of karcher and of methods without amounts are nothing to search
    /// for, and the methods that drop differences need a density, which searches don't have yet.
    pub const fn is_searchable(self) -> bool {
        matches!(self, Self::Linear | Self::Slerp | Self::TaskArithmetic | Self::Nuslerp | Self::Multislerp)
    }

    /// Whether the method works on differences from a base checkpoint and so needs one outside the pool.
    pub const fn needs_base(self) -> bool {
        matches!(
            self,
            Self::TaskArithmetic
                | Self::Ties
                | Self::DareLinear
                | Self::DareTies
                | Self::Della
                | Self::DellaLinear
                | Self::Breadcrumbs
                | Self::BreadcrumbsTies
                | Self::ModelStock
                | Self::Sce
                | Self::Ram
                | Self::RamplusTl
                | Self::Consensus
        )
    }

    /// Whether the method works on differences from a base when there is one, and without it on the tensors themselves.
    pub const fn may_have_base(self) -> bool {
        matches!(self, Self::Nuslerp | Self::Multislerp)
    }

    /// The parameters that the method has besides its weights.
    pub const fn parameters(self) -> &'static [Parameter] {
        use Parameter::{
            Agreement, Alpha, Density, Eps, Epsilon, FilterWise, Gamma, Lambda, MaskLambda, MaxIter,
            Normalize, NuslerpFlatten, NuslerpRowWise, R, Rescale, SelectTopk, T, Tol,
        };
        match self {
            Self::Linear | Self::Slerp | Self::ArceeFusion | Self::Passthrough => &[],
            Self::TaskArithmetic => &[Lambda],
            Self::Nuslerp => &[NuslerpFlatten, NuslerpRowWise],
            Self::Multislerp => &[Eps],
            Self::Karcher => &[MaxIter, Tol],
            Self::Ties | Self::DareTies => &[Lambda, Density, Normalize, Rescale],
            Self::DareLinear => &[Lambda, Density, Rescale],
            Self::Della => &[Lambda, Density, Epsilon, Normalize, Rescale],
            Self::DellaLinear => &[Lambda, Density, Epsilon, Rescale],
            Self::Breadcrumbs => &[Lambda, Density, Gamma, Rescale],
            Self::BreadcrumbsTies => &[Lambda, Density, Gamma, Normalize, Rescale],
            Self::ModelStock => &[FilterWise],
            Self::Nearswap => &[T],
            Self::Sce => &[SelectTopk],
            Self::Ram => &[Epsilon],
            Self::RamplusTl => &[Epsilon, R, Alpha],
            Self::Consensus => &[Lambda, MaskLambda, Agreement],
        }
    }

    /// Whether the parameter means something to the method.
    pub fn takes(self, parameter: Parameter) -> bool {
        self.parameters().contains(&parameter)
    }

    /// Whether weights are amounts. For the other methods a weight is 1, or 0 for a checkpoint that takes no part.
    pub const fn has_weights(self) -> bool {
        !matches!(
            self,
            Self::ModelStock | Self::Nearswap | Self::Sce | Self::ArceeFusion | Self::Ram | Self::RamplusTl
        )
    }

    /// Whether the method takes exactly two checkpoints.
    pub const fn takes_two(self) -> bool {
        matches!(self, Self::Slerp | Self::Nuslerp | Self::Nearswap | Self::ArceeFusion)
    }

    /// Whether the two weights are `[1 - t, t]`.
    pub const fn interpolates(self) -> bool {
        matches!(self, Self::Slerp | Self::Nuslerp)
    }

    /// Whether elements are dropped at random, by the recipe's seed.
    pub const fn is_random(self) -> bool {
        matches!(self, Self::DareLinear | Self::DareTies | Self::Della | Self::DellaLinear)
    }
}

impl fmt::Display for MergeMethod {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}
