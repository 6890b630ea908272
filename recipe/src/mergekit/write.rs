//! From a recipe to a mergekit YAML that makes the same model.

use std::collections::BTreeSet;

use serde_saphyr::FlowSeq;

use super::document::{Document, Settings, Slice, Source, Tokenizer};
use super::location::to_model;
use super::setting::{Rule, Setting};
use super::{MergekitError, language};
use crate::{Checkpoint, Dtype, Group, MergeMethod, Parameter, Recipe, TensorPosition, Tokens};

/// Writes the recipe as mergekit YAML; `normalize` is off where weights can stand as they are. The seed has no place in it.
///
/// `layer_count` is the model's; it is needed when groups name layers, which become slices. `file://` URIs become the
/// paths that mergekit opens, others stay for tools that know them. With a `dtype` in the recipe mergekit is told to
/// compute in float32; without one it computes in the models' own element type, so set one for the best result.
/// Checkpoint names are not part of mergekit's language and are left out.
pub fn write(recipe: &Recipe, layer_count: Option<u32>) -> Result<String, MergekitError> {
    recipe.validate()?;
    if recipe.method == MergeMethod::Consensus {
        return Err(MergekitError::refused("merge_method", "mergekit has no consensus"));
    }
    if recipe.dtype.is_some_and(|dtype| matches!(dtype, Dtype::Float8E4m3fn | Dtype::Float8E5m2)) {
        return Err(MergekitError::refused("out_dtype", "mergekit has no types of 8 bits"));
    }
    if recipe.align.is_some() {
        return Err(MergekitError::refused("align", "mergekit matches nothing between models"));
    }
    let models = Models::new(recipe)?;
    let is_union = recipe.vocabulary.is_some_and(|vocabulary| vocabulary.tokens == Tokens::Union);
    if is_union && models.tokenizer.is_some() {
        let reason =
            "mergekit's union begins with the base's tokens, expected the tokenizer to be the base's";
        return Err(MergekitError::refused("tokenizer.source", reason));
    }
    let mut document = Document {
        merge_method: recipe.method.to_string(),
        base_model: models.base.clone(),
        tokenizer_source: models.tokenizer.clone().filter(|_| recipe.vocabulary.is_none()),
        tokenizer: recipe.vocabulary.map(|vocabulary| Tokenizer {
            source: Some(match vocabulary.tokens {
                Tokens::Union => "union".to_owned(),
                Tokens::Donor => models.tokenizer.clone().unwrap_or_else(|| "base".to_owned()),
            }),
            tokens: None,
            pad_to_multiple_of: vocabulary.pad_to_multiple_of,
        }),
        dtype: recipe.dtype.map(|_| Dtype::Float32.to_string()),
        out_dtype: recipe.dtype.map(|dtype| dtype.to_string()),
        ..Document::default()
    };
    let mut global = Settings::new();
    if let Some((name, _)) = language::normalizes(recipe.method) {
        global.insert(name.to_owned(), Setting::Switch(false));
    }
    let layer_count = if recipe.stack.is_empty() {
        layer_count
    } else {
        Some(recipe.stack.iter().map(|range| range.end - range.start).sum())
    };
    let by_layers = |group: &Group| group.select.layers.is_some() || group.select.within_layers;
    if !recipe.stack.is_empty() || recipe.groups.iter().any(by_layers) {
        let layer_count = layer_count.filter(|&count| count > 0).ok_or_else(|| {
            MergekitError::refused(
                "slices",
                "groups name layers, expected the model's number of layers to write them",
            )
        })?;
        let ranges = slice_ranges(recipe, layer_count);
        let slices = ranges.into_iter().map(|range| slice(recipe, &models, range, layer_count));
        document.slices = Some(slices.collect::<Result<_, _>>()?);
    } else {
        let rules: Vec<_> = recipe.groups.iter().map(|group| (filter(group), vec![group])).collect();
        document.models = Some(models.sources(recipe, &rules, None)?);
        global.extend(shared_settings(recipe, &rules)?);
    }
    document.parameters = Some(global).filter(|settings| !settings.is_empty());
    document.to_yaml()
}

/// For tensors whose names contain the filter: the group that they belong to; two groups in a slice of one layer when
/// embeddings, norm or head (first) belong to another one than the layer (second).
type GroupRule<'a> = (Option<String>, Vec<&'a Group>);

fn filter(group: &Group) -> Option<String> {
    group.select.name_contains.clone()
}

/// The recipe's checkpoints under mergekit's paths.
struct Models {
    /// By checkpoint.
    paths: Vec<String>,
    base: Option<String>,
    tokenizer: Option<String>,
    /// The base as it stands in a list: in any list with weight 0, only for its config and tokenizer, or in slices, which
    /// mergekit doesn't add it to by itself.
    listed_base: Option<ListedBase>,
}

#[derive(Clone, Copy, PartialEq)]
enum ListedBase {
    WithoutWeight,
    InSlices,
}

impl Models {
    fn new(recipe: &Recipe) -> Result<Self, MergekitError> {
        let path = |checkpoint: &Checkpoint| {
            let refused = |reason| MergekitError::refused(format!("model {}", checkpoint.name), reason);
            to_model(&checkpoint.uri).map_err(refused)
        };
        let method = recipe.method;
        let paths: Vec<String> = recipe.checkpoints.iter().map(path).collect::<Result<_, _>>()?;
        let donor = recipe.donor().map(path).transpose()?.unwrap_or_default();
        let own = recipe.base.as_ref().map(path).transpose()?;
        let is_own = method.needs_base() || method.may_have_base();
        let base = if language::starts_at_base(method) {
            paths.first().cloned()
        } else if is_own {
            own
        } else {
            // Without one, mergekit takes config and tokenizer of any model.
            let is_listed = |donor: &String| {
                let place = paths.iter().position(|path| path == donor);
                recipe.groups.iter().any(|group| {
                    place.and_then(|place| group.weights.get(place)).is_some_and(|weight| *weight != 0.0)
                })
            };
            Some(donor.clone()).filter(|donor| method == MergeMethod::Linear || is_listed(donor))
        };
        let is_apart = base.as_ref().is_some_and(|base| !paths.contains(base));
        let listed_base = if is_own {
            Some(ListedBase::InSlices)
        } else {
            (method == MergeMethod::Linear && is_apart).then_some(ListedBase::WithoutWeight)
        };
        let all: BTreeSet<&String> = paths.iter().collect();
        if all.len() < paths.len() || is_own && base.as_ref().is_some_and(|base| all.contains(base)) {
            let reason = "mergekit takes a model only once, expected checkpoints at different places";
            return Err(MergekitError::refused("models", reason));
        }
        let tokenizer = Some(donor).filter(|donor| base.as_ref() != Some(donor));
        Ok(Self { paths, base, tokenizer, listed_base })
    }

    fn sources(
        &self,
        recipe: &Recipe,
        rules: &[GroupRule<'_>],
        layers: Option<[u32; 2]>,
    ) -> Result<Vec<Source>, MergekitError> {
        let method = recipe.method;
        let source = |model: &String, parameters: Settings| Source {
            model: model.clone(),
            layer_range: layers.map(FlowSeq),
            parameters: Some(parameters).filter(|parameters| !parameters.is_empty()),
        };
        let mut sources = Vec::new();
        for (place, model) in self.paths.iter().enumerate() {
            let weight_of = |group: &Group| group.weights.get(place).copied().unwrap_or_default();
            let mut groups = rules.iter().flat_map(|(_, groups)| groups);
            let is_left_out = groups.clone().all(|group| weight_of(group) == 0.0);
            let by_presence = method == MergeMethod::Passthrough || language::weight(method).is_none();
            if by_presence && method != MergeMethod::Slerp {
                if is_left_out {
                    continue;
                }
                // mergekit merges what is listed.
                let first = groups.clone().next().map_or(0.0, |group| weight_of(group));
                let differs = |group: &Group| match method {
                    MergeMethod::Karcher => group
                        .weights
                        .iter()
                        .any(|weight| *weight != 0.0 && weight.to_bits() != first.to_bits()),
                    // Of one model, scaled by 0 or not.
                    MergeMethod::Passthrough => group
                        .weights
                        .iter()
                        .enumerate()
                        .any(|(other, weight)| other != place && *weight != 0.0),
                    _ => weight_of(group) == 0.0,
                };
                if groups.any(|group| differs(group)) {
                    let reason = format!("mergekit's {method} merges all models alike, this recipe doesn't");
                    return Err(MergekitError::refused("models", reason));
                }
            }
            let mut parameters = Settings::new();
            if let Some(name) = language::weight(method) {
                parameters.insert(name.to_owned(), setting(rules, weight_of));
            }
            for parameter in language::of_models(method) {
                let value = |group: &Group| effective(recipe, group, parameter, place);
                if rules.iter().flat_map(|(_, groups)| groups).any(|group| is_given(group, parameter)) {
                    parameters.insert(parameter.as_str().to_owned(), setting(rules, value));
                }
            }
            sources.push(source(model, parameters));
        }
        if method == MergeMethod::Passthrough
            && sources.is_empty()
            && let Some(model) = self.paths.first()
        {
            // Nothing but zeros, which still have a shape.
            sources.push(source(model, Settings::from([("scale".to_owned(), Setting::Number(0.0))])));
        }
        match (self.listed_base, &self.base) {
            (Some(ListedBase::WithoutWeight), Some(base)) => {
                sources.push(source(base, Settings::from([("weight".to_owned(), Setting::Number(0.0))])));
            }
            (Some(ListedBase::InSlices), Some(base)) if layers.is_some() => {
                sources.push(source(base, Settings::new()));
            }
            _ => {}
        }
        Ok(sources)
    }
}

fn is_given(group: &Group, parameter: Parameter) -> bool {
    group.parameters.given().iter().any(|(given, _)| *given == parameter)
}

/// What a group's parameter comes to for a checkpoint; one that holds for all has only the first place.
fn effective(recipe: &Recipe, group: &Group, parameter: Parameter, place: usize) -> f64 {
    let values = group.parameters.effective(recipe.method, parameter, recipe.checkpoints.len());
    values.and_then(|values| values.get(place).copied()).unwrap_or_default()
}

/// The parameters that are not any one model's.
fn shared_settings(recipe: &Recipe, rules: &[GroupRule<'_>]) -> Result<Settings, MergekitError> {
    let method = recipe.method;
    let mut settings = Settings::new();
    if method == MergeMethod::Slerp {
        let t = setting(rules, |group| group.weights.get(1).copied().unwrap_or_default());
        settings.insert("t".to_owned(), t);
    }
    for parameter in language::shared(method) {
        if !recipe.groups.iter().any(|group| is_given(group, parameter)) {
            continue;
        }
        let found = setting(rules, |group| effective(recipe, group, parameter, 0));
        let found = match (parameter.is_switch(), parameter.is_whole(), &found) {
            (true, _, Setting::Number(number)) => Setting::Switch(*number != 0.0),
            (_, true, Setting::Number(number)) => Setting::Whole(*number as i64),
            (_, true, _) => {
                let reason = "mergekit takes one whole number for all tensors, this recipe has several";
                return Err(MergekitError::refused(parameter.as_str(), reason));
            }
            _ => found,
        };
        settings.insert(parameter.as_str().to_owned(), found);
    }
    Ok(settings)
}

fn setting(rules: &[GroupRule<'_>], value: impl Fn(&Group) -> f64) -> Setting {
    let rule = |(filter, groups): &GroupRule<'_>| Rule {
        filter: filter.clone(),
        gradient: groups.iter().map(|group| value(group)).collect(),
    };
    Setting::from_rules(rules.iter().map(rule).collect())
}

/// The slices' layers: a border wherever some group begins or ends, and around the outermost layers where groups leave
/// out embeddings, norm and head.
fn slice_ranges(recipe: &Recipe, layer_count: u32) -> Vec<[u32; 2]> {
    let ranges = recipe.groups.iter().filter_map(|group| group.select.layers);
    let mut borders: BTreeSet<u32> = ranges.flat_map(|range| [range.start, range.end]).collect();
    let mut next = 0;
    for range in &recipe.stack {
        next += range.end - range.start;
        borders.insert(next);
    }
    if recipe.groups.iter().any(|group| group.select.within_layers) {
        borders.extend([1, layer_count - 1]);
    }
    borders.extend([0, layer_count]);
    let borders: Vec<u32> = borders.into_iter().filter(|&border| border <= layer_count).collect();
    borders.windows(2).map(|pair| [pair[0], pair[1]]).collect()
}

fn slice(
    recipe: &Recipe,
    models: &Models,
    range: [u32; 2],
    layer_count: u32,
) -> Result<Slice, MergekitError> {
    let [start, end] = range;
    let mut rules = rules_at(recipe, TensorPosition::Layer(start), layer_count)?;
    let outside = match (start, end) {
        (0, _) => Some(TensorPosition::Before),
        (_, end) if end == layer_count => Some(TensorPosition::After),
        _ => None,
    };
    if let Some(position) = outside {
        rules = with_outside(rules, &rules_at(recipe, position, layer_count)?)?;
    }
    let sources = models.sources(recipe, &rules, Some(source_layers(recipe, range)))?;
    let parameters = Some(shared_settings(recipe, &rules)?).filter(|settings| !settings.is_empty());
    Ok(Slice { sources, parameters, ..Slice::default() })
}

/// The models' layers that the output's layers of a slice come from.
fn source_layers(recipe: &Recipe, [start, end]: [u32; 2]) -> [u32; 2] {
    let mut before = 0;
    for range in &recipe.stack {
        let count = range.end - range.start;
        if start < before + count {
            let first = range.start + (start - before);
            return [first, first + (end - start)];
        }
        before += count;
    }
    [start, end]
}

/// The groups for tensors at a position, by filter, up to the first one without.
fn rules_at(
    recipe: &Recipe,
    position: TensorPosition,
    layer_count: u32,
) -> Result<Vec<GroupRule<'_>>, MergekitError> {
    let mut rules = Vec::new();
    for group in recipe.groups.iter().filter(|group| group.select.selects_at(position, layer_count - 1)) {
        rules.push((filter(group), vec![group]));
        if group.select.name_contains.is_none() {
            return Ok(rules);
        }
    }
    let reason = format!("no group takes all tensors of {position} of a model with {layer_count} layers");
    Err(MergekitError::refused("slices", reason))
}

/// Adds what embeddings, norm or head get to the rules of the one layer beside them: mergekit gives those the first
/// value of a gradient, and the only layer of a slice the last one.
fn with_outside<'a>(
    layer: Vec<GroupRule<'a>>,
    outside: &[GroupRule<'a>],
) -> Result<Vec<GroupRule<'a>>, MergekitError> {
    if layer == outside {
        return Ok(layer);
    }
    let same_filters = layer.iter().map(|rule| &rule.0).eq(outside.iter().map(|rule| &rule.0));
    let pairs: Vec<_> = match (&layer[..], outside) {
        _ if same_filters => outside.iter().zip(&layer).collect(),
        (_, [all]) => layer.iter().map(|rule| (all, rule)).collect(),
        ([all], _) => outside.iter().map(|rule| (rule, all)).collect(),
        _ => {
            let reason =
                "filters differ between a layer and the embeddings or head beside it, expected the same";
            return Err(MergekitError::refused("slices", reason));
        }
    };
    let joined = pairs.into_iter().map(|(outside, layer)| {
        let filter = layer.0.clone().or_else(|| outside.0.clone());
        (filter, [&outside.1[..], &layer.1[..]].concat())
    });
    Ok(joined.collect())
}
