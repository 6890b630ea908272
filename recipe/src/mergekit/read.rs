//! From a mergekit YAML to a recipe: the file as a whole, its method and its element type.

use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::Error as ValueError;

use super::document::Document;
use super::pool::{Pool, vocabulary};
use super::{MergekitError, run};
use crate::{Dtype, MergeMethod, Recipe};

/// Reads a mergekit YAML.
///
/// `folder` is the absolute path of the folder that the YAML lies in; relative model paths (`./a`) start there. Model
/// paths become `file://` URIs, and checkpoints are named after the last part of their paths. `layer_count` is only
/// needed for gradients over `models` and for slices in the models' order; without it they are refused with [`MergekitError::LayersNeeded`], which says
/// where to count.
pub fn read(text: &str, folder: &str, layer_count: Option<u32>) -> Result<Recipe, MergekitError> {
    let document = Document::parse(text)?;
    let method = method(&document.merge_method)?;
    refuse_what_no_recipe_says(&document)?;
    let pool = Pool::new(&document, method, folder)?;
    let (groups, stack) = run::groups(&document, method, &pool, layer_count)?;
    let tokenizer_from = pool.tokenizer(&document)?;
    let vocabulary = vocabulary(&document)?;
    let computed_in = dtype("dtype", document.dtype.as_deref())?;
    let dtype = dtype("out_dtype", document.out_dtype.as_deref())?.or(computed_in);
    let Pool { checkpoints, base, .. } = pool;
    let recipe = Recipe {
        method,
        checkpoints,
        base,
        groups,
        dtype,
        tokenizer_from,
        vocabulary,
        align: None,
        seed: 0,
        stack,
    };
    recipe.validate()?;
    Ok(recipe)
}

fn method(name: &str) -> Result<MergeMethod, MergekitError> {
    MergeMethod::deserialize(name.into_deserializer()).map_err(|_: ValueError| {
        let known: Vec<&str> = MergeMethod::ALL.iter().map(|method| method.as_str()).collect();
        MergekitError::refused(
            "merge_method",
            format!("{name:?} is not known, expected one of {}", known.join(", ")),
        )
    })
}

fn refuse_what_no_recipe_says(document: &Document) -> Result<(), MergekitError> {
    let slices = || document.slices.iter().flatten();
    let refused = [
        ("modules", document.modules.is_some(), "models of several modules can't be merged"),
        (
            "chat_template",
            document.chat_template.is_some(),
            "the output keeps its tokenizer's template; leave it out",
        ),
        (
            "slices.base_model",
            slices().any(|slice| slice.base_model.is_some()),
            "one base holds for all slices",
        ),
        (
            "slices.residual_weight",
            slices().any(|slice| slice.residual_weight.is_some()),
            "it can't be merged",
        ),
    ];
    match refused.into_iter().find(|(_, present, _)| *present) {
        Some((key, _, reason)) => Err(MergekitError::refused(key, reason)),
        None => Ok(()),
    }
}

fn dtype(key: &str, name: Option<&str>) -> Result<Option<Dtype>, MergekitError> {
    let parse = |name: &str| {
        Dtype::deserialize(name.into_deserializer()).map_err(|_: ValueError| {
            let reason = format!("{name:?} is not known, expected bfloat16, float16, float32 or float64");
            MergekitError::refused(key, reason)
        })
    };
    name.map(parse).transpose()
}
