//! `merger` as it is run: what it writes, says and ends with, on folders and on S3 servers that misbehave.

use std::fs;

use assert_cmd::Command;
use mergesearch_recipe::{MergeMethod, Recipe};
use rstest::rstest;
use safetensors::Dtype;

use crate::pools::{self, Folder, Model};
use crate::server::{Mischief, serve};
use crate::shapes::model;

/// Two models, of 24 KB each.
fn folder() -> Folder {
    let form =
        [("model.embed_tokens.weight", vec![60, 100]), ("model.layers.0.mlp.up_proj.weight", vec![60, 100])];
    let form = form.map(|(name, shape)| (name.to_owned(), shape)).to_vec();
    let models: Vec<Model> = (1..3).map(|seed| model(&form, Dtype::BF16, seed)).collect();
    let folder = Folder::new(&models);
    write_recipe(&folder, &folder.recipe(MergeMethod::Linear, &[0.75, 0.25]));
    folder
}

fn write_recipe(folder: &Folder, recipe: &Recipe) {
    fs::write(folder.path("recipe.yaml"), recipe.to_yaml().unwrap()).unwrap();
}

fn merger(folder: &Folder) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("merger"));
    command.current_dir(folder.root.path()).env_clear();
    command.env("AWS_ACCESS_KEY_ID", "key").env("AWS_SECRET_ACCESS_KEY", "secret");
    command
}

fn merge(folder: &Folder, output: &str) -> Command {
    let mut command = merger(folder);
    command.args(["merge", "--recipe", "recipe.yaml", "--output", &folder.uri(output)]);
    command
}

/// What it says on standard error while ending with that code.
fn complaint(command: &mut Command, code: i32) -> String {
    let output = command.assert().code(code).get_output().clone();
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_merge_is_a_whole_model_with_its_card_and_recipes() {
    let folder = folder();
    let script = "modeling_own.py";
    fs::write(folder.path("a").join(script), "x = 1\n").unwrap();
    merge(&folder, "out").assert().success();
    let mut names: Vec<_> = fs::read_dir(folder.path("out"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(
        names,
        [
            "README.md",
            "config.json",
            "generation_config.json",
            "mergekit_config.yml",
            "model.safetensors",
            script,
            "recipe.yaml"
        ]
    );
    let config = fs::read_to_string(folder.path("out/config.json")).unwrap();
    assert!(config.contains(r#""torch_dtype": "bfloat16""#));
    let recipe = |file: &str| fs::read_to_string(folder.path(file)).unwrap();
    assert_eq!(recipe("out/recipe.yaml"), recipe("recipe.yaml"));
    assert!(recipe("out/README.md").contains("| a | 0.75 |"));

    // The recipe in mergekit's language makes the same model.
    merger(&folder)
        .args(["merge", "--recipe", "out/mergekit_config.yml", "--output", &folder.uri("again")])
        .assert()
        .success();
    assert_eq!(pools::read(&folder.path("again")), pools::read(&folder.path("out")));
}

#[test]
fn a_complete_model_is_only_replaced_on_demand_and_leftovers_always() {
    let folder = folder();
    merge(&folder, "out").args(["--max-shard-size", "12KB"]).assert().success();
    assert!(folder.path("out/model-00002-of-00002.safetensors").exists());
    assert!(complaint(&mut merge(&folder, "out"), 65).contains("there is a model already"));
    merge(&folder, "out").arg("--overwrite").assert().success();
    assert!(!folder.path("out/model-00002-of-00002.safetensors").exists());
    assert!(!folder.path("out/model.safetensors.index.json").exists());
    fs::remove_file(folder.path("out/config.json")).unwrap();
    merge(&folder, "out").assert().success();
}

#[test]
fn several_recipes_are_merged_in_one_command() {
    let folder = folder();
    let other = folder.recipe(MergeMethod::Linear, &[0.5, 0.5]);
    fs::write(folder.path("other.yaml"), other.to_yaml().unwrap()).unwrap();
    let pair = |recipe: &str, output: &str| {
        ["--recipe".to_owned(), recipe.to_owned(), "--output".to_owned(), folder.uri(output)]
    };
    let mut both = merger(&folder);
    both.arg("merge").args(pair("recipe.yaml", "one")).args(pair("other.yaml", "two")).assert().success();
    merge(&folder, "alone").assert().success();
    merger(&folder).arg("merge").args(pair("other.yaml", "apart")).assert().success();
    assert_eq!(pools::read(&folder.path("one")), pools::read(&folder.path("alone")));
    assert_eq!(pools::read(&folder.path("two")), pools::read(&folder.path("apart")));

    let mut unpaired = merge(&folder, "three");
    let said = complaint(unpaired.args(["--recipe", "other.yaml"]), 65);
    assert!(said.contains("got 1 for 2 recipe(s)"), "{said}");
    let mut twice = merger(&folder);
    let twice = twice.arg("merge").args(pair("recipe.yaml", "four")).args(pair("other.yaml", "four"));
    assert!(complaint(twice, 65).contains("two merges go there"));
}

#[test]
fn parts_are_put_together_by_whoever_is_last() {
    let folder = folder();
    let part = |index: &str| {
        let mut part = merge(&folder, "out");
        part.args(["--shard-count", "2"]).env("JOB_COMPLETION_INDEX", index);
        String::from_utf8(part.assert().success().get_output().stdout.clone()).unwrap()
    };
    assert!(part("1").contains("other parts are still missing"));
    assert!(!folder.path("out/model.safetensors.index.json").exists());
    assert!(!part("0").contains("missing"));
    merge(&folder, "whole").env("JOB_COMPLETION_INDEX", "3").assert().success();
    assert_eq!(pools::read(&folder.path("out")), pools::read(&folder.path("whole")));
    let said = complaint(merge(&folder, "out").args(["--shard-count", "2", "--shard-index", "2"]), 65);
    assert!(said.contains("got 2 of 2 parts"), "{said}");
}

#[test]
fn inspect_shows_tensors_as_text_and_json() {
    let folder = folder();
    let text = merger(&folder).args(["inspect", &folder.uri("b")]).assert().success().get_output().clone();
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.contains("llama: 1 layers, 2 tensors, 12000 parameters"), "{text}");
    let json =
        merger(&folder).args(["inspect", &folder.uri("b"), "--json"]).assert().success().get_output().clone();
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["tensors"][0]["shape"], serde_json::json!([60, 100]));
    assert_eq!(json["files"].as_array().unwrap().len(), 2);
}

#[test]
fn bad_input_is_65_and_bad_usage_2() {
    let folder = folder();
    assert!(complaint(merger(&folder).args(["inspect", "gs://a/b"]), 2).contains("file:///absolute/folder"));
    assert!(complaint(merger(&folder).args(["merge", "--recipe", "recipe.yaml"]), 2).contains("--output"));
    assert!(complaint(merge(&folder, "out").args(["--endpoint-url", "nowhere"]), 2).contains("endpoint"));
    assert!(complaint(&mut merge(&folder, "a"), 65).contains("it is the place of checkpoint a"));
    let small = complaint(merge(&folder, "out").args(["--memory-budget", "10KB"]), 65);
    assert!(small.contains("needs at least"), "{small}");
    fs::write(folder.path("file"), "").unwrap();
    complaint(&mut merge(&folder, "file/out"), 65);
    fs::write(folder.path("recipe.yaml"), "method: linear").unwrap();
    assert!(complaint(&mut merge(&folder, "out"), 65).contains("recipe YAML"));
    assert!(!folder.path("out/model.safetensors").exists());
}

#[test]
fn a_server_that_cannot_be_reached_is_worth_a_retry() {
    let folder = folder();
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let endpoint = format!("http://127.0.0.1:{port}");
    let message =
        complaint(merger(&folder).args(["inspect", "s3://bucket/a", "--endpoint-url", &endpoint]), 75);
    assert!(message.contains("can't be reached (Connection refused"), "{message}");
}

#[rstest]
#[case(Mischief::None, 0)]
#[case(Mischief::BreaksOff, 2)]
#[case(Mischief::SendsLess, 2)]
#[case(Mischief::Busy, 1)]
fn what_passes_is_tried_again_and_no_byte_is_wrong(#[case] mischief: Mischief, #[case] times: usize) {
    let folder = folder();
    merge(&folder, "local").assert().success();
    s3_merge(&folder, mischief, times).assert().success();
    assert_eq!(pools::read(&folder.path("out")), pools::read(&folder.path("local")));
}

#[rstest]
#[case(Mischief::BreaksOff, 75, "storage failed")]
#[case(Mischief::SendsLess, 75, "bytes of the range, got")]
#[case(Mischief::WrongRange, 75, "expected the range")]
#[case(Mischief::IgnoresRange, 65, "the server ignores ranges")]
#[case(Mischief::IgnoresIfMatch, 65, "changed while in use: expected version \"one\", found \"two\"")]
fn what_stays_wrong_ends_the_merge_without_a_model(
    #[case] mischief: Mischief,
    #[case] code: i32,
    #[case] expected: &str,
) {
    let folder = folder();
    let message = complaint(&mut s3_merge(&folder, mischief, usize::MAX), code);
    assert!(message.contains(expected), "{message}");
    assert!(message.contains("s3://bucket/"), "{message}");
    assert!(!folder.path("out/model.safetensors").exists() && !folder.path("out/config.json").exists());
}

/// A merge that reads the same checkpoints through a server.
fn s3_merge(folder: &Folder, mischief: Mischief, times: usize) -> Command {
    merge_from_s3(folder, folder.recipe(MergeMethod::Linear, &[0.75, 0.25]), mischief, times)
}

/// The merge into `out` of that recipe, whose checkpoints are read through a server.
pub(crate) fn merge_from_s3(
    folder: &Folder,
    mut recipe: Recipe,
    mischief: Mischief,
    times: usize,
) -> Command {
    let endpoint = serve(folder.root.path(), mischief, times);
    for checkpoint in recipe.checkpoints.iter_mut().chain(&mut recipe.base) {
        checkpoint.uri = format!("s3://bucket/{}", checkpoint.name);
    }
    write_recipe(folder, &recipe);
    let mut command = merge(folder, "out");
    command.args(["--endpoint-url", &endpoint]);
    command
}
