//! Writing mergekit YAML: the exact text, and that reading it gives the same merge back.

use mergesearch_recipe::mergekit::{read, write};
use mergesearch_recipe::{
    Checkpoint, Dtype, Group, LayerRange, MergeMethod, Parameter, Parameters, Recipe, Selection,
    TensorPosition,
};
use proptest::prelude::*;
use rstest::rstest;

const LAYERS: u32 = 4;

/// Names as a model of [`LAYERS`] layers has them.
fn tensors() -> Vec<String> {
    let layers = (0..LAYERS).flat_map(|layer| {
        ["self_attn.q_proj", "mlp.up_proj", "input_layernorm"]
            .map(|part| format!("model.layers.{layer}.{part}.weight"))
    });
    let outside = ["model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"];
    layers.chain(outside.map(str::to_owned)).collect()
}

fn checkpoint(name: &str) -> Checkpoint {
    Checkpoint { name: name.try_into().unwrap(), uri: format!("file:///pool/{name}") }
}

fn group(layers: Option<(u32, u32)>, within_layers: bool, filter: Option<&str>, weights: &[f64]) -> Group {
    let layers = layers.map(|(start, end)| LayerRange { start, end });
    let select = Selection { layers, within_layers, name_contains: filter.map(str::to_owned) };
    Group { select, weights: weights.to_vec(), parameters: Parameters::default() }
}

fn recipe(method: MergeMethod, groups: Vec<Group>) -> Recipe {
    Recipe {
        method,
        checkpoints: vec![checkpoint("a"), checkpoint("b")],
        base: method.needs_base().then(|| checkpoint("base")),
        groups,
        dtype: Some(Dtype::Bfloat16),
        tokenizer_from: None,
        seed: 0,
        stack: Vec::new(),
    }
}

fn whole_model() -> Recipe {
    recipe(MergeMethod::Linear, vec![group(None, false, None, &[0.1, 0.9])])
}

fn filters() -> Recipe {
    let mut recipe = recipe(
        MergeMethod::TaskArithmetic,
        vec![group(None, false, Some("mlp"), &[1e-7, -0.5]), group(None, false, None, &[0.5, 0.25])],
    );
    recipe.groups[1].parameters.lambda = Some(0.75);
    recipe.tokenizer_from = Some("b".try_into().unwrap());
    recipe
}

fn blocks() -> Recipe {
    let groups = vec![
        group(None, false, Some("self_attn"), &[0.5, 0.5]),
        group(Some((0, 2)), false, None, &[0.75, 0.25]),
        group(Some((2, 4)), false, None, &[0.25, 0.75]),
    ];
    recipe(MergeMethod::Slerp, groups)
}

fn within_layers() -> Recipe {
    let groups = vec![group(Some((0, 4)), true, None, &[0.2, 0.8]), group(None, false, None, &[0.6, 0.4])];
    recipe(MergeMethod::Linear, groups)
}

#[rstest]
#[case(whole_model(), include_str!("golden/whole_model.yaml"))]
#[case(filters(), include_str!("golden/filters.yaml"))]
#[case(blocks(), include_str!("golden/blocks.yaml"))]
#[case(within_layers(), include_str!("golden/within_layers.yaml"))]
fn written_as_mergekit_expects(#[case] recipe: Recipe, #[case] golden: &str) {
    let text = write(&recipe, Some(LAYERS)).unwrap();
    assert_eq!(text, golden, "\n{text}");
    assert_same_merge(&recipe, &read(&text, "/", Some(LAYERS)).unwrap());
}

/// Every tensor of the model gets the same weights and parameters, from the same sources.
fn assert_same_merge(left: &Recipe, right: &Recipe) {
    assert_eq!(left.method, right.method);
    assert_eq!(left.checkpoints, right.checkpoints);
    assert_eq!(left.base, right.base);
    assert_eq!(left.dtype, right.dtype);
    assert_eq!(left.donor(), right.donor());
    for tensor in tensors() {
        let of = |recipe: &Recipe| {
            let group = recipe.group_for(&tensor, Some(LAYERS)).unwrap().clone();
            (group.weights, group.parameters.lambda.unwrap_or(1.0))
        };
        assert_eq!(of(left), of(right), "{tensor}");
    }
}

#[test]
fn a_base_that_lends_the_tokenizer_of_a_linear_merge_has_weight_0() {
    let mut recipe = whole_model();
    recipe.base = Some(checkpoint("base"));
    let text = write(&recipe, None).unwrap();
    let again = read(&text, "/", None).unwrap();
    assert_eq!(again.groups[0].weights, [0.1, 0.9, 0.0]);
    assert_eq!(again.donor(), Some(&checkpoint("base")));
}

#[rstest]
#[case(|recipe: &mut Recipe| recipe.checkpoints[1].uri = "file:///pool/a".into(), None,
    "mergekit YAML: models: mergekit takes a model only once, expected checkpoints at different places")]
#[case(|recipe: &mut Recipe| recipe.checkpoints[1].uri = "file:///pool/a@b".into(), None,
    "mergekit YAML: model b: \"/pool/a@b\": mergekit takes + and @ in a path for a LoRA and a revision; rename the folder")]
#[case(|recipe: &mut Recipe| recipe.groups = within_layers().groups, None,
    "mergekit YAML: slices: groups name layers, expected the model's number of layers to write them")]
#[case(|recipe: &mut Recipe| recipe.groups = vec![group(Some((0, 4)), false, None, &[0.5, 0.5])], Some(5),
    "mergekit YAML: slices: no group takes all tensors of layer 4 of a model with 5 layers")]
#[case(|recipe: &mut Recipe| recipe.method = MergeMethod::Multislerp, None,
    "mergekit YAML: merge_method: multislerp can't be written, expected linear, slerp or task_arithmetic")]
#[case(|recipe: &mut Recipe| recipe.groups[0].weights[0] = f64::NAN, None,
    "groups[0].weights: the weight of a is NaN, expected a finite number")]
fn refused_in_one_sentence(
    #[case] change: fn(&mut Recipe),
    #[case] layer_count: Option<u32>,
    #[case] sentence: &str,
) {
    let mut recipe = whole_model();
    change(&mut recipe);
    assert_eq!(write(&recipe, layer_count).unwrap_err().to_string(), sentence);
}

fn weight() -> impl Strategy<Value = f64> {
    prop_oneof![-2.0..2.0_f64, prop::num::f64::NORMAL.prop_map(|weight| weight % 1e6), Just(0.0)]
}

prop_compose! {
    /// A block of layers, perhaps without embeddings and head, and perhaps split by filters.
    fn block()(
        cuts in (0..LAYERS).prop_flat_map(|start| (Just(start), start + 1..=LAYERS)),
        within_layers: bool,
        bounded: bool,
        filter in prop::option::of(prop::sample::select(vec!["self_attn", "mlp", "weight", "norm"])),
        weights in prop::collection::vec(weight(), 2),
        lambda in prop::option::of(weight()),
    ) -> Group {
        let mut group = group(bounded.then_some(cuts), within_layers, filter, &weights);
        group.parameters.lambda = lambda;
        group
    }
}

prop_compose! {
    fn any_recipe()(
        method in prop::sample::select(vec![MergeMethod::Linear, MergeMethod::Slerp, MergeMethod::TaskArithmetic]),
        mut groups in prop::collection::vec(block(), 0..4),
        rest in prop::collection::vec(weight(), 2),
        donor in prop::option::of(0..2_usize),
    ) -> Recipe {
        groups.retain(|group| !group.select.is_everything());
        groups.push(group(None, false, None, &rest));
        for group in &mut groups {
            if method == MergeMethod::Slerp {
                let t = group.weights[1];
                group.weights = vec![1.0 - t, t];
            }
            group.parameters.lambda = group.parameters.lambda.filter(|_| method.takes(Parameter::Lambda));
        }
        let mut recipe = recipe(method, groups);
        recipe.tokenizer_from = donor.map(|donor| recipe.checkpoints[donor].name.clone());
        recipe
    }
}

proptest! {
    /// Whatever can be written reads back as the same merge, bit for bit; what can't be says so.
    #[test]
    fn written_recipes_read_back(recipe in any_recipe()) {
        prop_assume!(recipe.validate().is_ok());
        if let Ok(text) = write(&recipe, Some(LAYERS)) {
            assert_same_merge(&recipe, &read(&text, "/", Some(LAYERS)).unwrap());
        } else {
            // Only a layer with other filters than the embeddings or head beside it can't be written.
            prop_assert!(recipe.groups.iter().any(|group| group.select.within_layers));
        }
    }

    #[test]
    fn reading_never_panics(text in "(merge_method: linear\n)?[ -~\n]{0,200}") {
        let _ = read(&text, "/", Some(LAYERS));
    }
}

#[test]
fn the_model_in_these_tests_has_its_layers() {
    assert_eq!(TensorPosition::layer_count(tensors().iter().map(String::as_str)), Some(LAYERS));
}
