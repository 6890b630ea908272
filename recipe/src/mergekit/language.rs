//! What mergekit calls the parameters of each method, and where it looks for them.

use crate::{MergeMethod, Parameter};

/// The parameter of a model that is its weight; methods without one merge every model listed.
pub(super) const fn weight(method: MergeMethod) -> Option<&'static str> {
    match method {
        MergeMethod::Slerp | MergeMethod::Karcher => None,
        MergeMethod::Passthrough => Some("scale"),
        method if method.has_weights() => Some("weight"),
        _ => None,
    }
}

/// The other parameters that each model may have for itself.
pub(super) fn of_models(method: MergeMethod) -> impl Iterator<Item = Parameter> {
    method.parameters().iter().copied().filter(move |&parameter| is_of_models(method, parameter))
}

/// The parameters that hold for all models.
pub(super) fn shared(method: MergeMethod) -> impl Iterator<Item = Parameter> {
    method.parameters().iter().copied().filter(move |&parameter| !is_of_models(method, parameter))
}

/// `epsilon` of DELLA is a model's own, that of RAM isn't.
fn is_of_models(method: MergeMethod, parameter: Parameter) -> bool {
    match parameter {
        Parameter::Density | Parameter::Gamma => true,
        Parameter::Epsilon => method.takes(Parameter::Density),
        _ => false,
    }
}

/// Methods whose weights mergekit may divide by their sum, which a recipe's weights have behind them; with mergekit's
/// default.
pub(super) const fn normalizes(method: MergeMethod) -> Option<(&'static str, bool)> {
    match method {
        MergeMethod::Linear => Some(("normalize", true)),
        MergeMethod::TaskArithmetic
        | MergeMethod::DareLinear
        | MergeMethod::DellaLinear
        | MergeMethod::Breadcrumbs => Some(("normalize", false)),
        MergeMethod::Multislerp => Some(("normalize_weights", true)),
        _ => None,
    }
}

/// Methods that start at one of the two models, which mergekit's `base_model` names.
pub(super) const fn starts_at_base(method: MergeMethod) -> bool {
    matches!(method, MergeMethod::Slerp | MergeMethod::Nearswap | MergeMethod::ArceeFusion)
}

/// Every name that a scope may have: a model's own, and those that hold for all.
pub(super) fn names(method: MergeMethod, of_model: bool) -> Vec<&'static str> {
    let mut names: Vec<&str> = weight(method).into_iter().collect();
    names.extend(of_models(method).map(Parameter::as_str));
    if method == MergeMethod::TaskArithmetic {
        names.push("density");
    }
    if of_model {
        return names;
    }
    names.extend(shared(method).map(Parameter::as_str));
    names.extend(normalizes(method).map(|(name, _)| name));
    match method {
        MergeMethod::Slerp => names.push("t"),
        MergeMethod::TaskArithmetic => names.extend(["rescale", "int8_mask"]),
        method if method.takes(Parameter::Rescale) || method == MergeMethod::Sce => names.push("int8_mask"),
        _ => {}
    }
    names
}
