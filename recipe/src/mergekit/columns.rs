//! The parameters of a run of layers, found in their scopes, and the groups' weights and parameters that come of them.

use super::document::Settings;
use super::setting::Rule;
use super::{MergekitError, language};
use crate::{Group, MergeMethod, Parameter, Parameters, Selection};

/// Sums of weights nearer to 0 than this, mergekit's task-vector methods don't divide by.
const LEAST_SUM: f64 = 1e-8;
/// Sums of the two weights of `nuslerp` nearer to 0 than this mean its middle.
const NO_SUM: f64 = 1e-6;

/// Every parameter of a run as rules that end with one for all tensors.
pub(super) struct Columns {
    method: MergeMethod,
    /// Which of the checkpoints take part.
    present: Vec<bool>,
    /// One for each checkpoint, or slerp's `t`.
    weights: Vec<Vec<Rule>>,
    normalize: Vec<Rule>,
    /// The parameters that are given: one for each checkpoint, or one for all.
    parameters: Vec<(Parameter, Vec<Vec<Rule>>)>,
}

/// Where parameters are looked for: the checkpoints' own, of those that take part, then what holds for all from the nearest
/// scope on.
pub(super) struct Scopes<'a> {
    pub(super) key: &'a str,
    /// By checkpoint.
    pub(super) sources: Vec<SourceScope<'a>>,
    pub(super) shared: [Option<&'a Settings>; 2],
}

/// A checkpoint's own parameters.
#[derive(Clone, Copy)]
pub(super) struct SourceScope<'a> {
    pub(super) name: &'a str,
    /// Whether it takes part in the run.
    pub(super) present: bool,
    pub(super) settings: Option<&'a Settings>,
}

impl Columns {
    pub(super) fn new(method: MergeMethod, scopes: &Scopes<'_>) -> Result<Self, MergekitError> {
        let [near, wide] = scopes.shared;
        let shared = |name, default| rules(scopes.key, name, &[near, wide], default);
        let given = |name: &str| scopes.shared.into_iter().flatten().any(|scope| scope.contains_key(name));
        let of_source = |place: usize, name, default| {
            let source = scopes.sources[place];
            let key = format!("{} of {}", scopes.key, source.name);
            if source.present {
                rules(&key, name, &[source.settings, near, wide], default)
            } else {
                Ok(vec![Rule { filter: None, gradient: vec![default.unwrap_or(0.0)] }])
            }
        };
        let places = 0..scopes.sources.len();
        let weights = match language::weight(method) {
            Some(name) => {
                let default = (method == MergeMethod::Passthrough).then_some(1.0);
                places.clone().map(|place| of_source(place, name, default)).collect::<Result<_, _>>()?
            }
            None if method == MergeMethod::Slerp => vec![shared("t", None)?],
            None => Vec::new(),
        };
        let normalize = match language::normalizes(method) {
            Some((name, default)) => shared(name, Some(f64::from(u8::from(default))))?,
            None => Vec::new(),
        };
        let default = |parameter| {
            let values = Parameters::default().effective(method, parameter, scopes.sources.len());
            values.and_then(|values| values.first().copied())
        };
        let mut parameters = Vec::new();
        for parameter in language::shared(method) {
            let name = parameter.as_str();
            if given(name) {
                parameters.push((parameter, vec![shared(name, default(parameter))?]));
            }
        }
        for parameter in language::of_models(method) {
            let name = parameter.as_str();
            let own = |source: &SourceScope<'_>| source.settings.is_some_and(|own| own.contains_key(name));
            if given(name) || scopes.sources.iter().any(own) {
                let each = places.clone().map(|place| of_source(place, name, default(parameter)));
                parameters.push((parameter, each.collect::<Result<_, _>>()?));
            }
        }
        let present = scopes.sources.iter().map(|source| source.present).collect();
        Ok(Self { method, present, weights, normalize, parameters })
    }

    fn each(&self) -> impl Iterator<Item = &Vec<Rule>> {
        let parameters = self.parameters.iter().flat_map(|(_, rules)| rules);
        self.weights.iter().chain([&self.normalize]).chain(parameters)
    }

    /// Whether any parameter differs from layer to layer.
    pub(super) fn has_gradient(&self) -> bool {
        self.each().flatten().any(|rule| rule.gradient.len() > 1)
    }

    /// The filters in the order in which they are tried, `None` for the rest at the end. Parameters with filters need
    /// the same ones: a name that fits two different filters would need a group of its own.
    pub(super) fn filters(&self, key: &str) -> Result<Vec<Option<String>>, MergekitError> {
        let filters = |rules: &Vec<Rule>| rules.iter().map(|rule| rule.filter.clone()).collect::<Vec<_>>();
        let mut filtered = self.each().filter(|rules| rules.len() > 1).map(filters);
        let Some(first) = filtered.next() else { return Ok(vec![None]) };
        if filtered.all(|other| other == first) {
            return Ok(first);
        }
        let reason =
            "filters differ between parameters, expected the same in the same order for each that has any";
        Err(MergekitError::refused(format!("{key}.parameters"), reason))
    }

    /// The group of the tensors selected, at this place of the run's gradients.
    pub(super) fn group(&self, key: &str, select: Selection, place: f64) -> Result<Group, MergekitError> {
        let value = |rules: &Vec<Rule>| {
            let fitting =
                rules.iter().find(|rule| rule.filter == select.name_contains).or_else(|| rules.last());
            fitting.map_or(0.0, |rule| rule.at(place))
        };
        let weights = self.amounts(key, self.weights.iter().map(value).collect(), value(&self.normalize))?;
        let mut parameters = Parameters::default();
        for (parameter, rules) in &self.parameters {
            let values: Vec<f64> = rules.iter().map(value).collect();
            parameters.set(self.method, *parameter, values).map_err(|expected| {
                MergekitError::refused(
                    format!("{key}: {}", parameter.as_str()),
                    format!("expected {expected}"),
                )
            })?;
        }
        Ok(Group { select, weights, parameters })
    }

    /// A recipe's weights from mergekit's.
    fn amounts(&self, key: &str, mut weights: Vec<f64>, normalize: f64) -> Result<Vec<f64>, MergekitError> {
        let sum: f64 = weights.iter().sum();
        let present = self.present.iter().map(|&present| f64::from(u8::from(present)));
        match self.method {
            MergeMethod::Slerp => {
                let t = weights.pop().unwrap_or_default();
                return Ok(vec![1.0 - t, t]);
            }
            MergeMethod::Nuslerp => {
                let last = weights.last().copied().unwrap_or_default();
                let t = if sum.abs() < NO_SUM { 0.5 } else { last / sum };
                return Ok(vec![1.0 - t, t]);
            }
            MergeMethod::Karcher => {
                let count: f64 = present.clone().sum();
                return Ok(present.map(|present| present / count).collect());
            }
            MergeMethod::Passthrough => {
                return Ok(weights
                    .into_iter()
                    .zip(present)
                    .map(|(scale, present)| scale * present)
                    .collect());
            }
            // The model that it starts at need not be listed.
            method if language::starts_at_base(method) => return Ok(vec![1.0; self.present.len()]),
            method if !method.has_weights() => return Ok(present.collect()),
            _ => {}
        }
        let normalize = match normalize {
            0.0 => false,
            1.0 => true,
            _ => return Err(MergekitError::refused("parameters.normalize", "expected true or false")),
        };
        let forgiving = !matches!(self.method, MergeMethod::Linear | MergeMethod::Multislerp);
        if normalize && sum == 0.0 && !forgiving {
            let reason =
                "weights sum to 0, which can't be normalised; expected another sum, or no normalising";
            return Err(MergekitError::refused(key, reason));
        }
        if normalize && !(forgiving && sum.abs() < LEAST_SUM) {
            for weight in &mut weights {
                *weight /= sum;
            }
        }
        Ok(weights)
    }
}

/// A parameter's rules from the nearest scope to the widest, ending with one for every tensor.
fn rules(
    key: &str,
    name: &str,
    scopes: &[Option<&Settings>],
    default: Option<f64>,
) -> Result<Vec<Rule>, MergekitError> {
    let mut found: Vec<Rule> = Vec::new();
    for setting in scopes.iter().flatten().filter_map(|scope| scope.get(name)) {
        let rules =
            setting.rules().map_err(|reason| MergekitError::refused(format!("{key}: {name}"), reason))?;
        for rule in rules {
            let last = rule.filter.is_none();
            if !found.iter().any(|earlier| earlier.filter == rule.filter) {
                found.push(rule);
            }
            if last {
                return Ok(found);
            }
        }
    }
    let Some(default) = default else {
        let reason = "no value for every tensor, expected one without a filter";
        return Err(MergekitError::refused(format!("{key}: {name}"), reason));
    };
    found.push(Rule { filter: None, gradient: vec![default] });
    Ok(found)
}
