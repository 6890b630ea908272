//! Checkpoints whose files don't hold the weights themselves: scaled 8-bit weights, adapters.

use std::fs;

use mergesearch_merger::MergeOptions;
use mergesearch_recipe::{MergeMethod, Recipe};
use proptest::prelude::*;
use safetensors::Dtype;
use serde_json::{Value, json};

use crate::pools::{self, Data, Folder, Model, element, merge_into};
use crate::program::merge_from_s3;
use crate::server::Mischief;
use crate::shapes::model;

const WEIGHT: &str = "model.layers.0.mlp.up_proj.weight";

fn options(threads: usize) -> MergeOptions {
    MergeOptions { threads, overwrite: true, ..MergeOptions::default() }
}

/// The value of 8 bits, by the definition of OCP FP8 E4M3.
fn e4m3(bits: u8) -> f64 {
    let (exponent, mantissa) = (i32::from(bits >> 3 & 15), f64::from(bits & 7));
    let sign = if bits & 0x80 == 0 { 1.0 } else { -1.0 };
    if exponent == 0 {
        sign * mantissa / 8.0 * 2_f64.powi(-6)
    } else {
        sign * (1.0 + mantissa / 8.0) * 2_f64.powi(exponent - 7)
    }
}

fn f32s(shape: &[usize], values: &[f64]) -> Data {
    Data::new(Dtype::F32, shape, values)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn scaled_blocks_are_merged_as_the_weights_they_stand_for(
        (rows, columns) in (1_usize..40, 1_usize..300),
        (down, across) in (1_usize..20, 1_usize..150),
        seed in 0_u64..1000,
        threads in 1_usize..4,
    ) {
        let bits: Vec<u8> = (0..rows * columns)
            .map(|place| (place as u64 * 2_654_435_761 + seed * 97) as u8)
            .map(|bits| if bits & 0x7f == 0x7f { bits - 1 } else { bits })
            .collect();
        let shape = [rows.div_ceil(down), columns.div_ceil(across)];
        let scales: Vec<f64> =
            model(&[("scales".to_owned(), shape.to_vec())].into(), Dtype::F32, seed + 1)["scales"].values();
        let scaled: Model = [
            (WEIGHT.to_owned(), Data { dtype: Dtype::F8_E4M3, shape: vec![rows, columns], bytes: bits.clone() }),
            (format!("{WEIGHT}_scale_inv"), f32s(&shape, &scales)),
        ].into();
        let plain = model(&vec![(WEIGHT.to_owned(), vec![rows, columns])], Dtype::BF16, seed);
        let folder = Folder::new(&[scaled, plain.clone()]);
        let mut config = pools::config();
        config["quantization_config"] =
            json!({"quant_method": "fp8", "weight_block_size": [down, across]});
        fs::write(folder.path("a").join("config.json"), config.to_string()).unwrap();
        let recipe = folder.recipe(MergeMethod::Linear, &[0.75, 0.5]);
        merge_into(&folder, &recipe, "out", &options(threads)).unwrap();
        let merged = pools::read(&folder.path("out"));
        prop_assert_eq!(merged.len(), 1);
        // A scaled checkpoint first doesn't make an 8-bit output.
        prop_assert_eq!(merged[WEIGHT].dtype, Dtype::BF16);
        let plain = plain[WEIGHT].values();
        let expected: Vec<u8> = (0..rows * columns).flat_map(|place| {
            let scale = scales[place / columns / down * shape[1] + place % columns / across];
            element(Dtype::BF16, 0.75 * (e4m3(bits[place]) * scale) + 0.5 * plain[place])
        }).collect();
        prop_assert!(merged[WEIGHT].bytes == expected);
        let written = fs::read_to_string(folder.path("out/config.json")).unwrap();
        prop_assert!(!written.contains("quantization_config"));
    }
}

const EMBEDDING: &str = "model.embed_tokens.weight";
const NORM: &str = "model.norm.weight";

/// Writes an adapter as PEFT does.
fn write_adapter(folder: &Folder, name: &str, config: &Value, tensors: &Model) {
    let path = folder.path(name);
    fs::create_dir_all(&path).unwrap();
    fs::write(path.join("adapter_config.json"), config.to_string()).unwrap();
    let named: Model =
        tensors.iter().map(|(name, data)| (format!("base_model.model.{name}"), data.clone())).collect();
    fs::write(path.join("adapter_model.safetensors"), pools::serialize(&named)).unwrap();
}

fn plain() -> Value {
    json!({"peft_type": "LORA", "lora_alpha": 8, "r": 2})
}

/// Random matrices of an adapter of rank `rank`, by the names in its file.
fn matrices(forms: &[(&str, [usize; 2])], seed: u64) -> Model {
    model(&forms.iter().map(|(name, shape)| ((*name).to_owned(), shape.to_vec())).collect(), Dtype::F32, seed)
}

/// A base of 70 x 90 weights, an embedding and a norm, `a` and `b` adapters of it, and the recipe of both.
fn adapters(
    first: &Value,
    one: &Model,
    second: &Value,
    other: &Model,
    weights: [f64; 2],
) -> (Folder, Model, Recipe) {
    let form = [(WEIGHT, vec![70, 90]), (EMBEDDING, vec![50, 30]), (NORM, vec![30])];
    let base = model(&form.map(|(name, shape)| (name.to_owned(), shape)).into(), Dtype::F32, 1);
    let folder = Folder::new(&[]);
    write_adapter(&folder, "a", first, one);
    write_adapter(&folder, "b", second, other);
    pools::write(&folder.path("c"), &base, 2);
    let mut recipe = folder.recipe(MergeMethod::Linear, &weights);
    recipe.base = Some(folder.checkpoint(2));
    (folder, base, recipe)
}

/// `weights + factor left right`, row by row, the product summed from the first column of `left` on.
fn adapted(weights: &Data, left: &[f64], right: &[f64], factor: f64) -> Vec<f64> {
    let (rows, columns) = (weights.shape[0], weights.shape[1]);
    let rank = left.len() / rows;
    let cells = (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column)));
    cells
        .zip(weights.values())
        .map(|((row, column), weight)| {
            let product = (0..rank).map(|step| left[row * rank + step] * right[step * columns + column]);
            weight + factor * product.fold(0.0, |sum, term| sum + term)
        })
        .collect()
}

fn transposed(data: &Data) -> Vec<f64> {
    let (rows, columns, values) = (data.shape[0], data.shape[1], data.values());
    (0..columns)
        .flat_map(|column| (0..rows).map(move |row| row * columns + column))
        .map(|place| values[place])
        .collect()
}

#[test]
fn adapters_are_merged_as_the_models_they_make_of_their_base() {
    let (a, b) = ("model.layers.0.mlp.up_proj.lora_A.weight", "model.layers.0.mlp.up_proj.lora_B.weight");
    let (c, d) = ("model.embed_tokens.lora_embedding_A", "model.embed_tokens.lora_embedding_B");
    let one = matrices(&[(a, [2, 90]), (b, [70, 2])], 2);
    let mut other = matrices(&[(a, [5, 90]), (b, [70, 5]), (c, [5, 50]), (d, [30, 5])], 3);
    // Of a module that was trained whole.
    other.insert(NORM.to_owned(), f32s(&[30], &[0.5; 30]));
    let stabilised = json!({
        "peft_type": "LORA", "lora_alpha": 3, "use_rslora": true, "alpha_pattern": {"embed_tokens": 7},
    });
    let (folder, base, recipe) = adapters(&plain(), &one, &stabilised, &other, [0.75, 0.5]);
    let root = 5_f64.sqrt();
    let ups = [
        adapted(&base[WEIGHT], &one[b].values(), &one[a].values(), 8.0 / 2.0),
        adapted(&base[WEIGHT], &other[b].values(), &other[a].values(), 3.0 / root),
    ];
    let embedding = adapted(&base[EMBEDDING], &transposed(&other[c]), &transposed(&other[d]), 7.0 / root);
    let mean = |one: &[f64], other: &[f64]| -> Vec<f64> {
        one.iter().zip(other).map(|(one, other)| 0.75 * one + 0.5 * other).collect()
    };
    let expected: Model = [
        (WEIGHT.to_owned(), f32s(&[70, 90], &mean(&ups[0], &ups[1]))),
        (EMBEDDING.to_owned(), f32s(&[50, 30], &mean(&base[EMBEDDING].values(), &embedding))),
        (NORM.to_owned(), f32s(&[30], &mean(&base[NORM].values(), &[0.5; 30]))),
    ]
    .into();
    for threads in [1, 3] {
        let report = merge_into(&folder, &recipe, "out", &options(threads)).unwrap();
        assert!(report.complete);
        assert!(pools::read(&folder.path("out")) == expected);
        // What both take from the base is read once.
        let base: usize = base.values().map(|data| data.bytes.len()).sum();
        let adapters: usize = one.values().chain(other.values()).map(|data| data.bytes.len()).sum();
        assert_eq!(report.bytes_read, (base + adapters) as u64);
    }
    // Through a server, which breaks off now and then, come the same bytes.
    fs::remove_dir_all(folder.path("out")).unwrap();
    merge_from_s3(&folder, recipe, Mischief::BreaksOff, 2).assert().success();
    assert!(pools::read(&folder.path("out")) == expected);
}

#[test]
fn mergekits_yaml_may_merge_a_model_with_an_adapter_of_it() {
    let (a, b) = ("model.layers.0.mlp.up_proj.lora_A.weight", "model.layers.0.mlp.up_proj.lora_B.weight");
    let one = matrices(&[(a, [2, 90]), (b, [70, 2])], 2);
    let (folder, base, _) = adapters(&plain(), &one, &plain(), &one, [1.0, 1.0]);
    let text = "
merge_method: linear
parameters: {normalize: false}
models:
  - {model: ./c, parameters: {weight: 0.25}}
  - {model: ./c+./a, parameters: {weight: 0.75}}
";
    let place = folder.root.path().to_str().unwrap();
    let recipe = Recipe::from_yaml_any(text, place, None).unwrap();
    merge_into(&folder, &recipe, "out", &options(2)).unwrap();
    let up = adapted(&base[WEIGHT], &one[b].values(), &one[a].values(), 8.0 / 2.0);
    let mean: Vec<f64> =
        base[WEIGHT].values().iter().zip(&up).map(|(base, up)| 0.25 * base + 0.75 * up).collect();
    let mut expected = base.clone();
    expected.insert(WEIGHT.to_owned(), f32s(&[70, 90], &mean));
    assert!(pools::read(&folder.path("out")) == expected);
}

#[test]
fn rows_of_dora_have_the_lengths_that_were_learned() {
    let (a, b) = ("model.layers.0.mlp.up_proj.lora_A.weight", "model.layers.0.mlp.up_proj.lora_B.weight");
    let mut one = matrices(&[(a, [2, 90]), (b, [70, 2])], 2);
    let lengths: Vec<f64> = (0..70).map(|row| 1.0 + f64::from(row) / 8.0).collect();
    one.insert("model.layers.0.mlp.up_proj.lora_magnitude_vector".to_owned(), f32s(&[70], &lengths));
    let dora = json!({"peft_type": "LORA", "lora_alpha": 8, "use_dora": true});
    let none = matrices(&[(a, [2, 90]), (b, [70, 2])], 3);
    let (folder, base, recipe) = adapters(&dora, &one, &plain(), &none, [1.0, 0.0]);
    merge_into(&folder, &recipe, "out", &options(2)).unwrap();
    let merged = pools::read(&folder.path("out"))[WEIGHT].values();
    let adapted = adapted(&base[WEIGHT], &one[b].values(), &one[a].values(), 4.0);
    for ((merged, adapted), length) in merged.chunks(90).zip(adapted.chunks(90)).zip(lengths) {
        let norm = adapted.iter().map(|value| value * value).sum::<f64>().sqrt();
        for (merged, adapted) in merged.iter().zip(adapted) {
            assert!((merged - adapted * length / norm).abs() < 1e-6, "{merged} {adapted}");
        }
    }
}

#[test]
fn adapters_that_cannot_be_applied_are_refused() {
    let (a, b) = ("model.layers.0.mlp.up_proj.lora_A.weight", "model.layers.0.mlp.up_proj.lora_B.weight");
    let fits = matrices(&[(a, [2, 90]), (b, [70, 2])], 2);
    let refused = |config: &Value, tensors: &Model, change: &dyn Fn(&mut Recipe)| {
        let (_folder, _, mut recipe) = adapters(config, tensors, &plain(), &fits, [0.5, 0.5]);
        change(&mut recipe);
        let error = pools::open(&recipe).unwrap_err();
        assert_eq!(error.exit_code(), 65, "{error}");
        error.to_string()
    };
    let nothing = |_: &mut Recipe| {};
    let without = refused(&plain(), &fits, &|recipe| recipe.base = None);
    assert_eq!(without, "checkpoint a: it is an adapter; expected a base, which it is applied to");
    let donor =
        refused(&plain(), &fits, &|recipe| recipe.tokenizer_from = Some(recipe.checkpoints[1].name.clone()));
    assert!(donor.starts_with("tokenizer_from: checkpoint b is an adapter"), "{donor}");
    let swapped = refused(&plain(), &matrices(&[(a, [2, 70]), (b, [90, 2])], 2), &nothing);
    assert!(swapped.contains("doesn't fit the other matrix and the base's weights"), "{swapped}");
    let alone = refused(&plain(), &matrices(&[(a, [2, 90])], 2), &nothing);
    assert!(alone.contains("one of its two matrices is missing"), "{alone}");
    let elsewhere = a.replace("up_proj", "side_proj");
    let strange = refused(&plain(), &matrices(&[(&elsewhere, [2, 90])], 2), &nothing);
    assert!(strange.contains("the base has no such weights"), "{strange}");
    let unknown = refused(&plain(), &matrices(&[("model.x.lora_E", [2, 90])], 2), &nothing);
    assert!(unknown.contains("it isn't of a kind that is known"), "{unknown}");
    let kind = refused(&json!({"peft_type": "VERA", "lora_alpha": 1}), &fits, &nothing);
    assert!(kind.contains("checkpoint a") && kind.contains("peft_type"), "{kind}");
}
