//! Random models of one form for property tests.

use proptest::prelude::*;
use safetensors::Dtype;

use crate::pools::{Data, Model};

/// What all models of a pool share: names and shapes.
pub(crate) type Form = Vec<(String, Vec<usize>)>;

/// One to five tensors; some are longer than several blocks of 4,096 elements, some empty or single numbers.
pub(crate) fn forms() -> impl Strategy<Value = Form> {
    let shape = prop_oneof![
        Just(vec![]),
        Just(vec![0, 3]),
        (1_usize..40).prop_map(|length| vec![length]),
        ((1_usize..30), (1_usize..30)).prop_map(|(rows, columns)| vec![rows, columns]),
        (4000_usize..4200).prop_map(|length| vec![length]),
        (8000_usize..20_000).prop_map(|length| vec![1, length]),
    ];
    let name = prop_oneof![
        Just("model.embed_tokens.weight".to_owned()),
        Just("lm_head.weight".to_owned()),
        (0..12_u8).prop_map(|layer| format!("model.layers.{layer}.mlp.up_proj.weight")),
        Just("model.norm.weight".to_owned()),
    ];
    prop::collection::btree_map(name, shape, 1..5).prop_map(|form| form.into_iter().collect())
}

pub(crate) fn floats() -> impl Strategy<Value = Dtype> {
    prop_oneof![Just(Dtype::BF16), Just(Dtype::F16), Just(Dtype::F32), Just(Dtype::F64)]
}

/// A model of that form: values from a simple generator, so that large ones cost proptest nothing.
pub(crate) fn model(form: &Form, dtype: Dtype, seed: u64) -> Model {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 53) as f64 * 2.0 - 1.0
    };
    let mut data = |shape: &[usize]| {
        let values: Vec<f64> = (0..shape.iter().product()).map(|_| next()).collect();
        Data::new(dtype, shape, &values)
    };
    form.iter().map(|(name, shape)| (name.clone(), data(shape))).collect()
}
