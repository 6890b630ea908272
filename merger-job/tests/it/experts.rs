//! Experts that were trained apart are matched before they are merged.

use mergesearch_merger::{Error, MergeOptions, plan};
use mergesearch_recipe::{Align, MergeMethod, Recipe};
use safetensors::Dtype;

use crate::pools::{self, Data, Folder, Model};
use crate::shapes::{Form, model};

const EXPERTS: usize = 6;

/// Two layers of experts, in tensors of their own or in one, beside something else.
fn form(apart: bool) -> Form {
    let mut form: Form = vec![("model.norm.weight".to_owned(), vec![40])];
    for layer in 0..2 {
        let prefix = format!("model.layers.{layer}.mlp");
        form.push((format!("{prefix}.gate.weight"), vec![EXPERTS, 40]));
        form.push((format!("{prefix}.shared_experts.up_proj.weight"), vec![EXPERTS, 40]));
        if apart {
            for expert in 0..EXPERTS {
                form.push((format!("{prefix}.experts.{expert}.up_proj.weight"), vec![90, 70]));
                form.push((format!("{prefix}.experts.{expert}.down_proj.weight"), vec![70, 90]));
            }
        } else {
            form.push((format!("{prefix}.experts.gate_up_proj"), vec![EXPERTS, 90, 70]));
        }
    }
    form
}

/// Where each of a layer's experts goes.
fn order(layer: usize) -> [usize; EXPERTS] {
    if layer == 0 { [3, 0, 5, 1, 2, 4] } else { [1, 2, 0, 4, 5, 3] }
}

/// The model with its experts in another order: the same function.
fn shuffled(model: &Model) -> Model {
    let named = model.iter().map(|(name, data)| {
        let Some(layer) = name.strip_prefix("model.layers.").and_then(|rest| rest[..1].parse().ok()) else {
            return (name.clone(), data.clone());
        };
        let order = order(layer);
        if name.contains(".gate.") || name.contains(".experts.gate_up_proj") {
            let each = data.bytes.len() / EXPERTS;
            let mut bytes = vec![0; data.bytes.len()];
            for (from, &to) in order.iter().enumerate() {
                bytes[to * each..(to + 1) * each]
                    .copy_from_slice(&data.bytes[from * each..(from + 1) * each]);
            }
            return (name.clone(), Data { bytes, ..data.clone() });
        }
        let Some((prefix, rest)) = name.split_once(".experts.") else { return (name.clone(), data.clone()) };
        let (expert, rest) = rest.split_once('.').unwrap();
        let to = order[expert.parse::<usize>().unwrap()];
        (format!("{prefix}.experts.{to}.{rest}"), data.clone())
    });
    named.collect()
}

/// A model near another one.
fn near(model: &Model, noise: &Model) -> Model {
    let moved = model.iter().map(|(name, data)| {
        let values = data.values().into_iter().zip(noise[name].values());
        let values: Vec<f64> = values.map(|(value, noise)| value + 0.5 * noise).collect();
        (name.clone(), Data::new(data.dtype, &data.shape, &values))
    });
    moved.collect()
}

fn run(folder: &Folder, recipe: &Recipe, options: &MergeOptions) -> Result<Model, Error> {
    pools::merge_into(folder, recipe, "out", options)?;
    Ok(pools::read(&folder.path("out")))
}

#[test]
fn experts_are_merged_with_those_they_resemble() {
    for apart in [true, false] {
        let first = model(&form(apart), Dtype::BF16, 1);
        let second = near(&first, &model(&form(apart), Dtype::BF16, 2));
        let options = MergeOptions { overwrite: true, ..MergeOptions::default() };
        let together = Folder::new(&[first.clone(), second.clone()]);
        let expected = run(&together, &together.recipe(MergeMethod::Linear, &[0.5, 0.5]), &options).unwrap();

        let folder = Folder::new(&[first, shuffled(&second)]);
        let mut recipe = folder.recipe(MergeMethod::Linear, &[0.5, 0.5]);
        let mixed = run(&folder, &recipe, &options).unwrap();
        assert!(mixed != expected);
        recipe.align = Some(Align::Experts);
        for (memory_budget, threads) in [(512 << 20, 1), (8 << 20, 3)] {
            let options = MergeOptions { memory_budget, threads, ..options.clone() };
            assert!(run(&folder, &recipe, &options).unwrap() == expected, "{apart} {memory_budget}");
        }
        let pool = pools::open(&recipe).unwrap();
        let read = |align| {
            let recipe = Recipe { align, ..recipe.clone() };
            plan(&pool, &[recipe], &folder.location("out"), &MergeOptions::default()).unwrap().bytes_read
        };
        assert!(read(Some(Align::Experts)) > read(None) * 3 / 2);
    }
}

#[test]
fn without_experts_there_is_nothing_to_match() {
    let dense = vec![("model.layers.0.mlp.up_proj.weight".to_owned(), vec![4, 4])];
    let folder = Folder::new(&[model(&dense, Dtype::F32, 1), model(&dense, Dtype::F32, 2)]);
    let mut recipe = folder.recipe(MergeMethod::Linear, &[0.5, 0.5]);
    recipe.align = Some(Align::Experts);
    let error = run(&folder, &recipe, &MergeOptions::default()).unwrap_err();
    assert!(error.exit_code() == 65 && error.to_string().starts_with("align: no tensor"), "{error}");
}
