//! Every method against the plain reference, and against itself cut differently.

use std::fs;

use mergesearch_merger::{MergeOptions, Merging, Pool, Progress, Sources, merge, merge_all};
use mergesearch_recipe::{Dtype as OutputType, MergeMethod, Parameters, PerCheckpoint, Recipe, Rescale};
use proptest::prelude::*;
use safetensors::Dtype;

use crate::pools::{self, Folder, Model, stores, wait};
use crate::reference::{self, Tensor};
use crate::shapes::{Form, floats, forms, model};

/// Methods in all their forms: name, parameters, weights of three checkpoints, whether there is a base.
fn cases() -> Vec<(MergeMethod, Parameters, Vec<f64>, bool)> {
    use MergeMethod as M;
    let none = Parameters::default;
    let density = |density| Parameters { density: Some(PerCheckpoint::All(density)), ..none() };
    let three = vec![0.5, -0.3, 0.8];
    let ones = vec![1.0; 3];
    let each =
        Parameters { density: Some(PerCheckpoint::Each(vec![0.3, 0.7, 1.0])), lambda: Some(1.3), ..none() };
    vec![
        (M::Linear, none(), three.clone(), false),
        (M::Passthrough, none(), vec![0.0, 1.5, 0.0], false),
        (M::TaskArithmetic, Parameters { lambda: Some(0.7), ..none() }, three.clone(), true),
        (M::Slerp, none(), vec![0.3, 0.7], false),
        (M::Nuslerp, none(), vec![0.3, 0.7], false),
        (M::Nuslerp, none(), vec![0.6, 0.4], true),
        (M::Nuslerp, Parameters { nuslerp_flatten: Some(false), ..none() }, vec![0.6, 0.4], true),
        (M::Multislerp, Parameters { eps: Some(1e-12), ..none() }, vec![0.2, 0.3, 0.5], false),
        (M::Multislerp, Parameters { eps: Some(1e-12), ..none() }, vec![0.2, 0.3, 0.5], true),
        (M::Karcher, none(), ones.clone(), false),
        (M::Karcher, none(), vec![0.5, 0.0, 0.25], false),
        (M::Ties, density(0.4), three.clone(), true),
        (M::Ties, Parameters { normalize: Some(false), ..each.clone() }, three.clone(), true),
        (M::Ties, Parameters { rescale: Some(Rescale::L1), ..each.clone() }, three.clone(), true),
        (M::DareLinear, density(0.6), three.clone(), true),
        (M::DareLinear, Parameters { rescale: Some(Rescale::L1), ..density(0.6) }, three.clone(), true),
        (M::DareTies, density(0.6), three.clone(), true),
        (M::Della, density(0.5), three.clone(), true),
        (M::Della, Parameters { rescale: Some(Rescale::L1), ..density(0.5) }, three.clone(), true),
        (M::DellaLinear, density(0.5), three.clone(), true),
        (M::Breadcrumbs, density(0.6), three.clone(), true),
        (
            M::Breadcrumbs,
            Parameters { gamma: Some(PerCheckpoint::All(0.2)), ..each.clone() },
            three.clone(),
            true,
        ),
        (
            M::BreadcrumbsTies,
            Parameters { rescale: Some(Rescale::Inverse), ..density(0.6) },
            three.clone(),
            true,
        ),
        (M::ModelStock, none(), ones.clone(), true),
        (M::ModelStock, Parameters { filter_wise: Some(true), ..none() }, ones.clone(), true),
        (M::Nearswap, Parameters { t: Some(0.1), ..none() }, vec![1.0; 2], false),
        (M::Sce, none(), ones.clone(), true),
        (M::Sce, Parameters { select_topk: Some(0.4), ..none() }, ones.clone(), true),
        (M::ArceeFusion, none(), vec![1.0; 2], false),
        (M::Ram, none(), ones.clone(), true),
        (M::RamplusTl, none(), ones, true),
        (M::Consensus, Parameters { lambda: Some(0.6), ..none() }, three, true),
    ]
}

/// A recipe of the case over the folder's checkpoints; the base is the fourth.
fn recipe(
    folder: &Folder,
    (method, parameters, weights, based): &(MergeMethod, Parameters, Vec<f64>, bool),
) -> Recipe {
    let mut recipe = folder.recipe(*method, weights);
    recipe.base = based.then(|| folder.checkpoint(3));
    recipe.groups[0].parameters = parameters.clone();
    recipe.seed = 7;
    recipe
}

fn run(folder: &Folder, recipe: &Recipe, output: &str, options: &MergeOptions) -> Model {
    let location = folder.location(output);
    wait(async {
        let pool = Pool::open(&stores(), &Sources::from(recipe)).await.unwrap();
        merge(&stores(), &pool, recipe, &location, options, &Progress::default()).await.unwrap();
    });
    pools::read(&folder.path(output))
}

fn options() -> MergeOptions {
    MergeOptions { overwrite: true, threads: 2, ..MergeOptions::default() }
}

/// Four models; in three quarters of the places the first three are what the fourth, the base, is, as methods that look
/// for changes need it.
fn models(form: &Form, dtype: Dtype) -> Vec<Model> {
    let mut models: Vec<Model> = (1..=4).map(|seed| model(form, dtype, seed)).collect();
    let base = models[3].clone();
    for (place, model) in models[..3].iter_mut().enumerate() {
        for (name, data) in model.iter_mut() {
            let values = data.values().into_iter().zip(base[name].values()).enumerate();
            let values: Vec<f64> = values
                .map(|(at, (own, base))| if (at + place) % 4 == 0 { own } else { base + 0.01 * own })
                .collect();
            *data = pools::Data::new(dtype, &data.shape, &values);
        }
    }
    models
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]

    #[test]
    fn every_method_is_what_the_reference_says(form in forms(), dtype in floats()) {
        let models = models(&form, dtype);
        let folder = Folder::new(&models);
        for case in cases() {
            let mut recipe = recipe(&folder, &case);
            recipe.dtype = Some(OutputType::Float64);
            for (name, merged) in run(&folder, &recipe, "out", &options()) {
                let values: Vec<Vec<f64>> =
                    models[..case.2.len()].iter().map(|model| model[&name].values()).collect();
                let base = recipe.base.as_ref().map(|_| models[3][&name].values());
                let row = merged.shape.last().copied().unwrap_or(1).max(1);
                let tensor = Tensor { name: &name, values: &values, base: base.as_deref(), row };
                if values[0].is_empty() {
                    continue;
                }
                let expected = reference::merge(&recipe, &tensor);
                for (at, (merged, expected)) in merged.values().into_iter().zip(expected).enumerate() {
                    let near = (merged - expected).abs() <= 1e-9 * (1.0 + expected.abs());
                    prop_assert!(near, "{} {:?} {name}[{at}]: {merged} {expected}", case.0, case.1);
                }
            }
        }
    }

    #[test]
    fn no_result_depends_on_how_it_is_cut(
        form in forms(),
        dtype in floats(),
        memory_budget in 16_000_000_u64..32_000_000,
        threads in 1_usize..4,
        max_shard_size in 1_u64..100_000,
    ) {
        let models = models(&form, dtype);
        let folder = Folder::new(&models);
        for case in cases() {
            let recipe = recipe(&folder, &case);
            let whole = run(&folder, &recipe, "whole", &options());
            let small = MergeOptions { memory_budget, threads, max_shard_size, ..options() };
            fs::remove_dir_all(folder.path("cut")).ok();
            prop_assert_eq!(&run(&folder, &recipe, "cut", &small), &whole, "{} {:?}", case.0, case.1);
        }
    }
}

#[test]
fn one_read_makes_the_same_merges_as_many() {
    let form: Form = ["model.embed_tokens.weight", "model.layers.0.w", "model.norm.weight"]
        .map(|name| (name.to_owned(), vec![3, 3000]))
        .to_vec();
    let folder = Folder::new(&models(&form, Dtype::BF16));
    // All that have a base and three checkpoints can go together.
    let together: Vec<_> =
        cases().into_iter().filter(|(_, _, weights, based)| *based && weights.len() == 3).collect();
    assert!(together.len() > 10);
    let recipes: Vec<Recipe> = together.iter().map(|case| recipe(&folder, case)).collect();
    let outputs: Vec<_> = (0..recipes.len()).map(|place| folder.location(&format!("one-{place}"))).collect();
    let mergings =
        recipes.iter().zip(&outputs).map(|(recipe, output)| Merging::new(recipe, output)).collect();
    let progress = Progress::default();
    wait(async {
        let pool = Pool::open(&stores(), &Sources::from(&recipes[0])).await.unwrap();
        merge_all(&stores(), &pool, mergings, &options(), &progress).await.unwrap();
    });
    for (place, recipe) in recipes.iter().enumerate() {
        let alone = run(&folder, recipe, "alone", &options());
        assert_eq!(pools::read(&folder.path(&format!("one-{place}"))), alone, "{}", recipe.method);
    }
    assert_eq!(progress.read(), progress.to_read());
    assert_eq!(progress.written(), progress.to_write());
}

#[test]
fn what_is_measured_does_not_depend_on_the_merges_beside_it() {
    // Rows that are no whole blocks: a method that looks at rows cuts the tensor there, the others' sums go by blocks.
    let form: Form = vec![("model.layers.0.w".to_owned(), vec![9, 3000])];
    let folder = Folder::new(&models(&form, Dtype::F64));
    let of =
        |method| cases().into_iter().find(|case| case.0 == method && case.3 && case.2.len() == 3).unwrap();
    let [stock, della] =
        [MergeMethod::ModelStock, MergeMethod::Della].map(|method| recipe(&folder, &of(method)));
    let outputs = [folder.location("stock"), folder.location("della")];
    let mergings = vec![Merging::new(&stock, &outputs[0]), Merging::new(&della, &outputs[1])];
    wait(async {
        let pool = Pool::open(&stores(), &Sources::from(&stock)).await.unwrap();
        merge_all(&stores(), &pool, mergings, &options(), &Progress::default()).await.unwrap();
    });
    assert_eq!(pools::read(&folder.path("stock")), run(&folder, &stock, "alone", &options()));
}

#[test]
fn a_passthrough_of_nothing_is_zeros() {
    let form: Form = vec![("model.layers.0.w".to_owned(), vec![2, 3])];
    let folder = Folder::new(&models(&form, Dtype::F32));
    let recipe = folder.recipe(MergeMethod::Passthrough, &[0.0, 0.0]);
    assert_eq!(run(&folder, &recipe, "out", &options())["model.layers.0.w"].values(), [0.0; 6]);
}

#[test]
fn layers_are_stacked_from_the_checkpoints_that_groups_name() {
    let form: Form = ["model.embed_tokens.weight", "model.layers.0.w", "model.layers.1.w", "lm_head.weight"]
        .map(|name| (name.to_owned(), vec![2, 3]))
        .to_vec();
    let models = models(&form, Dtype::F32);
    let folder = Folder::new(&models);
    let mut recipe = folder.recipe(MergeMethod::Passthrough, &[1.0, 0.0]);
    let range = |start, end| mergesearch_recipe::LayerRange { start, end };
    recipe.stack = vec![range(0, 2), range(1, 2)];
    let mut last = recipe.groups[0].clone();
    last.select.layers = Some(range(2, 3));
    last.weights = vec![0.0, 1.0];
    recipe.groups.insert(0, last);
    let merged = run(&folder, &recipe, "out", &options());
    let expected = [
        ("lm_head.weight", 1, "lm_head.weight"),
        ("model.embed_tokens.weight", 0, "model.embed_tokens.weight"),
        ("model.layers.0.w", 0, "model.layers.0.w"),
        ("model.layers.1.w", 0, "model.layers.1.w"),
        ("model.layers.2.w", 1, "model.layers.1.w"),
    ];
    assert_eq!(merged.len(), expected.len());
    for (name, place, source) in expected {
        assert_eq!(merged[name], models[place][source], "{name}");
    }
    let config: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.path("out/config.json")).unwrap()).unwrap();
    assert_eq!(config["num_hidden_layers"], 3);
}
