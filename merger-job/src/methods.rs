//! The methods as the merger makes them: from a recipe's group to what has to be measured and how elements are combined.

use mergesearch_recipe::{Group, MergeMethod, Parameter, Recipe, Rescale};

use crate::kernel::{Formula, Keep, Rows, Stream, Term};
use crate::sphere::Rule;

/// One tensor's merge.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Method {
    /// Nothing has to be measured.
    Ready(Formula),
    /// Weights follow from the products of the tensors, or of their differences from the base.
    Sphere { base: Option<usize>, slots: Vec<usize>, rule: Rule },
    /// Differences of which some are dropped by their ranks, or rescaled by their sums.
    Sparse(SparsePlan),
    /// Weights follow from the squares of the differences, perhaps only of those elements that vary most.
    Sce { base: usize, slots: Vec<usize>, select_topk: f64 },
    /// Elements are taken over where they are important beyond most.
    Fusion,
    /// Factors follow from how many elements checkpoints changed alone and with others.
    RamPlus { base: usize, slots: Vec<usize>, epsilons: Vec<f64>, r: f64, alpha: f64 },
}

/// A [`crate::kernel::Sparse`] before its tensor was measured.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SparsePlan {
    pub(crate) base: usize,
    pub(crate) terms: Vec<PlannedTerm>,
    pub(crate) consensus: Option<bool>,
    pub(crate) lambda: f64,
}

/// One checkpoint's part of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PlannedTerm {
    pub(crate) slot: usize,
    pub(crate) weight: f64,
    pub(crate) drop: Drop,
    pub(crate) rescale: Rescale,
}

/// How differences are dropped.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Drop {
    /// By what is known already.
    Known(Keep),
    /// The smallest, but for this fraction; before that the largest, this fraction.
    ByMagnitude { density: f64, gamma: Option<f64> },
}

impl Method {
    /// How often the sources are read.
    pub(crate) fn passes(&self) -> u64 {
        match self {
            Self::Ready(_) => 1,
            Self::Sphere { .. } | Self::RamPlus { .. } => 2,
            Self::Sparse(plan) => {
                let ranked = plan.terms.iter().any(|term| matches!(term.drop, Drop::ByMagnitude { .. }));
                1 + if ranked { 2 } else { 0 } + u64::from(plan.needs_magnitudes())
            }
            Self::Sce { select_topk, .. } => {
                if *select_topk < 1.0 {
                    4
                } else {
                    2
                }
            }
            Self::Fusion => 4,
        }
    }

    /// Whether some pass looks at whole rows.
    pub(crate) fn needs_rows(&self) -> bool {
        match self {
            Self::Ready(formula) => formula.needs_rows(),
            Self::Sparse(plan) => {
                plan.terms.iter().any(|term| matches!(term.drop, Drop::Known(Keep::ByRank { .. })))
            }
            Self::Fusion => true,
            Self::Sphere { .. } | Self::Sce { .. } | Self::RamPlus { .. } => false,
        }
    }

    /// How many series of numbers are ranked at once.
    pub(crate) fn series(&self) -> u64 {
        match self {
            Self::Sparse(plan) => plan.terms.len() as u64,
            Self::Sce { .. } | Self::Fusion => 3,
            Self::Ready(_) | Self::Sphere { .. } | Self::RamPlus { .. } => 0,
        }
    }
}

impl SparsePlan {
    /// Whether the sums of magnitudes have to be known.
    pub(crate) fn needs_magnitudes(&self) -> bool {
        self.terms.iter().any(|term| term.rescale == Rescale::L1)
    }
}

/// The places among the recipe's checkpoints of those that the group's tensors are made of; behind them that of the base.
pub(crate) fn places(recipe: &Recipe, group: &Group) -> Vec<usize> {
    let mut used: Vec<usize> = used(group).collect();
    if has_base(recipe) && !(is_spherical(recipe.method) && used.len() == 1) {
        used.push(recipe.checkpoints.len());
    }
    used
}

fn used(group: &Group) -> impl Iterator<Item = usize> {
    group.weights.iter().enumerate().filter(|&(_, &weight)| weight != 0.0).map(|(place, _)| place)
}

fn has_base(recipe: &Recipe) -> bool {
    recipe.base.is_some() && (recipe.method.needs_base() || recipe.method.may_have_base())
}

/// Methods that have nothing to do where one checkpoint is left.
const fn is_spherical(method: MergeMethod) -> bool {
    matches!(
        method,
        MergeMethod::Slerp | MergeMethod::Nuslerp | MergeMethod::Multislerp | MergeMethod::Karcher
    )
}

/// What the group asks of a tensor; `slot_of` is where each of [`places`] is read to.
pub(crate) fn method(
    recipe: &Recipe,
    group: &Group,
    tensor: &str,
    slot_of: impl Fn(usize) -> usize,
) -> Method {
    let used: Vec<usize> = used(group).collect();
    let terms: Vec<Term> =
        used.iter().map(|&place| Term { slot: slot_of(place), weight: group.weights[place] }).collect();
    let slots: Vec<usize> = terms.iter().map(|term| term.slot).collect();
    let weights = || terms.iter().map(|term| term.weight).collect::<Vec<f64>>();
    let parameters = &group.parameters;
    let base = slot_of(recipe.checkpoints.len());
    let has_base = has_base(recipe);
    let sphere = |rule| Method::Sphere { base: has_base.then_some(base), slots: slots.clone(), rule };
    let rows = |base, rule| Method::Ready(Formula::Rows(Rows { base, terms: slots.clone(), rule }));
    let epsilons = || used.iter().map(|&place| parameters.epsilon(recipe.method, place)).collect();
    if used.len() == 1 && (is_spherical(recipe.method) || recipe.method.takes_two()) {
        // With one end only there's nothing to interpolate.
        let whole = terms.iter().map(|term| Term { weight: 1.0, ..*term });
        return Method::Ready(Formula::Weighted(whole.collect()));
    }
    match recipe.method {
        MergeMethod::Linear | MergeMethod::Passthrough => Method::Ready(Formula::Weighted(terms)),
        MergeMethod::TaskArithmetic => {
            Method::Ready(Formula::TaskVectors { base, terms, lambda: parameters.lambda() })
        }
        MergeMethod::Slerp => sphere(Rule::Slerp { t: group.weights[1] }),
        MergeMethod::Nuslerp if !parameters.nuslerp_flatten() => {
            rows(has_base.then_some(base), Rule::Nuslerp { t: group.weights[1] })
        }
        MergeMethod::Nuslerp => sphere(Rule::Nuslerp { t: group.weights[1] }),
        MergeMethod::Multislerp => sphere(Rule::Multislerp { weights: weights(), eps: parameters.eps() }),
        MergeMethod::Karcher => {
            let (max_iter, tol) = (parameters.max_iter(), parameters.tol());
            sphere(Rule::Karcher { weights: weights(), max_iter, tol })
        }
        MergeMethod::ModelStock if parameters.filter_wise() => rows(Some(base), Rule::ModelStock),
        MergeMethod::ModelStock => sphere(Rule::ModelStock),
        MergeMethod::Ties
        | MergeMethod::DareLinear
        | MergeMethod::DareTies
        | MergeMethod::Della
        | MergeMethod::DellaLinear
        | MergeMethod::Breadcrumbs
        | MergeMethod::BreadcrumbsTies => Method::Sparse(sparse(recipe, group, tensor, &used, slot_of)),
        MergeMethod::Nearswap => Method::Ready(Formula::Nearswap { t: parameters.t.unwrap_or(0.0) }),
        MergeMethod::Sce => Method::Sce { base, slots, select_topk: parameters.select_topk() },
        MergeMethod::ArceeFusion => Method::Fusion,
        MergeMethod::Ram => Method::Ready(Formula::Ram { base, terms, epsilons: epsilons() }),
        MergeMethod::RamplusTl => Method::RamPlus {
            base,
            epsilons: epsilons(),
            slots,
            r: parameters.r(),
            alpha: parameters.alpha(),
        },
        MergeMethod::Consensus => Method::Ready(Formula::Consensus {
            base,
            terms,
            lambda: parameters.lambda(),
            mask_lambda: parameters.mask_lambda(),
            agreement: parameters.agreement(),
        }),
    }
}

fn sparse(
    recipe: &Recipe,
    group: &Group,
    tensor: &str,
    used: &[usize],
    slot_of: impl Fn(usize) -> usize,
) -> SparsePlan {
    let (method, parameters) = (recipe.method, &group.parameters);
    let terms = used.iter().map(|&place| {
        let stream = || Stream::new(recipe.seed, recipe.checkpoints[place].name.as_str(), tensor);
        let density = parameters.density(place);
        let rescale = parameters.rescale(method);
        let drop = match method {
            _ if density >= 1.0 => Drop::Known(Keep::All),
            MergeMethod::DareLinear | MergeMethod::DareTies => {
                Drop::Known(Keep::Random { stream: stream(), probability: density })
            }
            MergeMethod::Della | MergeMethod::DellaLinear => Drop::Known(Keep::ByRank {
                stream: stream(),
                density,
                epsilon: parameters.epsilon(method, place),
                inverse: rescale == Rescale::Inverse,
            }),
            MergeMethod::Breadcrumbs | MergeMethod::BreadcrumbsTies => {
                Drop::ByMagnitude { density, gamma: Some(parameters.gamma(place)) }
            }
            _ => Drop::ByMagnitude { density, gamma: None },
        };
        PlannedTerm { slot: slot_of(place), weight: group.weights[place], drop, rescale }
    });
    // Those that elect signs are those that may divide by the weights of who agrees.
    let elects = method.takes(Parameter::Normalize);
    SparsePlan {
        base: slot_of(recipe.checkpoints.len()),
        terms: terms.collect(),
        consensus: elects.then(|| parameters.normalize(method)),
        lambda: parameters.lambda(),
    }
}
