//! Which keys of config.json have to agree: those that change what the same weights compute.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// Keys that change the meaning of weights of one shape. Equal shapes with another `rope_theta` merge to garbage.
const MEANING: [&str; 44] = [
    "activation_function",
    "alibi",
    "attention_bias",
    "attention_multiplier",
    "attn_logit_softcapping",
    "embedding_multiplier",
    "final_logit_softcapping",
    "head_dim",
    "hidden_act",
    "hidden_activation",
    "hidden_size",
    "intermediate_size",
    "layer_norm_eps",
    "layer_norm_epsilon",
    "layer_types",
    "logit_scale",
    "logits_scaling",
    "max_window_layers",
    "mlp_bias",
    "model_type",
    "moe_intermediate_size",
    "n_head",
    "n_layer",
    "no_rope_layers",
    "norm_eps",
    "norm_epsilon",
    "norm_topk_prob",
    "num_attention_heads",
    "num_experts",
    "num_experts_per_tok",
    "num_hidden_layers",
    "num_key_value_heads",
    "num_local_experts",
    "partial_rotary_factor",
    "query_pre_attn_scalar",
    "residual_multiplier",
    "rms_norm_eps",
    "rope_local_base_freq",
    "rope_scaling",
    "rope_theta",
    "rotary_pct",
    "sliding_window",
    "tie_word_embeddings",
    "use_sliding_window",
];

/// The keys that matter with their values in one form, for the model and, as `text_config.KEY`, its language part.
pub(crate) fn meaning(config: &Value) -> BTreeMap<String, Value> {
    let mut all = BTreeMap::new();
    for (prefix, section) in [("", Some(config)), ("text_config.", config.get("text_config"))] {
        if let Some(Value::Object(section)) = section {
            all.extend(
                section_meaning(section).into_iter().map(|(key, value)| (format!("{prefix}{key}"), value)),
            );
        }
    }
    all
}

fn section_meaning(section: &Map<String, Value>) -> BTreeMap<&'static str, Value> {
    let mut found: BTreeMap<&'static str, Value> = MEANING
        .into_iter()
        .filter_map(|key| Some((key, normal(section.get(key)?))))
        .filter(|(_, value)| !value.is_null())
        .collect();
    // transformers 5 writes rope_theta and rope_scaling as one object.
    if let Some(Value::Object(rope)) = section.get("rope_parameters") {
        let mut scaling = rope.clone();
        if let Some(theta) = scaling.remove("rope_theta") {
            found.insert("rope_theta", normal(&theta));
        }
        found.insert("rope_scaling", normal(&Value::Object(scaling)));
    }
    if let Some(Value::Object(scaling)) = found.get_mut("rope_scaling") {
        if let Some(kind) = scaling.remove("type") {
            scaling.entry("rope_type").or_insert(kind);
        }
        if scaling.is_empty() || (scaling.len() == 1 && scaling.get("rope_type") == Some(&"default".into())) {
            found.remove("rope_scaling");
        }
    }
    if found.get("use_sliding_window") == Some(&Value::Bool(false)) {
        found.remove("sliding_window");
        found.remove("max_window_layers");
    }
    let number = |key: &str| section.get(key).and_then(Value::as_f64);
    if let Some(heads) = number("num_attention_heads") {
        found.entry("num_key_value_heads").or_insert_with(|| heads.into());
        if let Some(hidden) = number("hidden_size") {
            found.entry("head_dim").or_insert_with(|| (hidden / heads).floor().into());
        }
    }
    found
}

/// Numbers as f64 at every depth, so that 10000 and 10000.0 are equal.
fn normal(value: &Value) -> Value {
    match value {
        Value::Number(number) => number.as_f64().map_or_else(|| value.clone(), Value::from),
        Value::Array(values) => values.iter().map(normal).collect(),
        Value::Object(entries) => entries.iter().map(|(key, value)| (key.clone(), normal(value))).collect(),
        _ => value.clone(),
    }
}

/// The first key in which the two differ, with both values.
pub(crate) fn first_difference<'a>(
    first: &'a BTreeMap<String, Value>,
    other: &'a BTreeMap<String, Value>,
) -> Option<(&'a str, Option<&'a Value>, Option<&'a Value>)> {
    let keys = first.keys().chain(other.keys());
    let mut different = keys.filter(|key| first.get(*key) != other.get(*key));
    different.next().map(|key| (key.as_str(), first.get(key), other.get(key)))
}

/// A value for a message: JSON (which escapes control characters), cut after 80 characters.
pub(crate) fn shown(value: Option<&Value>) -> String {
    let Some(value) = value else { return "absent".to_owned() };
    let text = value.to_string();
    match text.char_indices().nth(80) {
        Some((cut, _)) => format!("{}...", text.get(..cut).unwrap_or_default()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn difference(first: &Value, other: &Value) -> Option<String> {
        first_difference(&meaning(first), &meaning(other)).map(|(key, _, _)| key.to_owned())
    }

    #[test]
    fn another_rope_theta_is_found_also_in_the_text_part() {
        let (first, other) = (json!({"rope_theta": 1e4}), json!({"rope_theta": 1e6}));
        assert_eq!(difference(&first, &other).as_deref(), Some("rope_theta"));
        assert_eq!(
            difference(&json!({"text_config": first}), &json!({"text_config": other})).as_deref(),
            Some("text_config.rope_theta")
        );
        assert_eq!(difference(&first, &json!({})).as_deref(), Some("rope_theta"));
    }

    #[test]
    fn different_spellings_of_the_same_are_equal() {
        for (first, other) in [
            (json!({"rope_theta": 10000}), json!({"rope_theta": 10000.0})),
            (json!({"rope_scaling": null}), json!({})),
            (
                json!({"rope_theta": 5e5, "rope_scaling": {"type": "linear", "factor": 2}}),
                json!({"rope_parameters": {"rope_theta": 500_000, "rope_type": "linear", "factor": 2.0}}),
            ),
            (
                json!({"rope_theta": 5e5}),
                json!({"rope_parameters": {"rope_theta": 5e5, "rope_type": "default"}}),
            ),
            (
                json!({"num_attention_heads": 4, "hidden_size": 64}),
                json!({"num_attention_heads": 4, "hidden_size": 64, "num_key_value_heads": 4, "head_dim": 16}),
            ),
            (
                json!({"use_sliding_window": false, "sliding_window": 4096}),
                json!({"use_sliding_window": false, "sliding_window": 32768}),
            ),
            (json!({"torch_dtype": "float32"}), json!({"torch_dtype": "bfloat16"})),
        ] {
            assert_eq!(difference(&first, &other), None);
        }
    }

    #[test]
    fn long_values_are_cut_in_messages() {
        assert_eq!(shown(Some(&json!("a\u{1b}b"))), "\"a\\u001bb\"");
        assert_eq!(shown(Some(&json!("ä".repeat(100)))).chars().count(), 83);
        assert_eq!(shown(None), "absent");
    }
}
