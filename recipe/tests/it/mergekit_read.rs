//! Reading mergekit YAML: mergekit's conventions, and one sentence for each thing that is refused.

use mergesearch_recipe::mergekit::{MergekitError, read};
use mergesearch_recipe::{Dtype, MergeMethod, Recipe};
use rstest::rstest;

const LINEAR: &str = "
merge_method: linear
models:
  - model: /pool/a
    parameters: {weight: 1}
  - model: ./b
    parameters: {weight: 3.0}
";

fn parse(text: &str) -> Recipe {
    read(text, "/home/me", Some(4)).unwrap()
}

fn weights<'a>(recipe: &'a Recipe, tensor: &str) -> &'a [f64] {
    &recipe.group_for(tensor, Some(4)).unwrap().weights
}

#[test]
fn linear_is_normalised_by_default() {
    let recipe = parse(LINEAR);
    assert_eq!(recipe.method, MergeMethod::Linear);
    let uris: Vec<_> = recipe.checkpoints.iter().map(|c| (c.name.as_str(), c.uri.as_str())).collect();
    assert_eq!(uris, [("a", "file:///pool/a"), ("b", "file:///home/me/b")]);
    assert_eq!(recipe.groups.len(), 1);
    assert_eq!(recipe.groups[0].weights, [0.25, 0.75]);
    assert_eq!((recipe.base, recipe.dtype, recipe.tokenizer_from), (None, None, None));
}

#[test]
fn linear_as_it_stands_without_normalising() {
    let recipe = parse(&format!("{LINEAR}parameters: {{normalize: false}}\n"));
    assert_eq!(recipe.groups[0].weights, [1.0, 3.0]);
}

#[test]
fn base_model_of_a_linear_merge_lends_the_tokenizer() {
    let recipe = parse(&format!("{LINEAR}base_model: ./b\ndtype: float32\nout_dtype: bfloat16\n"));
    assert_eq!(recipe.tokenizer_from, Some("b".try_into().unwrap()));
    assert_eq!(recipe.dtype, Some(Dtype::Bfloat16));
}

#[test]
fn task_arithmetic_takes_the_base_out_of_the_pool_and_does_not_normalise() {
    let recipe = parse(
        "
merge_method: task_arithmetic
base_model: /pool/base
models:
  - model: /pool/base
  - model: /pool/x/a
    parameters: {weight: 1e-1, density: 1}
  - model: /pool/y/a
parameters: {weight: 0.7, lambda: 1.5, int8_mask: true}
dtype: float16
",
    );
    assert_eq!(recipe.base.as_ref().unwrap().name.as_str(), "base");
    let names: Vec<_> = recipe.checkpoints.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names, ["a", "a-2"]);
    assert_eq!(recipe.groups[0].weights, [0.1, 0.7]);
    assert_eq!(recipe.groups[0].parameters.lambda, Some(1.5));
    assert_eq!(recipe.dtype, Some(Dtype::Float16));
}

/// The example of mergekit's own documentation, with filters and gradients.
#[test]
fn slerp_with_gradients_by_filter() {
    let text = "
slices:
  - sources:
      - {model: /pool/a, layer_range: [0, 4]}
      - {model: /pool/b, layer_range: [0, 4]}
merge_method: slerp
base_model: /pool/b
parameters:
  t:
    - {filter: self_attn, value: [0, 0.5, 0.3]}
    - {filter: mlp, value: [1, 0.5]}
    - value: 0.5
dtype: bfloat16
";
    let recipe = parse(text);
    assert_eq!(recipe.checkpoints[0].name.as_str(), "b");
    let t = |tensor: &str| weights(&recipe, tensor)[1];
    let expected = [
        ("model.layers.0.self_attn.q_proj.weight", 0.0),
        // A third of the way through [0, 0.5, 0.3] is two thirds of the way to its second number.
        ("model.layers.1.self_attn.q_proj.weight", 1.0 / 3.0),
        ("model.layers.3.self_attn.q_proj.weight", 0.3),
        ("model.layers.0.mlp.up_proj.weight", 1.0),
        ("model.layers.3.mlp.up_proj.weight", 0.5),
        ("model.layers.2.input_layernorm.weight", 0.5),
        ("model.embed_tokens.weight", 0.5),
        ("lm_head.weight", 0.5),
    ];
    for (tensor, value) in expected {
        assert!((t(tensor) - value).abs() < 1e-12, "{tensor}: {}", t(tensor));
    }
}

#[test]
fn embeddings_norm_and_head_take_a_gradients_first_value() {
    let text = "
merge_method: linear
models:
  - {model: /pool/a, parameters: {weight: [0.1, 0.4]}}
  - {model: /pool/b, parameters: {weight: 0.5}}
parameters: {normalize: false}
";
    let recipe = parse(text);
    for (tensor, weight) in
        [("model.embed_tokens.weight", 0.1), ("model.norm.weight", 0.1), ("layers.3.x", 0.4)]
    {
        assert_eq!(weights(&recipe, tensor), [weight, 0.5], "{tensor}");
    }
    let needed = read(text, "/home/me", None).unwrap_err();
    assert_eq!(needed, MergekitError::LayersNeeded { uri: "file:///pool/a".to_owned() });
}

#[test]
fn a_gradient_over_one_layer_ends_at_once() {
    let text = "
merge_method: linear
slices:
  - sources:
      - {model: /pool/a, layer_range: [0, 1], parameters: {weight: [0.1, 0.4]}}
      - {model: /pool/b, layer_range: [0, 1], parameters: {weight: 0.5}}
  - sources:
      - {model: /pool/b, layer_range: [1, 4]}
    parameters: {weight: 0.9}
parameters: {normalize: false}
";
    let recipe = parse(text);
    assert_eq!(weights(&recipe, "model.embed_tokens.weight"), [0.1, 0.5]);
    assert_eq!(weights(&recipe, "model.layers.0.mlp.x"), [0.4, 0.5]);
    // A model that is not among a slice's sources takes no part in it.
    assert_eq!(weights(&recipe, "model.layers.3.mlp.x"), [0.0, 0.9]);
    assert_eq!(weights(&recipe, "lm_head.weight"), [0.0, 0.9]);
}

#[test]
fn filters_fall_through_to_wider_scopes() {
    let text = "
merge_method: linear
models:
  - {model: /pool/a, parameters: {weight: [{filter: mlp, value: 0.2}]}}
  - {model: /pool/b, parameters: {weight: 0.5}}
parameters: {normalize: false, weight: [{filter: mlp, value: 9}, {filter: '*', value: 0.3}, {filter: q, value: 7}]}
";
    let recipe = parse(text);
    assert_eq!(weights(&recipe, "layers.0.mlp.up_proj.weight"), [0.2, 0.5]);
    assert_eq!(weights(&recipe, "layers.0.q_proj.weight"), [0.3, 0.5]);
}

#[rstest]
#[case("tokenizer_source: base", None)]
#[case("tokenizer_source: /pool/a", None)]
#[case("tokenizer_source: /home/me/b", Some("b"))]
#[case("tokenizer: {source: ./b}", Some("b"))]
fn tokenizer_source_is_read(#[case] line: &str, #[case] name: Option<&str>) {
    let expected = name.map(|name| name.try_into().unwrap());
    assert_eq!(parse(&format!("{LINEAR}{line}\n")).tokenizer_from, expected);
}

#[rstest]
#[case::typo("weight: 3.0", "weigth: 3.0", "unknown key models.1.parameters.weigth; did you mean weight?")]
#[case::top_level(
    "merge_method:",
    "mergemethod: x\nmerge_method:",
    "unknown key mergemethod; did you mean merge_method?"
)]
#[case::nothing_near("merge_method:", "zzz: 1\nmerge_method:", "unknown key zzz")]
#[case::in_a_filter(
    "{weight: 1}",
    "{weight: [{filtr: a, value: 1}]}",
    "unknown key models.0.parameters.weight.0.filtr; did you mean filter?"
)]
#[case::of_another_method(
    "{weight: 1}",
    "{weight: 1, density: 0.5}",
    "unknown key models.0.parameters.density"
)]
#[case::method(
    "linear",
    "linaer",
    "merge_method: \"linaer\" is not known, expected linear, slerp or task_arithmetic"
)]
#[case::not_computed(
    "linear",
    "ties",
    "merge_method: ties can't be merged, expected linear, slerp or task_arithmetic"
)]
#[case::lora(
    "./b",
    "./b+./lora",
    "models.1.model: \"./b+./lora\" adds a LoRA to a model, expected one whole checkpoint"
)]
#[case::hub(
    "./b",
    "org/b",
    "models.1.model: \"org/b\" is a model of the hub, which is not fetched; expected a path (./org/b for a folder beside the YAML) or a URI"
)]
#[case::nan("3.0", ".nan", "models of b: weight: expected a finite number or a list of them, got NaN")]
#[case::infinite(
    "3.0",
    "[1, .inf]",
    "models of b: weight: expected a finite number or a list of them, got [1, inf]"
)]
#[case::sum(
    "3.0",
    "-1",
    "models: weights sum to 0, which can't be normalised; expected another sum, or normalize: false"
)]
#[case::no_weight(
    "    parameters: {weight: 3.0}\n",
    "",
    "models of b: weight: no value for every tensor, expected one without a filter"
)]
#[case::no_default(
    "3.0",
    "[{filter: mlp, value: 1}]",
    "models of b: weight: no value for every tensor, expected one without a filter"
)]
#[case::filters(
    "{weight: 1}",
    "{weight: [{filter: q, value: 1}, {value: 2}]}\n  - model: /pool/c\n    parameters: {weight: [{filter: k, value: 1}, {value: 2}]}",
    "models.parameters: filters differ between parameters, expected the same in the same order for each that has any"
)]
#[case::twice("./b", "/pool/a/", "models.1.model: /pool/a/ is listed twice")]
#[case::union(
    "merge_method:",
    "tokenizer_source: union\nmerge_method:",
    "tokenizer_source: vocabularies are not joined, expected base or one of the models"
)]
#[case::union_by_default(
    "merge_method:",
    "tokenizer: {}\nmerge_method:",
    "tokenizer.source: vocabularies are not joined, expected base or one of the models"
)]
#[case::template(
    "merge_method:",
    "chat_template: auto\nmerge_method:",
    "chat_template: the output keeps its tokenizer's template; leave it out"
)]
#[case::stranger(
    "merge_method:",
    "base_model: /pool/c\nmerge_method:",
    "base_model: linear merges it like every model, expected it in the list with a weight"
)]
#[case::slerp_without_base(
    "linear",
    "slerp",
    "base_model: slerp starts at one of its two models, expected it here"
)]
#[case::dtype(
    "merge_method:",
    "dtype: int4\nmerge_method:",
    "dtype: \"int4\" is not known, expected bfloat16, float16, float32 or float64"
)]
#[case::modules(
    "merge_method:",
    "modules: {}\nmerge_method:",
    "modules: models of several modules can't be merged"
)]
#[case::both("merge_method:", "slices: []\nmerge_method:", "models: expected either models or slices")]
#[case::layer_range(
    "  - model: ./b",
    "  - model: ./b\n    layer_range: [0, 4]",
    "models.1.layer_range: models are merged whole, expected it in slices"
)]
fn refused_in_one_sentence(#[case] from: &str, #[case] to: &str, #[case] sentence: &str) {
    let text = LINEAR.replacen(from, to, 1);
    assert_ne!(text, LINEAR, "the case changes nothing");
    assert_eq!(
        read(&text, "/home/me", Some(4)).unwrap_err().to_string(),
        format!("mergekit YAML: {sentence}")
    );
}

#[rstest]
#[case("0, 4", None)]
#[case("4, 0", Some("slices.0.sources.0.layer_range: [4, 0] is no range of layers, expected [first, end]"))]
#[case(
    "1, 4",
    Some("slices.0.sources.0.layer_range: [1, 4] stacks layers anew, expected the model's own order from 0")
)]
#[case(
    "0, 3",
    Some("slices.0.sources.1.layer_range: [0, 4] stacks layers anew, expected the model's own order from 0")
)]
#[case(
    "0, 4000000000",
    Some("slices.0.sources.0.layer_range: [0, 4000000000] is no range of layers, expected [first, end]")
)]
fn slices_keep_the_models_order(#[case] range: &str, #[case] sentence: Option<&str>) {
    let text = format!(
        "
merge_method: linear
parameters: {{weight: 1}}
slices:
  - sources:
      - {{model: /pool/a, layer_range: [{range}]}}
      - {{model: /pool/b, layer_range: [0, 4]}}
"
    );
    let got = read(&text, "/", Some(4)).map_err(|error| error.to_string());
    assert_eq!(got.err(), sentence.map(|sentence| format!("mergekit YAML: {sentence}")));
}

#[test]
fn slices_end_with_the_model() {
    let text = "
merge_method: linear
parameters: {weight: 1}
slices: [{sources: [{model: /pool/a, layer_range: [0, 3]}]}]
";
    let error = read(text, "/", Some(4)).unwrap_err().to_string();
    assert_eq!(error, "mergekit YAML: slices: they end at layer 3, the models have 4");
}

#[rstest]
#[case("0.5", "parameters.density: 0.5: task_arithmetic keeps differences whole, expected 1 or no density")]
#[case("1.5", "parameters.density: 1.5: task_arithmetic keeps differences whole, expected 1 or no density")]
fn density_without_effect_is_refused(#[case] density: &str, #[case] sentence: &str) {
    let text = format!(
        "
merge_method: task_arithmetic
base_model: /pool/base
models: [{{model: /pool/a}}]
parameters: {{weight: 1, density: {density}}}
"
    );
    let error = read(&text, "/", None).unwrap_err().to_string();
    assert_eq!(error, format!("mergekit YAML: {sentence}"));
}

#[rstest]
#[case("")]
#[case("merge_method: [")]
#[case("merge_method: linear\nmodels: {a: 1}")]
#[case("merge_method: linear\nmodels: [{model: /a, parameters: {weight: heavy}}]")]
#[case("merge_method: linear\nmerge_method: slerp")]
fn broken_yaml_is_an_error_in_one_line(#[case] text: &str) {
    let error = read(text, "/", None).unwrap_err();
    assert!(matches!(error, MergekitError::Yaml(_)), "{error:?}");
    assert_eq!(error.to_string().lines().count(), 1, "{error}");
}
