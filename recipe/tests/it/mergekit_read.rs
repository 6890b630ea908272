//! Reading mergekit YAML: mergekit's conventions, and one sentence for each thing that is refused.

use std::num::NonZeroU32;

use mergesearch_recipe::mergekit::{MergekitError, read};
use mergesearch_recipe::{Dtype, MergeMethod, Recipe, Tokens, Vocabulary};
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
#[case("tokenizer_source: /home/me/b", None)]
#[case("tokenizer_source: union", Some((Tokens::Union, None)))]
#[case("tokenizer: {}", Some((Tokens::Union, None)))]
#[case("tokenizer: {source: ./b, pad_to_multiple_of: 64}", Some((Tokens::Donor, Some(64))))]
fn vocabularies_are_read(#[case] line: &str, #[case] expected: Option<(Tokens, Option<u32>)>) {
    let vocabulary = parse(&format!("{LINEAR}{line}\n")).vocabulary;
    let multiple = |vocabulary: Vocabulary| vocabulary.pad_to_multiple_of.map(NonZeroU32::get);
    assert_eq!(vocabulary.map(|vocabulary| (vocabulary.tokens, multiple(vocabulary))), expected);
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
    "merge_method: \"linaer\" is not known, expected one of linear, slerp, task_arithmetic, nuslerp, multislerp, \
     karcher, ties, dare_linear, dare_ties, della, della_linear, breadcrumbs, breadcrumbs_ties, model_stock, nearswap, \
     sce, arcee_fusion, ram, ramplus_tl, consensus, passthrough"
)]
#[case::no_base("linear", "ties", "base_model: ties works on differences from a base, expected it here")]
#[case::no_start(
    "linear",
    "nearswap",
    "base_model: nearswap starts at one of its two models, expected it here"
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
    "models: weights sum to 0, which can't be normalised; expected another sum, or no normalising"
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
#[case::tokens(
    "merge_method:",
    "tokenizer: {source: union, tokens: {x: {source: ./b}}}\nmerge_method:",
    "tokenizer.tokens: rows can't be given to single tokens, expected source and pad_to_multiple_of alone"
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
    Some(
        "slices.0.sources.1.layer_range: [0, 4] isn't what the slice's first model has, expected the same layers of all models"
    )
)]
#[case(
    "0, 3",
    Some(
        "slices.0.sources.1.layer_range: [0, 4] isn't what the slice's first model has, expected the same layers of all models"
    )
)]
#[case(
    "0, 4000000000",
    Some("slices.0.sources.0.layer_range: [0, 4000000000] is no range of layers, expected [first, end]")
)]
fn a_slice_takes_the_same_layers_of_all(#[case] range: &str, #[case] sentence: Option<&str>) {
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

#[rstest]
#[case::whole("{model: /pool/a, layer_range: [0, 4]}", &[], 4)]
#[case::shortened("{model: /pool/a, layer_range: [0, 3]}", &[(0, 3)], 3)]
#[case::repeated("{model: /pool/a, layer_range: [0, 3]}]}, {sources: [{model: /pool/b, layer_range: [1, 4]}", &[(0, 3), (1, 4)], 6)]
#[case::in_two("{model: /pool/a, layer_range: [0, 3]}]}, {sources: [{model: /pool/b, layer_range: [3, 4]}", &[], 4)]
fn slices_stack_layers(#[case] slices: &str, #[case] stack: &[(u32, u32)], #[case] layers: u32) {
    let text = format!("merge_method: passthrough\nslices: [{{sources: [{slices}]}}]\n");
    let recipe = parse(&text);
    let ranges: Vec<_> = recipe.stack.iter().map(|range| (range.start, range.end)).collect();
    assert_eq!(ranges, stack);
    // Groups are by the output's layers.
    let last = recipe.group_for(&format!("layers.{}.x", layers - 1), Some(layers)).unwrap();
    let expected: &[f64] = if recipe.checkpoints.len() == 1 { &[1.0] } else { &[0.0, 1.0] };
    assert_eq!(last.weights, expected);
}

/// Whether the slices are the whole model can't be known without its layers.
#[test]
fn slices_in_the_models_order_ask_for_its_layers() {
    let text = "merge_method: passthrough\nslices: [{sources: [{model: /pool/a, layer_range: [0, 3]}]}]\n";
    let needed = MergekitError::LayersNeeded { uri: "file:///pool/a".to_owned() };
    assert_eq!(read(text, "/", None).unwrap_err(), needed);
}

#[test]
fn slices_without_the_base_are_refused_where_it_is_optional() {
    let sources = "{model: /pool/a, layer_range: [0, 4]}, {model: /pool/b, layer_range: [0, 4]}";
    let text = |more: &str| {
        format!(
            "merge_method: multislerp\nbase_model: /pool/base\nparameters: {{weight: 0.5}}\n\
             slices: [{{sources: [{sources}{more}]}}]\n"
        )
    };
    assert!(read(&text(", {model: /pool/base, layer_range: [0, 4]}"), "/", Some(4)).is_ok());
    let error = read(&text(""), "/", Some(4)).unwrap_err().to_string();
    assert!(error.contains("slices.0.sources: without the base"), "{error}");
}

#[test]
fn slices_stack_only_so_many_layers() {
    let slice = "{sources: [{model: /pool/a, layer_range: [0, 9000]}]}";
    let text = format!("merge_method: passthrough\nslices: [{slice}, {slice}]\n");
    let error = read(&text, "/", None).unwrap_err().to_string();
    assert!(error.contains("slices.1.sources: the slices stack more than 10000 layers"), "{error}");
}

#[test]
fn shared_parameters_with_filters_fall_back_to_their_defaults() {
    let recipe = parse(
        "merge_method: task_arithmetic\nbase_model: /pool/base\nmodels: [{model: /pool/a}]\n\
         parameters: {weight: 1, lambda: [{filter: mlp, value: 2}]}\n",
    );
    let lambda = |tensor: &str| recipe.group_for(tensor, Some(4)).unwrap().parameters.lambda;
    assert_eq!((lambda("layers.0.mlp.x"), lambda("layers.0.norm")), (Some(2.0), Some(1.0)));
}

#[test]
fn layers_that_no_model_has_are_refused() {
    let text = "merge_method: passthrough\nslices: [{sources: [{model: /pool/a, layer_range: [2, 5]}]}]\n";
    let error = read(text, "/", Some(4)).unwrap_err().to_string();
    assert_eq!(error, "mergekit YAML: slices.0.sources.0.layer_range: [2, 5] goes past the models' 4 layers");
}

#[test]
fn the_model_that_nearswap_starts_at_takes_part_without_being_listed() {
    let text =
        "merge_method: nearswap\nbase_model: /pool/a\nmodels: [{model: /pool/b}]\nparameters: {t: 0.1}\n";
    let recipe = parse(text);
    assert_eq!(recipe.checkpoints[0].name.as_str(), "a");
    assert_eq!(recipe.groups[0].weights, [1.0, 1.0]);
}

#[rstest]
#[case("karcher", "max_iter: 2.5", "mergekit YAML: models: max_iter: expected a whole number")]
#[case("model_stock", "filter_wise: 3", "mergekit YAML: models: filter_wise: expected true or false")]
#[case(
    "ties",
    "density: 0.5",
    "mergekit YAML: models of a: weight: no value for every tensor, expected one without a filter"
)]
#[case(
    "ties",
    "weight: 1, density: 0",
    "groups[0].parameters.density: got 0, expected more than 0 and at most 1"
)]
#[case(
    "della",
    "weight: 1, density: 0.1",
    "groups[0].parameters: density 0.1 and epsilon 0.15 of a make probabilities outside of 0 to 1, expected a smaller epsilon, or density 1 to keep everything"
)]
#[case("nearswap", "t: -1", "groups[0].parameters.t: got -1, expected a finite number of at least 0")]
#[case("nearswap", "{}", "groups[0].parameters: nearswap needs t")]
fn parameters_out_of_their_range_are_refused(
    #[case] method: &str,
    #[case] parameters: &str,
    #[case] sentence: &str,
) {
    let base = if method == "karcher" { "/pool/a" } else { "/pool/base" };
    let parameters = parameters.trim_matches(['{', '}']);
    let models =
        if method == "nearswap" { "[{model: /pool/a}]" } else { "[{model: /pool/a}, {model: /pool/b}]" };
    let text = format!(
        "merge_method: {method}\nbase_model: {base}\nmodels: {models}\nparameters: {{{parameters}}}\n"
    );
    assert_eq!(read(&text, "/", None).unwrap_err().to_string(), sentence);
}

/// Every method with its parameters: what its weights become, and what its parameters are.
#[rstest]
#[case("nuslerp", "", "{weight: 1}", "{weight: 3}", "{nuslerp_flatten: false, nuslerp_row_wise: true}",
    &[0.25, 0.75], "nuslerp_flatten: false, nuslerp_row_wise: true")]
#[case("nuslerp", "base_model: /pool/base", "{weight: 1}", "{weight: -1}", "{}", &[0.5, 0.5], "")]
#[case("multislerp", "", "{weight: 1}", "{weight: 3}", "{eps: 0.5}", &[0.25, 0.75], "eps: 0.5")]
#[case("multislerp", "", "{weight: 1}", "{weight: 3}", "{normalize_weights: false}", &[1.0, 3.0], "")]
#[case("karcher", "", "{}", "{}", "{max_iter: 7, tol: 1e-3}", &[0.5, 0.5], "max_iter: 7, tol: 0.001")]
#[case("ties", "base_model: /pool/base", "{weight: 1, density: 0.5}", "{weight: 3}", "{density: 0.25, int8_mask: true}",
    &[1.0, 3.0], "density: [0.5, 0.25]")]
#[case("ties", "base_model: /pool/base", "{weight: 1}", "{weight: 3}", "{normalize: false, rescale: true, lambda: 0.5}",
    &[1.0, 3.0], "lambda: 0.5, normalize: false, rescale: l1")]
#[case("dare_ties", "base_model: /pool/base", "{weight: 1}", "{weight: 3}", "{density: 0.5, rescale: true}",
    &[1.0, 3.0], "density: 0.5, rescale: inverse")]
#[case("dare_linear", "base_model: /pool/base", "{weight: 1}", "{weight: 3}", "{normalize: true, rescale: false}",
    &[0.25, 0.75], "rescale: none")]
#[case("della", "base_model: /pool/base", "{weight: 1, epsilon: 0.1}", "{weight: 3}", "{density: 0.5}",
    &[1.0, 3.0], "density: 0.5, epsilon: [0.1, 0.15]")]
#[case("della_linear", "base_model: /pool/base", "{weight: 1}", "{weight: 3}", "{density: 0.5, epsilon: 0.2}",
    &[1.0, 3.0], "density: 0.5, epsilon: 0.2")]
#[case("breadcrumbs", "base_model: /pool/base", "{weight: 1}", "{weight: 3}", "{density: 0.5, gamma: 0.02}",
    &[1.0, 3.0], "density: 0.5, gamma: 0.02")]
#[case("breadcrumbs_ties", "base_model: /pool/base", "{weight: 1}", "{weight: 3}", "{normalize: true}",
    &[1.0, 3.0], "normalize: true")]
#[case("model_stock", "base_model: /pool/base", "{}", "{}", "{filter_wise: true}", &[1.0, 1.0], "filter_wise: true")]
#[case("nearswap", "base_model: ./b", "{}", "{}", "{t: 0.001}", &[1.0, 1.0], "t: 0.001")]
#[case("sce", "base_model: /pool/base", "{}", "{}", "{select_topk: 0.1, int8_mask: true}", &[1.0, 1.0], "select_topk: 0.1")]
#[case("arcee_fusion", "base_model: ./b", "{}", "{}", "{}", &[1.0, 1.0], "")]
#[case("ram", "base_model: /pool/base", "{}", "{}", "{epsilon: 1e-4}", &[1.0, 1.0], "epsilon: 0.0001")]
#[case("ramplus_tl", "base_model: /pool/base", "{}", "{}", "{r: 0.5, alpha: 0.25}", &[1.0, 1.0], "r: 0.5, alpha: 0.25")]
#[case("consensus", "base_model: /pool/base", "{weight: 1}", "{weight: 3}", "{mask_lambda: 0.5, agreement: 1}",
    &[1.0, 3.0], "mask_lambda: 0.5, agreement: 1")]
fn methods_are_read_with_their_parameters(
    #[case] method: &str,
    #[case] base: &str,
    #[case] first: &str,
    #[case] second: &str,
    #[case] shared: &str,
    #[case] weights: &[f64],
    #[case] parameters: &str,
) {
    let text = format!(
        "merge_method: {method}\n{base}\nmodels:\n  - model: /pool/a\n    parameters: {first}\n  - model: ./b\n    \
         parameters: {second}\nparameters: {shared}\n"
    );
    let recipe = parse(&text);
    assert_eq!(recipe.method.as_str(), method);
    assert_eq!(recipe.base.is_some(), base.contains("/pool/base"));
    let first = if base.contains("./b") { "b" } else { "a" };
    assert_eq!(recipe.checkpoints[0].name.as_str(), first);
    assert_eq!(recipe.groups[0].weights, weights);
    let expected = Recipe::from_yaml(&format!(
        "method: {method}\ncheckpoints: [{{name: a, uri: 'file:///a'}}, {{name: b, uri: 'file:///b'}}]\n\
         base: {{name: base, uri: 'file:///base'}}\n\
         groups: [{{weights: {weights:?}, parameters: {{{parameters}}}}}]\n"
    ));
    assert_eq!(recipe.groups[0].parameters, expected.unwrap().groups[0].parameters);
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
