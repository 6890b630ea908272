//! Merges against a plain in-memory reference, and against themselves cut differently.

use std::fs;
use std::path::Path;

use mergesearch_merger::{Error, MergeOptions, MergeReport, Pool, Progress, Sources, merge};
use mergesearch_recipe::{MergeMethod, Recipe};
use proptest::prelude::*;
use safetensors::Dtype;

use crate::pools::{self, Data, Folder, Model, element, stores, wait};
use crate::shapes::{floats, forms, model};

fn options() -> MergeOptions {
    MergeOptions { overwrite: true, threads: 2, ..MergeOptions::default() }
}

fn run(folder: &Folder, recipe: &Recipe, output: &str, options: &MergeOptions) -> Result<MergeReport, Error> {
    wait(async {
        let stores = stores();
        let pool = Pool::open(&stores, &Sources::from(recipe)).await?;
        let output = folder.location(output);
        merge(&stores, &pool, recipe, &output, options, &Progress::default()).await
    })
}

/// Every file of a folder with its bytes.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .collect();
    files.sort();
    files
}

/// What the merge should be: tensor by tensor, element by element, as the documentation says.
fn reference(recipe: &Recipe, models: &[Model], base: Option<&Model>) -> Model {
    let weights = &recipe.groups[0].weights;
    let lambda = recipe.groups[0].parameters.lambda.unwrap_or(1.0);
    let merged = models[0].iter().map(|(name, first)| {
        let values: Vec<Vec<f64>> = models.iter().map(|model| model[name].values()).collect();
        let base = base.map(|base| base[name].values());
        let bytes = (0..first.values().len()).flat_map(|place| {
            let terms = values.iter().zip(weights).filter(|(_, weight)| **weight != 0.0);
            let sum = match &base {
                None => {
                    terms.map(|(values, weight)| weight * values[place]).reduce(|a, b| a + b).unwrap_or(0.0)
                }
                Some(base) => terms
                    .map(|(values, weight)| weight * (values[place] - base[place]))
                    .reduce(|a, b| a + b)
                    .map_or(base[place], |sum| base[place] + lambda * sum),
            };
            element(first.dtype, sum)
        });
        (name.clone(), Data { dtype: first.dtype, shape: first.shape.clone(), bytes: bytes.collect() })
    });
    merged.collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn linear_is_the_sum_rounded_once(
        form in forms(),
        dtypes in prop::collection::vec(floats(), 1..5),
        weights in prop::collection::vec(prop_oneof![Just(0.0), -1.0..1.0], 5),
    ) {
        let models: Vec<Model> =
            dtypes.iter().zip(1..).map(|(dtype, seed)| model(&form, *dtype, seed)).collect();
        let folder = Folder::new(&models);
        let mut weights = weights[..models.len()].to_vec();
        weights[0] += 1.0 - weights.iter().sum::<f64>();
        let recipe = folder.recipe(MergeMethod::Linear, &weights);
        run(&folder, &recipe, "out", &options()).unwrap();
        let expected = reference(&recipe, &models, None);
        prop_assert_eq!(
            fs::read(folder.path("out/model.safetensors")).unwrap(),
            pools::serialize(&expected)
        );
    }

    #[test]
    fn task_arithmetic_adds_scaled_differences(
        form in forms(),
        dtype in floats(),
        weights in prop::collection::vec(-1.0..1.0, 1..4),
        lambda in 0.1..2.0,
    ) {
        let models: Vec<Model> = (0..=weights.len()).map(|seed| model(&form, dtype, seed as u64)).collect();
        let folder = Folder::new(&models);
        let mut recipe = folder.recipe(MergeMethod::TaskArithmetic, &weights);
        recipe.base = Some(folder.checkpoint(weights.len()));
        recipe.groups[0].parameters.lambda = Some(lambda);
        run(&folder, &recipe, "out", &options()).unwrap();
        let expected = reference(&recipe, &models[..weights.len()], models.last());
        prop_assert_eq!(pools::read(&folder.path("out")), expected);
    }

    #[test]
    fn slerp_is_within_one_unit_of_the_plain_formula(form in forms(), dtype in floats(), t in 0.0..1.0) {
        let models = [model(&form, dtype, 1), model(&form, dtype, 2)];
        let folder = Folder::new(&models);
        let recipe = folder.recipe(MergeMethod::Slerp, &[1.0 - t, t]);
        run(&folder, &recipe, "out", &options()).unwrap();
        for (name, merged) in pools::read(&folder.path("out")) {
            let (a, b) = (models[0][&name].values(), models[1][&name].values());
            let norm = |values: &[f64]| values.iter().map(|x| x * x).sum::<f64>().sqrt();
            let cosine = a.iter().zip(&b).map(|(a, b)| a * b).sum::<f64>() / (norm(&a) * norm(&b));
            let (ours, theirs) = if cosine.abs() <= 0.9995 {
                let angle = cosine.acos();
                (((1.0 - t) * angle).sin() / angle.sin(), (t * angle).sin() / angle.sin())
            } else {
                (1.0 - t, t)
            };
            let epsilon = match dtype {
                Dtype::BF16 => 2f64.powi(-8),
                Dtype::F16 => 2f64.powi(-11),
                Dtype::F32 => 2f64.powi(-24),
                _ => 1e-12,
            };
            for (merged, (a, b)) in merged.values().into_iter().zip(a.iter().zip(&b)) {
                let expected = ours * a + theirs * b;
                let scale = ours.abs() * a.abs() + theirs.abs() * b.abs() + 1e-6;
                prop_assert!((merged - expected).abs() <= epsilon * scale, "{name}: {merged} {expected}");
            }
        }
    }

    #[test]
    fn the_result_does_not_depend_on_how_it_is_cut(
        form in forms(),
        dtype in floats(),
        t in 0.0..1.0,
        memory_budget in 120_000_u64..4_000_000,
        threads in 1_usize..5,
        max_shard_size in 1_u64..100_000,
    ) {
        let models = [model(&form, dtype, 1), model(&form, dtype, 2)];
        let folder = Folder::new(&models);
        for method in [MergeMethod::Linear, MergeMethod::Slerp] {
            let recipe = folder.recipe(method, &[1.0 - t, t]);
            run(&folder, &recipe, "whole", &options()).unwrap();
            let small = MergeOptions { memory_budget, threads, ..options() };
            run(&folder, &recipe, "small", &small).unwrap();
            prop_assert_eq!(files(&folder.path("whole")), files(&folder.path("small")));
            run(&folder, &recipe, "shards", &MergeOptions { max_shard_size, ..small }).unwrap();
            prop_assert_eq!(pools::read(&folder.path("whole")), pools::read(&folder.path("shards")));
        }
    }
}
