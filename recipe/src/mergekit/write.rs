//! From a recipe to a mergekit YAML that makes the same model.

use std::collections::BTreeSet;

use serde_saphyr::FlowSeq;

use super::MergekitError;
use super::document::{Document, Settings, Slice, Source};
use super::location::to_model;
use super::setting::{Rule, Setting};
use crate::{Checkpoint, Dtype, Group, MergeMethod, Recipe, TensorPosition};

/// Writes the recipe as mergekit YAML; `normalize` is off, weights stand as they are.
///
/// `layer_count` is the model's; it is needed when groups name layers, which become slices. `file://` URIs become the
/// paths that mergekit opens, others stay for tools that know them. With a `dtype` in the recipe mergekit is told to
/// compute in float32; without one it computes in the models' own element type, so set one for the best result.
/// Checkpoint names are not part of mergekit's language and are left out.
pub fn write(recipe: &Recipe, layer_count: Option<u32>) -> Result<String, MergekitError> {
    recipe.validate()?;
    if !recipe.method.is_supported() {
        let reason = format!("{} can't be written, expected linear, slerp or task_arithmetic", recipe.method);
        return Err(MergekitError::refused("merge_method", reason));
    }
    let models = Models::new(recipe)?;
    let mut document = Document {
        merge_method: recipe.method.to_string(),
        base_model: Some(models.base.clone()),
        tokenizer_source: models.tokenizer.clone(),
        dtype: recipe.dtype.map(|_| Dtype::Float32.to_string()),
        out_dtype: recipe.dtype.map(|dtype| dtype.to_string()),
        ..Document::default()
    };
    let mut global = Settings::new();
    if recipe.method != MergeMethod::Slerp {
        global.insert("normalize".to_owned(), Setting::Switch(false));
    }
    let by_layers = |group: &Group| group.select.layers.is_some() || group.select.within_layers;
    if recipe.groups.iter().any(by_layers) {
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
        document.models = Some(models.sources(recipe, &rules, None));
        global.extend(shared_settings(recipe, &rules));
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
    base: String,
    tokenizer: Option<String>,
    /// Whether the base stands in the list with weight 0, only for its config and tokenizer.
    lists_base: bool,
}

impl Models {
    fn new(recipe: &Recipe) -> Result<Self, MergekitError> {
        let path = |checkpoint: &Checkpoint| {
            let refused = |reason| MergekitError::refused(format!("model {}", checkpoint.name), reason);
            to_model(&checkpoint.uri).map_err(refused)
        };
        let paths: Vec<String> = recipe.checkpoints.iter().map(path).collect::<Result<_, _>>()?;
        let donor = recipe.donor().map(path).transpose()?.unwrap_or_default();
        let (first, pool_base) = (paths.first().cloned().unwrap_or_default(), &recipe.base);
        let base = match recipe.method {
            MergeMethod::Slerp => first,
            MergeMethod::Linear => donor.clone(),
            _ => pool_base.as_ref().map(path).transpose()?.unwrap_or_default(),
        };
        let lists_base = recipe.method == MergeMethod::Linear && !paths.contains(&base);
        let all: BTreeSet<&String> = paths.iter().collect();
        if all.len() < paths.len() || recipe.method.needs_base() && all.contains(&base) {
            let reason = "mergekit takes a model only once, expected checkpoints at different places";
            return Err(MergekitError::refused("models", reason));
        }
        let tokenizer = Some(donor).filter(|donor| *donor != base);
        Ok(Self { paths, base, tokenizer, lists_base })
    }

    fn sources(&self, recipe: &Recipe, rules: &[GroupRule<'_>], layers: Option<[u32; 2]>) -> Vec<Source> {
        let source = |model: &String, weight: Option<Setting>| Source {
            model: model.clone(),
            layer_range: layers.map(FlowSeq),
            parameters: weight.map(|weight| Settings::from([("weight".to_owned(), weight)])),
        };
        let weighted = self.paths.iter().enumerate().map(|(place, model)| {
            let weight = setting(rules, |group| group.weights.get(place).copied().unwrap_or_default());
            source(model, (recipe.method != MergeMethod::Slerp).then_some(weight))
        });
        let carried = self.lists_base.then(|| source(&self.base, Some(Setting::Number(0.0))));
        weighted.chain(carried).collect()
    }
}

/// The parameters that are not any one model's.
fn shared_settings(recipe: &Recipe, rules: &[GroupRule<'_>]) -> Option<(String, Setting)> {
    let has_lambda = |group: &Group| group.parameters.lambda.is_some();
    match recipe.method {
        MergeMethod::Slerp => {
            let t = setting(rules, |group| group.weights.get(1).copied().unwrap_or_default());
            Some(("t".to_owned(), t))
        }
        _ if recipe.groups.iter().any(has_lambda) => {
            let lambda = setting(rules, |group| group.parameters.lambda.unwrap_or(1.0));
            Some(("lambda".to_owned(), lambda))
        }
        _ => None,
    }
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
    let sources = models.sources(recipe, &rules, Some(range));
    let parameters: Settings = shared_settings(recipe, &rules).into_iter().collect();
    let parameters = Some(parameters).filter(|settings| !settings.is_empty());
    Ok(Slice { sources, parameters, ..Slice::default() })
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
