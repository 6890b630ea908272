//! Models with adapters in mergekit YAML: the adapter is the checkpoint, the model below it the recipe's base.

use mergesearch_recipe::Recipe;
use mergesearch_recipe::mergekit::read;
use rstest::rstest;

fn parse(text: &str) -> Result<Recipe, String> {
    read(text, "/home/me", Some(4)).map_err(|error| error.to_string())
}

fn uris(recipe: &Recipe) -> (Vec<&str>, Option<&str>) {
    let checkpoints = recipe.checkpoints.iter().map(|checkpoint| checkpoint.uri.as_str());
    (checkpoints.collect(), recipe.base.as_ref().map(|base| base.uri.as_str()))
}

const BASE: &str = "file:///home/me/base";
const ADAPTERS: [&str; 2] = ["file:///home/me/code", "file:///home/me/chat"];

#[rstest]
#[case::with_a_base_of_its_own("task_arithmetic", "base_model: ./base\n")]
#[case::with_no_base("linear", "")]
#[case::with_a_base_that_lends_its_tokenizer("linear", "base_model: ./base\n")]
fn adapters_of_one_model_are_merged_over_it(#[case] method: &str, #[case] more: &str) {
    let text = format!(
        "merge_method: {method}\n{more}models:
  - model: ./base+./code
    parameters: {{weight: 0.25}}
  - model: ./base+./chat
    parameters: {{weight: 0.75}}
"
    );
    let recipe = parse(&text).unwrap();
    assert_eq!(uris(&recipe), (ADAPTERS.to_vec(), Some(BASE)));
    assert_eq!(recipe.groups[0].weights, [0.25, 0.75]);
    assert_eq!(recipe.tokenizer_from, None);
}

#[test]
fn a_whole_model_may_stand_beside_an_adapter_of_it() {
    let text = "
merge_method: linear
models:
  - model: ./base
    parameters: {weight: 1}
  - model: ./base+./code
    parameters: {weight: 1}
";
    let recipe = parse(text).unwrap();
    assert_eq!(uris(&recipe), (vec![BASE, ADAPTERS[0]], Some(BASE)));
    assert_ne!(recipe.base.as_ref().unwrap().name, recipe.checkpoints[0].name);
}

#[test]
fn a_path_may_lead_from_a_model_to_an_adapter_of_it() {
    let text = "merge_method: slerp\nbase_model: ./base\nparameters: {t: 0.5}\nmodels: [{model: ./base+./code}, {model: ./base}]";
    assert_eq!(uris(&parse(text).unwrap()), (vec![BASE, ADAPTERS[0]], Some(BASE)));
}

#[rstest]
#[case::of_two_models(
    "merge_method: linear\nmodels: [{model: ./base+./code, parameters: {weight: 1}}, {model: ./other+./chat, parameters: {weight: 1}}]",
    "models.1.model: \"./other+./chat\" adds an adapter to file:///home/me/other, expected to file:///home/me/base as before"
)]
#[case::of_another_than_the_base(
    "merge_method: ties\nbase_model: ./base\nmodels: [{model: ./other+./chat, parameters: {weight: 1}}]",
    "models.0.model: \"./other+./chat\" adds an adapter to file:///home/me/other, expected to file:///home/me/base as before"
)]
#[case::on_the_base(
    "merge_method: ties\nbase_model: ./base+./code\nmodels: [{model: ./chat, parameters: {weight: 1}}]",
    "base_model: \"./base+./code\" adds an adapter to a model, expected a whole one"
)]
fn what_has_no_single_base_is_refused(#[case] text: &str, #[case] expected: &str) {
    let error = parse(text).unwrap_err();
    assert!(error.contains(expected), "{error}");
}
