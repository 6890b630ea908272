//! Writing mergekit YAML: the exact text, and that reading it gives the same merge back.

use std::num::NonZeroU32;

use mergesearch_recipe::mergekit::{read, write};
use mergesearch_recipe::{
    Checkpoint, Dtype, Group, LayerRange, MergeMethod, Parameter, Parameters, PerCheckpoint, Recipe, Rescale,
    Selection, TensorPosition, Tokens, Vocabulary,
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
        vocabulary: None,
        align: None,
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
    assert_eq!(left.vocabulary, right.vocabulary);
    for tensor in tensors() {
        let of = |recipe: &Recipe| {
            let group = recipe.group_for(&tensor, Some(LAYERS)).unwrap().clone();
            let mut silent = recipe.clone();
            silent.groups = vec![Group { select: Selection::default(), ..group.clone() }];
            silent.groups[0].weights = vec![0.0; recipe.checkpoints.len()];
            // The canonical form has every default in its place.
            (group.weights, silent.canonical())
        };
        let (ours, theirs) = (of(left), of(right));
        assert_eq!(ours.1, theirs.1, "{tensor}");
        // nuslerp's weights come back from their own sum.
        let near = |(ours, theirs): (&f64, &f64)| (ours - theirs).abs() <= 1e-12 * ours.abs();
        let same = if left.method == MergeMethod::Nuslerp {
            ours.0.iter().zip(&theirs.0).all(near)
        } else {
            ours.0 == theirs.0
        };
        assert!(same, "{tensor}: {ours:?} {theirs:?}");
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
#[case(|recipe: &mut Recipe| { recipe.method = MergeMethod::Consensus; recipe.base = Some(checkpoint("base")); }, None,
    "mergekit YAML: merge_method: mergekit has no consensus")]
#[case(|recipe: &mut Recipe| recipe.method = MergeMethod::Karcher, None,
    "mergekit YAML: models: mergekit's karcher merges all models alike, this recipe doesn't")]
#[case(|recipe: &mut Recipe| recipe.dtype = Some(Dtype::Float8E5m2), None,
    "mergekit YAML: out_dtype: mergekit has no types of 8 bits")]
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

fn fraction() -> impl Strategy<Value = PerCheckpoint> {
    let fraction = || 0.2..0.8_f64;
    prop_oneof![
        fraction().prop_map(PerCheckpoint::All),
        prop::collection::vec(fraction(), 2).prop_map(PerCheckpoint::Each)
    ]
}

prop_compose! {
    /// Parameters of all methods; each method keeps its own.
    fn parameters()(
        lambda in prop::option::of(weight()),
        density in prop::option::of(fraction()),
        gamma in prop::option::of(fraction()),
        normalize: Option<bool>,
        rescaled: Option<bool>,
        numbers in prop::collection::vec(prop::option::of(0.0..1.0_f64), 6),
        filter_wise: Option<bool>,
        nuslerp_flatten: Option<bool>,
        epsilon in prop::option::of(0.0..0.1_f64),
    ) -> Parameters {
        Parameters {
            lambda,
            density,
            gamma,
            epsilon: epsilon.map(PerCheckpoint::All),
            normalize,
            rescale: rescaled.map(|rescaled| if rescaled { Rescale::Inverse } else { Rescale::None }),
            t: Some(numbers[0].unwrap_or(0.5)),
            select_topk: numbers[1].map(|number| number.max(0.1)),
            filter_wise,
            nuslerp_flatten,
            nuslerp_row_wise: nuslerp_flatten.map(|flatten| !flatten),
            tol: numbers[2],
            eps: numbers[3],
            r: numbers[4],
            alpha: numbers[5],
            ..Parameters::default()
        }
    }
}

/// Without what the method doesn't know, and with what fits it.
fn fit(method: MergeMethod, group: &mut Group) {
    let (own, t) = (std::mem::take(&mut group.parameters), group.weights[1]);
    let takes = |parameter| method.takes(parameter);
    let rescale = own.rescale.map(|rescale| match rescale {
        Rescale::Inverse if !method.is_random() => Rescale::L1,
        rescale => rescale,
    });
    group.parameters = Parameters {
        lambda: own.lambda.filter(|_| takes(Parameter::Lambda)),
        density: own.density.filter(|_| takes(Parameter::Density)),
        gamma: own.gamma.filter(|_| takes(Parameter::Gamma)),
        epsilon: own.epsilon.filter(|_| takes(Parameter::Epsilon)),
        normalize: own.normalize.filter(|_| takes(Parameter::Normalize)),
        rescale: rescale.filter(|_| takes(Parameter::Rescale)),
        t: own.t.filter(|_| takes(Parameter::T)),
        select_topk: own.select_topk.filter(|_| takes(Parameter::SelectTopk)),
        filter_wise: own.filter_wise.filter(|_| takes(Parameter::FilterWise)),
        nuslerp_flatten: own.nuslerp_flatten.filter(|_| takes(Parameter::NuslerpFlatten)),
        nuslerp_row_wise: own.nuslerp_row_wise.filter(|_| takes(Parameter::NuslerpRowWise)),
        tol: own.tol.filter(|_| takes(Parameter::Tol)),
        eps: own.eps.filter(|_| takes(Parameter::Eps)),
        r: own.r.filter(|_| takes(Parameter::R)),
        alpha: own.alpha.filter(|_| takes(Parameter::Alpha)),
        ..Parameters::default()
    };
    if method == MergeMethod::Nearswap && group.parameters.t.is_none() {
        group.parameters.t = Some(0.5);
    }
    if method.interpolates() {
        group.weights = vec![1.0 - t, t];
    } else if !method.has_weights() {
        group.weights = vec![1.0, 1.0];
    } else if method == MergeMethod::Karcher {
        group.weights = vec![0.5, 0.5];
    }
}

prop_compose! {
    /// A block of layers, perhaps without embeddings and head, and perhaps split by filters.
    fn block()(
        cuts in (0..LAYERS).prop_flat_map(|start| (Just(start), start + 1..=LAYERS)),
        within_layers: bool,
        bounded: bool,
        filter in prop::option::of(prop::sample::select(vec!["self_attn", "mlp", "weight", "norm"])),
        weights in prop::collection::vec(weight(), 2),
        parameters in parameters(),
    ) -> Group {
        let mut group = group(bounded.then_some(cuts), within_layers, filter, &weights);
        group.parameters = parameters;
        group
    }
}

prop_compose! {
    fn any_recipe()(
        // Models that passthrough leaves out aren't written, and so not read back.
        method in prop::sample::select(MergeMethod::ALL.to_vec())
            .prop_filter("not all", |method| *method != MergeMethod::Passthrough),
        mut groups in prop::collection::vec(block(), 0..4),
        rest in prop::collection::vec(weight(), 2),
        donor in prop::option::of(0..2_usize),
        vocabulary in prop::option::of((any::<bool>(), prop::option::of(1_u32..200))),
    ) -> Recipe {
        groups.retain(|group| !group.select.is_everything());
        groups.push(group(None, false, None, &rest));
        for group in &mut groups {
            fit(method, group);
        }
        let mut recipe = recipe(method, groups);
        recipe.tokenizer_from = donor.map(|donor| recipe.checkpoints[donor].name.clone());
        recipe.vocabulary = vocabulary.map(|(union, multiple)| Vocabulary {
            tokens: if union { Tokens::Union } else { Tokens::Donor },
            pad_to_multiple_of: multiple.and_then(NonZeroU32::new),
        });
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
            // Only a layer with other filters than the embeddings or head beside it can't be written, and what's ours.
            let apart = recipe.groups.iter().any(|group| group.select.within_layers);
            // mergekit's union needs a base to begin with.
            let union = recipe.vocabulary.is_some_and(|vocabulary| vocabulary.tokens == Tokens::Union);
            prop_assert!(apart || union || recipe.method == MergeMethod::Consensus);
        }
    }

    #[test]
    fn reading_never_panics(text in "(merge_method: linear\n)?[ -~\n]{0,200}") {
        let _ = read(&text, "/", Some(LAYERS));
    }
}

/// mergekit adds the base to models by itself, but not to slices.
#[rstest]
#[case(MergeMethod::TaskArithmetic)]
#[case(MergeMethod::Multislerp)]
#[case(MergeMethod::Nuslerp)]
fn slices_list_the_base(#[case] method: MergeMethod) {
    let groups =
        vec![group(Some((0, 2)), false, None, &[0.25, 0.75]), group(Some((2, 4)), false, None, &[0.5, 0.5])];
    let mut recipe = recipe(method, groups);
    recipe.base = Some(checkpoint("base"));
    let text = write(&recipe, Some(LAYERS)).unwrap();
    assert_eq!(text.matches("- model: /pool/base\n").count(), 2, "{text}");
    assert_same_merge(&recipe, &read(&text, "/", Some(LAYERS)).unwrap());
}

#[test]
fn layers_scaled_to_zeros_are_written() {
    let groups =
        vec![group(Some((0, 4)), false, Some("o_proj"), &[0.0, 0.0]), group(None, false, None, &[0.0, 1.0])];
    let mut recipe = recipe(MergeMethod::Passthrough, groups);
    recipe.tokenizer_from = Some("b".try_into().unwrap());
    let again = read(&write(&recipe, Some(LAYERS)).unwrap(), "/", Some(LAYERS)).unwrap();
    let scale = |tensor: &str| again.group_for(tensor, Some(LAYERS)).unwrap().weights.clone();
    assert_eq!((scale("model.layers.1.o_proj.weight"), scale("model.norm.weight")), (vec![0.0], vec![1.0]));
}

#[test]
fn stacked_layers_are_written_as_slices() {
    let mut recipe = recipe(
        MergeMethod::Passthrough,
        vec![group(Some((0, 3)), false, None, &[1.0, 0.0]), group(Some((3, 6)), false, None, &[0.0, 0.5])],
    );
    recipe.stack = vec![LayerRange { start: 0, end: 3 }, LayerRange { start: 1, end: 4 }];
    let text = write(&recipe, Some(LAYERS)).unwrap();
    let again = read(&text, "/", Some(LAYERS)).unwrap();
    assert_eq!((again.stack, again.groups), (recipe.stack, recipe.groups), "{text}");
}

#[test]
fn the_model_in_these_tests_has_its_layers() {
    assert_eq!(TensorPosition::layer_count(tensors().iter().map(String::as_str)), Some(LAYERS));
}
