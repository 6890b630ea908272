//! `quickstart-evaluate`: results in the harness's shape, the same whatever the layout of the files, and clear errors.

use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use half::{bf16, f16};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::pool::folder;

fn evaluator(model: &Path, results: &Path, stage: &str) -> Command {
    let mut command = Command::cargo_bin("quickstart-evaluate").unwrap();
    command
        .env("MERGESEARCH_MODEL_DIR", model)
        .env("MERGESEARCH_RESULTS_DIR", results)
        .env("MERGESEARCH_STAGE", stage);
    command
}

/// The files below `folder/MODEL/` whose names start so, sorted.
fn written(folder: &Path, start: &str) -> Vec<PathBuf> {
    let model = fs::read_dir(folder).unwrap().next().unwrap().unwrap().path();
    let mut files: Vec<PathBuf> = fs::read_dir(model).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.file_name().unwrap().to_string_lossy().starts_with(start));
    files.sort();
    files
}

fn results(folder: &Path) -> Value {
    let [file] = &written(folder, "results_")[..] else { panic!("expected one results file") };
    serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap()
}

/// Evaluates a few items at the search stage.
fn scores(model: &Path) -> Value {
    let output = TempDir::new().unwrap();
    evaluator(model, output.path(), "search").args(["--items", "50"]).assert().success();
    results(output.path())["results"].clone()
}

/// Copies a checkpoint's small files, so that its tensors can be written anew.
fn without_tensors(name: &str) -> TempDir {
    let copy = TempDir::new().unwrap();
    for entry in fs::read_dir(folder(name)).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "json") {
            fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
        }
    }
    copy
}

fn message(model: &Path) -> String {
    let output = TempDir::new().unwrap();
    let assert = evaluator(model, output.path(), "search").assert().code(1);
    String::from_utf8(assert.get_output().stderr.clone()).unwrap()
}

#[test]
fn each_stage_asks_its_tasks_and_every_sample_adds_up_to_its_score() {
    let stages = [
        ("search", 500, vec!["addition", "reverse_increment", "sort_descending"]),
        ("heldout", 1_000, vec!["increment", "reverse", "rotate", "sort"]),
    ];
    for (stage, items, tasks) in stages {
        let output = TempDir::new().unwrap();
        evaluator(&folder("pref-3"), output.path(), stage).assert().success();
        let results = results(output.path());
        assert_eq!(results["results"].as_object().unwrap().keys().collect::<Vec<_>>(), tasks);
        let samples = written(output.path(), "samples_");
        assert_eq!(samples.len(), tasks.len());
        for (task, path) in tasks.iter().zip(samples) {
            let lines: Vec<Value> = fs::read_to_string(path)
                .unwrap()
                .lines()
                .map(|line| serde_json::from_str(line).unwrap())
                .collect();
            assert_eq!(lines.len(), items);
            assert_eq!(results["n-samples"][task]["effective"], items);
            assert_eq!(results["higher_is_better"][task], json!({"exact_match": true}));
            let mean =
                lines.iter().map(|line| line["exact_match"].as_f64().unwrap()).sum::<f64>() / items as f64;
            let score = &results["results"][task];
            assert!((score["exact_match,none"].as_f64().unwrap() - mean).abs() < 1e-12);
            let error = (mean * (1.0 - mean) / (items as f64 - 1.0)).sqrt();
            assert!((score["exact_match_stderr,none"].as_f64().unwrap() - error).abs() < 1e-12);
            assert!(mean > 0.02, "{task}: {mean}");
            for line in lines {
                assert_eq!(line["filter"], "none");
                assert_eq!(line["metrics"], json!(["exact_match"]));
                assert_eq!(line["doc_hash"].as_str().unwrap().len(), 64);
                let right = line["exact_match"] == 1.0;
                assert_eq!(right, line["filtered_resps"][0] == line["target"], "{line}");
            }
        }
    }
}

#[test]
fn shards_and_f32_give_the_same_scores_and_f16_nearly() {
    let bytes = fs::read(folder("sft-6").join("model.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let expected = scores(&folder("sft-6"));

    let sharded = without_tensors("sft-6");
    let (first, second): (Vec<_>, Vec<_>) = tensors.iter().partition(|(name, _)| name.contains("layers.0."));
    let mut map = serde_json::Map::new();
    for (number, shard) in [(1, first), (2, second)] {
        let file = format!("model-0000{number}-of-00002.safetensors");
        map.extend(shard.iter().map(|(name, _)| ((*name).to_owned(), json!(file))));
        fs::write(sharded.path().join(file), safetensors::serialize(shard, None).unwrap()).unwrap();
    }
    let index = json!({"metadata": {"total_size": 0}, "weight_map": map});
    fs::write(sharded.path().join("model.safetensors.index.json"), index.to_string()).unwrap();
    assert_eq!(scores(sharded.path()), expected);

    let convert = |dtype: Dtype, encode: fn(f32) -> Vec<u8>| {
        let copy = without_tensors("sft-6");
        let converted: Vec<_> = tensors
            .iter()
            .map(|(name, view)| {
                let values =
                    view.data().chunks_exact(2).map(|pair| bf16::from_le_bytes([pair[0], pair[1]]).to_f32());
                (name, view.shape().to_vec(), values.flat_map(encode).collect::<Vec<u8>>())
            })
            .collect();
        let views = converted
            .iter()
            .map(|(name, shape, data)| (name, TensorView::new(dtype, shape.clone(), data).unwrap()));
        fs::write(copy.path().join("model.safetensors"), safetensors::serialize(views, None).unwrap())
            .unwrap();
        scores(copy.path())
    };
    assert_eq!(convert(Dtype::F32, |value| value.to_le_bytes().to_vec()), expected);
    // bf16 has the wider range of exponents, so values near zero lose digits in f16.
    let half = convert(Dtype::F16, |value| f16::from_f32(value).to_le_bytes().to_vec());
    for (task, score) in half.as_object().unwrap() {
        let difference = score["exact_match,none"].as_f64().unwrap()
            - expected[task]["exact_match,none"].as_f64().unwrap();
        assert!(difference.abs() <= 0.02, "{task}: {difference}");
    }
}

#[test]
fn the_logits_file_holds_the_first_items_of_each_task() {
    let output = TempDir::new().unwrap();
    let file = output.path().join("logits.json");
    let results = output.path().join("results");
    evaluator(&folder("sft-1"), &results, "search")
        .args(["--items", "4", "--logits"])
        .arg(&file)
        .assert()
        .success();
    let logits: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    let lengths = |value: &Value| value.as_array().unwrap().len();
    assert_eq!((lengths(&logits["input_ids"]), lengths(&logits["input_ids"][0])), (12, 15));
    assert_eq!(
        (lengths(&logits["logits"]), lengths(&logits["logits"][0]), lengths(&logits["logits"][0][0])),
        (12, 15, 22)
    );
}

#[test]
fn what_cannot_be_evaluated_is_named_in_one_sentence() {
    let nothing = TempDir::new().unwrap();
    assert!(message(nothing.path()).starts_with("error: cannot read "), "{}", message(nothing.path()));

    let cut = without_tensors("sft-1");
    let bytes = fs::read(folder("sft-1").join("model.safetensors")).unwrap();
    fs::write(cut.path().join("model.safetensors"), &bytes[..bytes.len() / 2]).unwrap();
    assert!(message(cut.path()).contains("model.safetensors is not a readable safetensors file"));

    let thin = without_tensors("sft-1");
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let most = tensors.iter().filter(|(name, _)| *name != "model.norm.weight");
    fs::write(thin.path().join("model.safetensors"), safetensors::serialize(most, None).unwrap()).unwrap();
    let expected =
        "error: the checkpoint has no tensor `model.norm.weight`, which its config.json calls for\n";
    assert_eq!(message(thin.path()), expected);

    let outside = without_tensors("sft-1");
    let index = json!({"weight_map": {"model.norm.weight": "../elsewhere.safetensors"}});
    fs::write(outside.path().join("model.safetensors.index.json"), index.to_string()).unwrap();
    let expected =
        "error: the index names the shard `../elsewhere.safetensors`, which leaves the checkpoint's folder\n";
    assert_eq!(message(outside.path()), expected);
}
