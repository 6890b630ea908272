//! Merges against a plain in-memory reference, and against themselves cut differently.

use std::fs;
use std::path::Path;

use mergesearch_merger::{MergeOptions, Pool, Progress, Sources, merge};
use mergesearch_recipe::{MergeMethod, Recipe};
use proptest::prelude::*;
use safetensors::Dtype;

use crate::pools::{self, Data, Folder, Model, element, merge_into, stores, wait};
use crate::shapes::{floats, forms, model};

fn options() -> MergeOptions {
    MergeOptions { overwrite: true, threads: 2, ..MergeOptions::default() }
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

/// The tensors' part of a file's header, and their bytes: everything but the metadata, byte for byte.
fn tensors(file: &[u8]) -> (serde_json::Value, &[u8]) {
    let (length, rest) = file.split_at(8);
    let length = u64::from_le_bytes(length.try_into().unwrap()) as usize;
    let mut header: serde_json::Value = serde_json::from_slice(&rest[..length]).unwrap();
    header.as_object_mut().unwrap().remove("__metadata__");
    (header, &rest[length..])
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
        merge_into(&folder, &recipe, "out", &options()).unwrap();
        let expected = reference(&recipe, &models, None);
        let written = fs::read(folder.path("out/model.safetensors")).unwrap();
        let expected = pools::serialize(&expected);
        prop_assert_eq!(tensors(&written), tensors(&expected));
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
        merge_into(&folder, &recipe, "out", &options()).unwrap();
        let expected = reference(&recipe, &models[..weights.len()], models.last());
        prop_assert_eq!(pools::read(&folder.path("out")), expected);
    }

    #[test]
    fn slerp_is_within_one_unit_of_the_plain_formula(form in forms(), dtype in floats(), t in 0.0..1.0) {
        let models = [model(&form, dtype, 1), model(&form, dtype, 2)];
        let folder = Folder::new(&models);
        let recipe = folder.recipe(MergeMethod::Slerp, &[1.0 - t, t]);
        merge_into(&folder, &recipe, "out", &options()).unwrap();
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
        memory_budget in 600_000_u64..4_000_000,
        threads in 1_usize..5,
        max_shard_size in 1_u64..100_000,
    ) {
        let models = [model(&form, dtype, 1), model(&form, dtype, 2)];
        let folder = Folder::new(&models);
        for method in [MergeMethod::Linear, MergeMethod::Slerp] {
            let recipe = folder.recipe(method, &[1.0 - t, t]);
            merge_into(&folder, &recipe, "whole", &options()).unwrap();
            let small = MergeOptions { memory_budget, threads, ..options() };
            merge_into(&folder, &recipe, "small", &small).unwrap();
            prop_assert_eq!(files(&folder.path("whole")), files(&folder.path("small")));
            merge_into(&folder, &recipe, "shards", &MergeOptions { max_shard_size, ..small }).unwrap();
            prop_assert_eq!(pools::read(&folder.path("whole")), pools::read(&folder.path("shards")));
        }
    }
}

/// A pool of two with layers, where `b` is newer.
fn two() -> (Folder, [Model; 2]) {
    let names = ["model.embed_tokens.weight", "model.layers.0.w", "model.layers.1.w", "model.norm.weight"];
    let form = names.map(|name| (name.to_owned(), vec![3, 5])).to_vec();
    let models = [model(&form, Dtype::F32, 1), model(&form, Dtype::F32, 2)];
    (Folder::new(&models), models)
}

#[test]
fn each_tensor_takes_its_groups_weights_and_the_recipes_type() {
    let (folder, models) = two();
    let mut recipe = folder.recipe(MergeMethod::Linear, &[1.0, 0.0]);
    let mut last = recipe.groups[0].clone();
    last.select.name_contains = Some("layers.1".to_owned());
    last.weights = vec![0.0, 1.0];
    recipe.groups.insert(0, last);
    recipe.dtype = Some(mergesearch_recipe::Dtype::Float64);
    recipe.tokenizer_from = Some("b".try_into().unwrap());
    fs::write(folder.path("b/tokenizer_config.json"), "{}").unwrap();
    merge_into(&folder, &recipe, "out", &options()).unwrap();
    for (name, merged) in pools::read(&folder.path("out")) {
        let source = &models[usize::from(name.contains("layers.1"))][&name];
        assert_eq!((merged.dtype, merged.values()), (Dtype::F64, source.values()), "{name}");
    }
    let config: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.path("out/config.json")).unwrap()).unwrap();
    assert_eq!(config["torch_dtype"], "float64");
    assert!(folder.path("out/tokenizer_config.json").exists());
}

#[test]
fn a_file_that_changed_after_it_was_seen_is_not_read() {
    let (folder, models) = two();
    let recipe = folder.recipe(MergeMethod::Linear, &[0.5, 0.5]);
    let pool = pools::open(&recipe).unwrap();
    // The same bytes in a new file: only the version tells.
    let path = folder.path("a/model.safetensors");
    fs::write(folder.path("a/new"), pools::serialize(&models[0])).unwrap();
    fs::rename(folder.path("a/new"), &path).unwrap();
    let output = folder.location("out");
    let error =
        wait(async { merge(&stores(), &pool, &recipe, &output, &options(), &Progress::default()).await });
    let error = error.unwrap_err();
    assert!(error.to_string().contains("changed while in use"), "{error}");
    assert_eq!(error.exit_code(), 65);
    assert!(files(&folder.path("out")).iter().all(|(name, _)| !name.contains("model.safetensors")));
}

#[test]
fn a_merge_that_is_dropped_leaves_nothing_that_looks_complete() {
    let (folder, _) = two();
    let recipe = folder.recipe(MergeMethod::Linear, &[0.5, 0.5]);
    merge_into(&folder, &recipe, "whole", &options()).unwrap();
    let whole = files(&folder.path("whole"));
    // Dropped after every possible number of polls, until one is let finish.
    for polls in 1.. {
        let finished = wait(async {
            let stores = stores();
            let pool = Pool::open(&stores, &Sources::from(&recipe)).await.unwrap();
            let (output, options, progress) = (folder.location("out"), options(), Progress::default());
            let mut merge = Box::pin(merge(&stores, &pool, &recipe, &output, &options, &progress));
            let mut polled = 0;
            let outcome = std::future::poll_fn(|context| {
                polled += 1;
                match merge.as_mut().poll(context) {
                    std::task::Poll::Ready(outcome) => std::task::Poll::Ready(Some(outcome)),
                    std::task::Poll::Pending if polled >= polls => std::task::Poll::Ready(None),
                    std::task::Poll::Pending => std::task::Poll::Pending,
                }
            });
            outcome.await.is_some_and(|outcome| outcome.is_ok())
        });
        // Dropped early, not even the folder is there.
        let left = if folder.path("out").exists() { files(&folder.path("out")) } else { Vec::new() };
        let has = |name: &str| left.iter().any(|(found, _)| found == name);
        assert!(finished || !(has("config.json") && has("model.safetensors")) || left == whole);
        assert!(left.iter().all(|(name, _)| !name.ends_with(".partial")), "{polls}: {left:?}");
        if finished {
            assert_eq!(left, whole);
            return;
        }
    }
}

#[test]
fn progress_ends_at_what_was_announced() {
    let (folder, models) = two();
    let recipe = folder.recipe(MergeMethod::Slerp, &[0.5, 0.5]);
    let (pool, progress) = (pools::open(&recipe).unwrap(), Progress::default());
    let output = folder.location("out");
    let report =
        wait(async { merge(&stores(), &pool, &recipe, &output, &options(), &progress).await }).unwrap();
    let bytes: usize = models[0].values().map(|data| data.bytes.len()).sum();
    // Two sources, each read once for the angle and once for the sum.
    assert_eq!((progress.read(), progress.to_read()), (4 * bytes as u64, 4 * bytes as u64));
    assert_eq!((progress.written(), progress.to_write()), (bytes as u64, bytes as u64));
    assert_eq!(report.bytes_read, progress.read());
}

/// What a file says about itself.
fn metadata(file: &[u8]) -> std::collections::HashMap<String, String> {
    let (_, metadata) = safetensors::SafeTensors::read_metadata(file).unwrap();
    metadata.metadata().clone().unwrap()
}

#[test]
fn every_file_says_which_merge_it_is_of() {
    let (folder, models) = two();
    let merge_of = |weights: &[f64], output: &str| {
        let recipe = folder.recipe(MergeMethod::Linear, weights);
        merge_into(&folder, &recipe, output, &MergeOptions { max_shard_size: 100, ..options() }).unwrap();
        let shards: Vec<_> = files(&folder.path(output))
            .into_iter()
            .filter(|(name, _)| name.ends_with("safetensors"))
            .collect();
        assert_eq!(shards.len(), 4);
        let all: Vec<_> = shards.iter().map(|(_, bytes)| metadata(bytes)).collect();
        assert!(all.iter().all(|metadata| *metadata == all[0]));
        all[0].clone()
    };
    let first = merge_of(&[0.5, 0.5], "first");
    assert_eq!((&first["format"][..], &first["mergesearch.version"][..]), ("pt", env!("CARGO_PKG_VERSION")));
    assert_eq!(merge_of(&[0.5, 0.5], "again"), first);
    assert_ne!(merge_of(&[0.25, 0.75], "other")["mergesearch.merge"], first["mergesearch.merge"]);
    // A source that was written anew is another one.
    fs::write(folder.path("a/new"), pools::serialize(&models[0])).unwrap();
    fs::rename(folder.path("a/new"), folder.path("a/model.safetensors")).unwrap();
    assert_ne!(merge_of(&[0.5, 0.5], "later")["mergesearch.merge"], first["mergesearch.merge"]);
}

#[test]
fn what_an_earlier_attempt_finished_is_kept_and_nothing_else() {
    let (folder, models) = two();
    let recipe = folder.recipe(MergeMethod::Linear, &[0.5, 0.5]);
    let small = MergeOptions { max_shard_size: 100, overwrite: false, ..options() };
    let whole = merge_into(&folder, &recipe, "out", &small).unwrap();
    let made = files(&folder.path("out"));
    let first = "model-00001-of-00004.safetensors";
    let inode = |name: &str| {
        std::os::unix::fs::MetadataExt::ino(&fs::metadata(folder.path("out").join(name)).unwrap())
    };
    let second = "model-00002-of-00004.safetensors";
    for lost in [first, "model.safetensors.index.json"] {
        fs::remove_file(folder.path("out").join(lost)).unwrap();
    }
    let before = inode(second);
    let report = merge_into(&folder, &recipe, "out", &small).unwrap();
    assert_eq!(files(&folder.path("out")), made);
    assert_eq!(inode(second), before);
    assert!(report.complete && report.bytes_written < whole.bytes_written / 3, "{report:?}");

    // A cut file, and one of another recipe, are made anew.
    fs::remove_file(folder.path("out/model.safetensors.index.json")).unwrap();
    let cut = fs::File::options().write(true).open(folder.path("out").join(first)).unwrap();
    cut.set_len(100).unwrap();
    merge_into(&folder, &recipe, "out", &small).unwrap();
    assert_eq!(files(&folder.path("out")), made);
    fs::remove_file(folder.path("out/model.safetensors.index.json")).unwrap();
    let other = folder.recipe(MergeMethod::Linear, &[1.0, 0.0]);
    merge_into(&folder, &other, "out", &small).unwrap();
    assert_eq!(pools::read(&folder.path("out")), models[0]);
}

#[test]
fn parts_in_any_order_make_one_model_once_all_are_there() {
    let (folder, _) = two();
    let recipe = folder.recipe(MergeMethod::Linear, &[0.25, 0.75]);
    merge_into(&folder, &recipe, "whole", &options()).unwrap();
    let part = |index| {
        let part = Some(mergesearch_merger::Part { index, count: 3 });
        merge_into(&folder, &recipe, "out", &MergeOptions { part, overwrite: false, ..options() }).unwrap()
    };
    let is_there = |name: &str| folder.path("out").join(name).exists();
    for index in [2, 0, 2] {
        assert!(!part(index).complete);
        assert!(!is_there("config.json") && !is_there("model.safetensors.index.json"));
    }
    assert!(part(1).complete);
    assert_eq!(pools::read(&folder.path("out")), pools::read(&folder.path("whole")));
    // A pod that is tried again after all is done changes nothing.
    let made = files(&folder.path("out"));
    let again = part(0);
    assert!(again.complete && again.bytes_written == 0);
    assert_eq!(files(&folder.path("out")), made);
}
