//! The files that come along with the weights: config, tokenizer, chat template, generation config, code.

use bytes::Bytes;
use serde_json::Value;

use crate::checkpoint::{OpenCheckpoint, read_small};
use crate::element::Float;
use crate::storage::Stores;
use crate::vocabulary::{self, Joined};
use crate::{Error, Location};

/// Longest file that is carried.
const MAX_CARRIED: u64 = 256 << 20;

/// Names that transformers and its processors read, beside `config.json` and the weights.
const CARRIED: [&str; 21] = [
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    "configuration.json",
    "generation_config.json",
    "merges.txt",
    "preprocessor_config.json",
    "processor_config.json",
    "sentencepiece.bpe.model",
    "source.spm",
    "special_tokens_map.json",
    "spiece.model",
    "spm.model",
    "target.spm",
    "tekken.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "video_preprocessor_config.json",
    "vocab.json",
    "vocab.txt",
];

/// Whether a file of a checkpoint's folder belongs to the model besides weights and config.
pub(crate) fn is_carried(name: &str) -> bool {
    let code = |suffix: &str| name.ends_with(suffix) && !name.starts_with('.');
    CARRIED.contains(&name) || code(".py") || code(".tiktoken")
}

/// Copies the donor's files.
pub(crate) async fn carry(
    stores: &Stores,
    donor: &OpenCheckpoint,
    joined: Option<&Joined>,
    output: &Location,
) -> Result<(), Error> {
    for entry in donor.entries.iter().filter(|entry| is_carried(&entry.name)) {
        if let Some(file) =
            joined.and_then(|joined| joined.file.as_ref()).filter(|_| entry.name == vocabulary::FILE)
        {
            stores.put(&output.join(vocabulary::FILE), file.clone()).await?;
            continue;
        }
        let content = read_small(stores, &donor.location, &entry.name, MAX_CARRIED).await;
        let content = content.map_err(|source| donor.blame(source))?;
        stores.put(&output.join(&entry.name), content).await?;
    }
    Ok(())
}

/// The donor's config with the output's element type, with the size of a joined vocabulary and, where `layers` says which layers they come from, its layers;
/// without a quantization that the output doesn't have.
pub(crate) fn config(
    donor: &Value,
    float: Option<Float>,
    layers: Option<&[u32]>,
    joined: Option<&Joined>,
) -> Bytes {
    let mut config = donor.clone();
    if let Some(joined) = joined {
        for place in ["/vocab_size", "/text_config/vocab_size"] {
            if let Some(size) = config.pointer_mut(place) {
                *size = joined.rows.into();
            }
        }
    }
    if let Some(layers) = layers {
        stack(&mut config, layers);
        if let Some(text) = config.get_mut("text_config") {
            stack(text, layers);
        }
    }
    if let Some(root) = config.as_object_mut() {
        root.remove("quantization_config");
        root.remove("compression_config");
    }
    if let Some(float) = float {
        let mut said = set_dtype(&mut config, float);
        for part in ["text_config", "vision_config"] {
            said |= config.get_mut(part).is_some_and(|part| set_dtype(part, float));
        }
        if let (false, Some(root)) = (said, config.as_object_mut()) {
            // Older versions of transformers know only this name, newer ones both.
            root.insert("torch_dtype".to_owned(), float.torch_name().into());
        }
    }
    Bytes::from(format!("{config:#}\n"))
}

/// Says how many layers there are under whichever name it is said, and of lists with an entry for each layer takes those
/// of the layers that are stacked.
fn stack(section: &mut Value, layers: &[u32]) {
    const COUNTS: [&str; 4] = ["num_hidden_layers", "n_layer", "num_layers", "n_layers"];
    let Some(section) = section.as_object_mut() else { return };
    let Some(before) = COUNTS.iter().find_map(|name| section.get(*name)).and_then(Value::as_u64) else {
        return;
    };
    for (name, value) in section.iter_mut() {
        match value {
            Value::Array(entries) if entries.len() as u64 == before && name.starts_with("layer") => {
                *entries = layers.iter().filter_map(|&layer| entries.get(layer as usize).cloned()).collect();
            }
            value if COUNTS.contains(&name.as_str()) => *value = layers.len().into(),
            _ => {}
        }
    }
}

/// Sets whichever names are there, and says whether one was.
fn set_dtype(section: &mut Value, float: Float) -> bool {
    let mut said = false;
    for name in ["dtype", "torch_dtype"] {
        if let Some(value) = section.get_mut(name) {
            *value = float.torch_name().into();
            said = true;
        }
    }
    said
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn written(donor: &Value, float: Option<Float>) -> Value {
        serde_json::from_slice(&config(donor, float, None, None)).unwrap()
    }

    #[test]
    fn the_type_is_set_under_the_name_that_is_used() {
        let donor =
            json!({"dtype": "float32", "quantization_config": {}, "text_config": {"dtype": "float32"}});
        assert_eq!(
            written(&donor, Some(Float::Bf16)),
            json!({"dtype": "bfloat16", "text_config": {"dtype": "bfloat16"}})
        );
        assert_eq!(written(&json!({"a": 1}), Some(Float::F16)), json!({"a": 1, "torch_dtype": "float16"}));
        assert_eq!(written(&donor, None)["dtype"], "float32");
    }

    #[test]
    fn layers_are_stacked_in_the_config_too() {
        let donor =
            json!({"num_hidden_layers": 2, "layer_types": ["full", "sliding"], "eos_token_id": [1, 2]});
        let stacked: Value = serde_json::from_slice(&config(&donor, None, Some(&[0, 1, 1]), None)).unwrap();
        let expected = json!({"num_hidden_layers": 3, "layer_types": ["full", "sliding", "sliding"], "eos_token_id": [1, 2]});
        assert_eq!(stacked, expected);
    }

    #[test]
    fn weights_and_strangers_stay_behind() {
        assert!(is_carried("tokenizer.json") && is_carried("modeling_own.py") && is_carried("qwen.tiktoken"));
        for name in ["model.safetensors", "config.json", "README.md", "optimizer.pt", ".hidden.py"] {
            assert!(!is_carried(name), "{name}");
        }
    }
}
