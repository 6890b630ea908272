//! From a mergekit YAML's parameters to a recipe's groups: scopes, filters, gradients and normalisation worked out for
//! each run of layers.

use super::MergekitError;
use super::document::{Document, Settings, Source, unknown_key};
use super::pool::Pool;
use super::setting::Rule;
use crate::{Group, LayerRange, MergeMethod, Parameters, Selection};

/// More layers than any model has; a gradient makes groups for each one.
const MOST_LAYERS: u32 = 10_000;

/// A run of layers that are merged from the same sources: a slice, or all of `models`.
struct Run<'a> {
    /// Its key in the file, for messages.
    key: String,
    /// By checkpoint.
    sources: Vec<Option<&'a Source>>,
    settings: Option<&'a Settings>,
    /// Which layers of the output; for `models` not always known.
    layers: Option<LayerRange>,
    /// Whether it is `models`, which stand for every layer there is.
    whole: bool,
    /// Whether embeddings or final norm and head go with it.
    outermost: bool,
}

/// Every parameter of a run as rules that end with one for all tensors.
struct Columns {
    /// One for each checkpoint; empty for slerp.
    weights: Vec<Vec<Rule>>,
    normalize: Vec<Rule>,
    lambda: Option<Vec<Rule>>,
    t: Vec<Rule>,
}

/// The groups that a file's parameters make.
pub(super) fn groups(
    document: &Document,
    method: MergeMethod,
    pool: &Pool<'_>,
    layer_count: Option<u32>,
) -> Result<Vec<Group>, MergekitError> {
    let global = document.parameters.as_ref();
    check_names(method, "parameters", global, false)?;
    let runs = match (&document.models, &document.slices) {
        (Some(models), None) => vec![models_run(models, method, pool, layer_count)?],
        (None, Some(_)) => slice_runs(document, method, pool, layer_count)?,
        _ => return Err(MergekitError::refused("models", "expected either models or slices")),
    };
    let mut groups = Vec::new();
    for run in &runs {
        run.add_groups(method, pool, global, &mut groups)?;
    }
    Ok(groups)
}

fn models_run<'a>(
    models: &'a [Source],
    method: MergeMethod,
    pool: &Pool<'_>,
    layer_count: Option<u32>,
) -> Result<Run<'a>, MergekitError> {
    if let Some(index) = models.iter().position(|source| source.layer_range.is_some()) {
        let reason = "models are merged whole, expected it in slices";
        return Err(MergekitError::refused(format!("models.{index}.layer_range"), reason));
    }
    let sources = by_checkpoint("models", models, method, pool)?;
    let layers = layer_count.map(|end| LayerRange { start: 0, end });
    Ok(Run { key: "models".to_owned(), sources, settings: None, layers, whole: true, outermost: true })
}

/// The slices, which have to be the layers in their order: stacks of other layers make another model.
fn slice_runs<'a>(
    document: &'a Document,
    method: MergeMethod,
    pool: &Pool<'_>,
    layer_count: Option<u32>,
) -> Result<Vec<Run<'a>>, MergekitError> {
    let slices = document.slices.as_deref().unwrap_or_default();
    let mut runs = Vec::new();
    let mut next = 0;
    for (index, slice) in slices.iter().enumerate() {
        let key = format!("slices.{index}");
        check_names(method, &format!("{key}.parameters"), slice.parameters.as_ref(), false)?;
        let mut layers = None;
        for (source, content) in slice.sources.iter().enumerate() {
            let refused = |reason: String| {
                MergekitError::refused(format!("{key}.sources.{source}.layer_range"), reason)
            };
            let range =
                content.layer_range.as_ref().ok_or_else(|| refused("expected [first, end]".to_owned()))?;
            let [start, end] = range.0;
            if start >= end || end > MOST_LAYERS {
                return Err(refused(format!(
                    "[{start}, {end}] is no range of layers, expected [first, end]"
                )));
            }
            if start != next || *layers.get_or_insert(end) != end {
                let reason = format!(
                    "[{start}, {end}] stacks layers anew, expected the model's own order from {next}"
                );
                return Err(refused(reason));
            }
        }
        let Some(end) = layers else {
            return Err(MergekitError::refused(format!("{key}.sources"), "expected at least one model"));
        };
        let sources = by_checkpoint(&format!("{key}.sources"), &slice.sources, method, pool)?;
        if method == MergeMethod::Slerp && sources.iter().any(Option::is_none) {
            return Err(MergekitError::refused(
                format!("{key}.sources"),
                "slerp takes both models in each slice",
            ));
        }
        let layers = Some(LayerRange { start: next, end });
        let outermost = index == 0 || index + 1 == slices.len();
        let settings = slice.parameters.as_ref();
        runs.push(Run { key, sources, settings, layers, whole: false, outermost });
        next = end;
    }
    match layer_count {
        Some(count) if count != next => Err(MergekitError::refused(
            "slices",
            format!("they end at layer {next}, the models have {count}"),
        )),
        _ => Ok(runs),
    }
}

/// The sources in the order of weights.
fn by_checkpoint<'a>(
    key: &str,
    sources: &'a [Source],
    method: MergeMethod,
    pool: &Pool<'_>,
) -> Result<Vec<Option<&'a Source>>, MergekitError> {
    let mut placed = vec![None; pool.checkpoints.len()];
    for (index, source) in sources.iter().enumerate() {
        check_names(method, &format!("{key}.{index}.parameters"), source.parameters.as_ref(), true)?;
        if let Some(place) = pool.place(source).and_then(|place| placed.get_mut(place))
            && place.replace(source).is_some()
        {
            let reason = format!("{} is listed twice", source.model);
            return Err(MergekitError::refused(format!("{key}.{index}.model"), reason));
        }
    }
    Ok(placed)
}

impl Run<'_> {
    fn add_groups(
        &self,
        method: MergeMethod,
        pool: &Pool<'_>,
        global: Option<&Settings>,
        groups: &mut Vec<Group>,
    ) -> Result<(), MergekitError> {
        let columns = self.columns(method, pool, global)?;
        let filters = columns.filters(&self.key)?;
        let mut add = |layers, within_layers, place| {
            for filter in &filters {
                let select = Selection { layers, within_layers, name_contains: filter.clone() };
                groups.push(columns.group(&self.key, method, select, place)?);
            }
            Ok::<_, MergekitError>(())
        };
        let selected = self.layers.filter(|_| !self.whole);
        if !columns.all().any(|rule| rule.gradient.len() > 1) {
            return add(selected, false, 0.0);
        }
        let LayerRange { start, end } = self.layers.ok_or_else(|| MergekitError::LayersNeeded {
            uri: pool.checkpoints.first().map(|first| first.uri.clone()).unwrap_or_default(),
        })?;
        for layer in start..end {
            let steps = end - start - 1;
            let place = if steps == 0 { 1.0 } else { f64::from(layer - start) / f64::from(steps) };
            add(Some(LayerRange { start: layer, end: layer + 1 }), true, place)?;
        }
        if self.outermost { add(selected, false, 0.0) } else { Ok(()) }
    }

    fn columns(
        &self,
        method: MergeMethod,
        pool: &Pool<'_>,
        global: Option<&Settings>,
    ) -> Result<Columns, MergekitError> {
        let shared = |name, default| rules(&self.key, name, &[self.settings, global], default);
        if method == MergeMethod::Slerp {
            return Ok(Columns {
                weights: Vec::new(),
                normalize: Vec::new(),
                lambda: None,
                t: shared("t", None)?,
            });
        }
        let mut weights = Vec::new();
        for (checkpoint, source) in pool.checkpoints.iter().zip(&self.sources) {
            weights.push(match source {
                Some(source) => {
                    let key = format!("{} of {}", self.key, checkpoint.name);
                    rules(&key, "weight", &[source.parameters.as_ref(), self.settings, global], None)?
                }
                // A model that takes no part in this slice.
                None => vec![Rule { filter: None, gradient: vec![0.0] }],
            });
        }
        let normalize = shared("normalize", Some(if method == MergeMethod::Linear { 1.0 } else { 0.0 }))?;
        let given = [self.settings, global].into_iter().flatten().any(|scope| scope.contains_key("lambda"));
        let lambda = given.then(|| shared("lambda", Some(1.0))).transpose()?;
        Ok(Columns { weights, normalize, lambda, t: Vec::new() })
    }
}

impl Columns {
    fn all(&self) -> impl Iterator<Item = &Rule> {
        self.each().flatten()
    }

    fn each(&self) -> impl Iterator<Item = &Vec<Rule>> {
        self.weights.iter().chain([&self.normalize, &self.t]).chain(&self.lambda)
    }

    /// The filters in the order in which they are tried, `None` for the rest at the end. Parameters with filters need
    /// the same ones: a name that fits two different filters would need a group of its own.
    fn filters(&self, key: &str) -> Result<Vec<Option<String>>, MergekitError> {
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

    fn group(
        &self,
        key: &str,
        method: MergeMethod,
        select: Selection,
        place: f64,
    ) -> Result<Group, MergekitError> {
        let value = |rules: &Vec<Rule>| {
            let fitting =
                rules.iter().find(|rule| rule.filter == select.name_contains).or_else(|| rules.last());
            fitting.map_or(0.0, |rule| rule.at(place))
        };
        if method == MergeMethod::Slerp {
            let t = value(&self.t);
            return Ok(Group { select, weights: vec![1.0 - t, t], parameters: Parameters::default() });
        }
        let mut weights: Vec<f64> = self.weights.iter().map(value).collect();
        let normalize = match value(&self.normalize) {
            0.0 => false,
            1.0 => true,
            _ => return Err(MergekitError::refused("parameters.normalize", "expected true or false")),
        };
        if normalize {
            let sum: f64 = weights.iter().sum();
            if sum == 0.0 {
                let reason =
                    "weights sum to 0, which can't be normalised; expected another sum, or normalize: false";
                return Err(MergekitError::refused(key, reason));
            }
            for weight in &mut weights {
                *weight /= sum;
            }
        }
        let parameters = Parameters { lambda: self.lambda.as_ref().map(value), ..Parameters::default() };
        Ok(Group { select, weights, parameters })
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

/// Refuses parameters that the method doesn't read there, and those without effect that look as if they had one.
fn check_names(
    method: MergeMethod,
    key: &str,
    settings: Option<&Settings>,
    of_source: bool,
) -> Result<(), MergekitError> {
    let known: &[&str] = match (method, of_source) {
        (MergeMethod::Slerp, true) => &[],
        (MergeMethod::Slerp, false) => &["t"],
        (MergeMethod::TaskArithmetic, true) => &["weight", "density"],
        (MergeMethod::TaskArithmetic, false) => {
            &["weight", "density", "lambda", "normalize", "rescale", "int8_mask"]
        }
        (_, true) => &["weight"],
        (_, false) => &["weight", "normalize"],
    };
    for (name, setting) in settings.into_iter().flatten() {
        let path = format!("{key}.{name}");
        if !known.contains(&name.as_str()) {
            return Err(unknown_key(path, known));
        }
        if name == "density" {
            let rules = setting.rules().map_err(|reason| MergekitError::refused(&path, reason))?;
            let mut densities = rules.iter().flat_map(|rule| &rule.gradient);
            if let Some(density) = densities.find(|density| !matches!(density, 1.0)) {
                let reason = format!("{density}: {method} keeps differences whole, expected 1 or no density");
                return Err(MergekitError::refused(path, reason));
            }
        }
    }
    Ok(())
}
