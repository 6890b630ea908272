//! The recipe's own YAML, and telling it from mergekit's.

use mergesearch_recipe::{Recipe, YamlError};
use rstest::rstest;

const OWN: &str = "
method: task_arithmetic
checkpoints:
  - {name: a, uri: s3://pool/a}
  - {name: b, uri: file:///pool/b}
base: {name: base, uri: s3://pool/base}
groups:
  - select: {layers: {start: 0, end: 2}, name_contains: mlp}
    weights: [0.1, 1e-300]
    parameters: {lambda: 1.5}
  - weights: [0.30000000000000004, -2]
dtype: bfloat16
tokenizer_from: a
";

#[test]
fn own_format_round_trips_bit_for_bit() {
    let recipe = Recipe::from_yaml(OWN).unwrap();
    assert_eq!(recipe.groups[1].weights[0].to_bits(), 0.300_000_000_000_000_04_f64.to_bits());
    let text = recipe.to_yaml().unwrap();
    assert_eq!(Recipe::from_yaml(&text).unwrap(), recipe);
    let json = serde_json::to_string(&recipe).unwrap();
    assert_eq!(Recipe::from_yaml(&json).unwrap(), recipe);
}

#[test]
fn either_format_is_recognised() {
    let own = Recipe::from_yaml_any(OWN, "/", None).unwrap();
    assert_eq!(own, Recipe::from_yaml(OWN).unwrap());
    let mergekit = "{merge_method: linear, models: [{model: ./a, parameters: {weight: 2}}]}";
    let recipe = Recipe::from_yaml_any(mergekit, "/pool", None).unwrap();
    assert_eq!(
        (recipe.checkpoints[0].uri.as_str(), &recipe.groups[0].weights[..]),
        ("file:///pool/a", &[1.0][..])
    );
}

#[rstest]
#[case("dtype:", "dtyp:", "dtyp")]
#[case("method: task_arithmetic", "method: tsak", "tsak")]
#[case("name: b", "name: B", "checkpoint name \"B\"")]
#[case("lambda: 1.5", "lamda: 1.5", "lamda")]
#[case("[0.1, 1e-300]", "[0.1]", "groups[0].weights: expected 2 weights, one for each checkpoint, got 1")]
#[case("[0.1, 1e-300]", "[0.1, .nan]", "groups[0].weights: the weight of b is NaN")]
#[case("tokenizer_from: a", "tokenizer_from: z", "tokenizer_from names z")]
fn wrong_recipes_are_named(#[case] from: &str, #[case] to: &str, #[case] part: &str) {
    let error = Recipe::from_yaml_any(&OWN.replacen(from, to, 1), "/", None).unwrap_err();
    let sentence = error.to_string();
    assert!(sentence.contains(part) && sentence.lines().count() == 1, "{sentence}");
}

#[test]
fn what_is_no_mapping_is_no_recipe() {
    assert!(matches!(Recipe::from_yaml_any("- 1", "/", None), Err(YamlError::Yaml(_))));
}
