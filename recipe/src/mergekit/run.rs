//! From a mergekit YAML's models and slices to a recipe's groups: one or more for each run of layers.

use super::columns::{Columns, Scopes, SourceScope};
use super::document::{Document, Settings, Slice, Source, unknown_key};
use super::pool::Pool;
use super::{MergekitError, language};
use crate::group::MOST_LAYERS;
use crate::{Group, LayerRange, MergeMethod, Selection};

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

/// The groups that a file's parameters make, and the layers that its slices stack, if they stack any anew.
pub(super) fn groups(
    document: &Document,
    method: MergeMethod,
    pool: &Pool<'_>,
    layer_count: Option<u32>,
) -> Result<(Vec<Group>, Vec<LayerRange>), MergekitError> {
    let global = document.parameters.as_ref();
    check_names(method, "parameters", global, false)?;
    let (runs, stack) = match (&document.models, &document.slices) {
        (Some(models), None) => (vec![models_run(models, method, pool, layer_count)?], Vec::new()),
        (None, Some(_)) => slice_runs(document, method, pool, layer_count)?,
        _ => return Err(MergekitError::refused("models", "expected either models or slices")),
    };
    let mut groups = Vec::new();
    for run in &runs {
        run.add_groups(method, pool, global, &mut groups)?;
    }
    Ok((groups, stack))
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

/// The slices, each a run of the output's layers, and the layers that they come from: none where those are the models' own
/// in their order.
fn slice_runs<'a>(
    document: &'a Document,
    method: MergeMethod,
    pool: &Pool<'_>,
    layer_count: Option<u32>,
) -> Result<(Vec<Run<'a>>, Vec<LayerRange>), MergekitError> {
    let slices = document.slices.as_deref().unwrap_or_default();
    let (mut runs, mut stack, mut next) = (Vec::new(), Vec::new(), 0_u32);
    for (index, slice) in slices.iter().enumerate() {
        let key = format!("slices.{index}");
        check_names(method, &format!("{key}.parameters"), slice.parameters.as_ref(), false)?;
        let from = slice_layers(&key, slice, layer_count)?;
        let sources = by_checkpoint(&format!("{key}.sources"), &slice.sources, method, pool)?;
        let present = sources.iter().flatten().count();
        let refused = |reason: String| Err(MergekitError::refused(format!("{key}.sources"), reason));
        if method.takes_two() && present != 2 {
            return refused(format!("{method} takes both models in each slice"));
        }
        if method == MergeMethod::Passthrough && present != 1 {
            return refused("passthrough takes one model in each slice".to_owned());
        }
        if method.may_have_base()
            && pool.base.is_some()
            && !slice.sources.iter().any(|source| pool.is_base(source))
        {
            return refused(
                "without the base, mergekit takes no differences here; expected it in each slice".to_owned(),
            );
        }
        let layers = LayerRange { start: next, end: next.saturating_add(from.end - from.start) };
        next = layers.end;
        if next > MOST_LAYERS {
            return refused(format!("the slices stack more than {MOST_LAYERS} layers, expected fewer"));
        }
        let outermost = index == 0 || index + 1 == slices.len();
        let (settings, layers) = (slice.parameters.as_ref(), Some(layers));
        runs.push(Run { key, sources, settings, layers, whole: false, outermost });
        stack.push(from);
    }
    let in_order = runs.iter().map(|run| run.layers).eq(stack.iter().copied().map(Some));
    if !in_order {
        return Ok((runs, stack));
    }
    // The models' own order up to the end, or a cut before it.
    let count = layer_count.ok_or_else(|| pool.layers_needed())?;
    Ok((runs, if count == next { Vec::new() } else { stack }))
}

/// The layers that a slice's sources take, the same for all of them.
fn slice_layers(key: &str, slice: &Slice, layer_count: Option<u32>) -> Result<LayerRange, MergekitError> {
    let mut layers = None;
    for (source, content) in slice.sources.iter().enumerate() {
        let refused = |reason: String| {
            Err(MergekitError::refused(format!("{key}.sources.{source}.layer_range"), reason))
        };
        let Some([start, end]) = content.layer_range.as_ref().map(|range| range.0) else {
            return refused("expected [first, end]".to_owned());
        };
        if start >= end || end > MOST_LAYERS {
            return refused(format!("[{start}, {end}] is no range of layers, expected [first, end]"));
        }
        if let Some(count) = layer_count.filter(|&count| end > count) {
            return refused(format!("[{start}, {end}] goes past the models' {count} layers"));
        }
        let range = LayerRange { start, end };
        if *layers.get_or_insert(range) != range {
            return refused(format!(
                "[{start}, {end}] isn't what the slice's first model has, expected the same layers of all models"
            ));
        }
    }
    layers.ok_or_else(|| MergekitError::refused(format!("{key}.sources"), "expected at least one model"))
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
        let sources = pool.checkpoints.iter().zip(&self.sources).map(|(checkpoint, source)| SourceScope {
            name: checkpoint.name.as_str(),
            present: source.is_some(),
            settings: source.and_then(|source| source.parameters.as_ref()),
        });
        let scopes = Scopes { key: &self.key, sources: sources.collect(), shared: [self.settings, global] };
        let columns = Columns::new(method, &scopes)?;
        let filters = columns.filters(&self.key)?;
        let mut add = |layers, within_layers, place| {
            for filter in &filters {
                let select = Selection { layers, within_layers, name_contains: filter.clone() };
                groups.push(columns.group(&self.key, select, place)?);
            }
            Ok::<_, MergekitError>(())
        };
        let selected = self.layers.filter(|_| !self.whole);
        if !columns.has_gradient() {
            return add(selected, false, 0.0);
        }
        let LayerRange { start, end } = self.layers.ok_or_else(|| pool.layers_needed())?;
        for layer in start..end {
            let steps = end - start - 1;
            let place = if steps == 0 { 1.0 } else { f64::from(layer - start) / f64::from(steps) };
            add(Some(LayerRange { start: layer, end: layer + 1 }), true, place)?;
        }
        if self.outermost { add(selected, false, 0.0) } else { Ok(()) }
    }
}

/// Refuses parameters that the method doesn't read there, and those without effect that look as if they had one.
fn check_names(
    method: MergeMethod,
    key: &str,
    settings: Option<&Settings>,
    of_source: bool,
) -> Result<(), MergekitError> {
    let known = language::names(method, of_source);
    for (name, setting) in settings.into_iter().flatten() {
        let path = format!("{key}.{name}");
        if !known.contains(&name.as_str()) {
            return Err(unknown_key(path, &known));
        }
        if name == "density" && method == MergeMethod::TaskArithmetic {
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
