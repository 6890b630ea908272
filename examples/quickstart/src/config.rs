//! `config.json` of a Llama-layout model, as transformers' `LlamaForCausalLM` reads and writes it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::tokens::{BEGIN, CONTEXT, END, PAD, VOCABULARY};

/// The sizes and constants that decide what a Llama-layout model computes.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width of the feed-forward layers.
    pub intermediate_size: usize,
    /// Number of layers.
    pub layers: usize,
    /// Number of attention heads; as many keys and values.
    pub heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Number of tokens.
    pub vocabulary: usize,
    /// Longest sequence, in tokens.
    pub context: usize,
    /// Added to the mean square in every `RMSNorm`.
    pub rms_norm_eps: f64,
    /// Base of the rotary position embedding's wavelengths.
    pub rope_theta: f64,
    /// Whether the output layer is the embedding, so that the checkpoint has no `lm_head.weight`.
    pub tied: bool,
}

impl Config {
    /// The architecture of the quickstart pool.
    pub fn quickstart() -> Self {
        Self {
            hidden_size: 64,
            intermediate_size: 160,
            layers: 3,
            heads: 4,
            head_dim: 16,
            vocabulary: VOCABULARY.len(),
            context: CONTEXT,
            rms_norm_eps: 1e-5,
            rope_theta: 10_000.0,
            tied: true,
        }
    }

    /// Reads `config.json`, or says in one sentence what this evaluator cannot compute.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let file: File = serde_json::from_str(text).map_err(ConfigError::Json)?;
        let require = |field, found: String, expected: &'static str| {
            if found == expected { Ok(()) } else { Err(ConfigError::Unsupported { field, found, expected }) }
        };
        require("model_type", file.model_type, "llama")?;
        require("hidden_act", file.hidden_act, "silu")?;
        require("attention_bias", file.attention_bias.to_string(), "false")?;
        require("mlp_bias", file.mlp_bias.to_string(), "false")?;
        if let Some(kind) = file
            .rope_scaling
            .as_ref()
            .and_then(|scaling| scaling.get("rope_type").or_else(|| scaling.get("type")))
        {
            require("rope_scaling.rope_type", kind.as_str().unwrap_or_default().to_owned(), "default")?;
        }
        let heads = file.num_attention_heads;
        let keys = file.num_key_value_heads.unwrap_or(heads);
        if keys != heads {
            return Err(ConfigError::KeyValueHeads { keys, heads });
        }
        let rope_theta =
            file.rope_parameters.and_then(|rope| rope.rope_theta).or(file.rope_theta).unwrap_or(10_000.0);
        if heads == 0 || file.hidden_size == 0 || file.vocab_size == 0 {
            return Err(ConfigError::Empty);
        }
        Ok(Self {
            hidden_size: file.hidden_size,
            intermediate_size: file.intermediate_size,
            layers: file.num_hidden_layers,
            heads,
            head_dim: file.head_dim.unwrap_or(file.hidden_size / heads),
            vocabulary: file.vocab_size,
            context: file.max_position_embeddings,
            rms_norm_eps: file.rms_norm_eps,
            rope_theta,
            tied: file.tie_word_embeddings,
        })
    }

    /// `config.json`, complete for transformers 4 and 5.
    pub fn to_json(&self) -> Value {
        json!({
            "architectures": ["LlamaForCausalLM"],
            "attention_bias": false,
            "attention_dropout": 0.0,
            "bos_token_id": BEGIN,
            "eos_token_id": END,
            "head_dim": self.head_dim,
            "hidden_act": "silu",
            "hidden_size": self.hidden_size,
            "initializer_range": 0.02,
            "intermediate_size": self.intermediate_size,
            "max_position_embeddings": self.context,
            "mlp_bias": false,
            "model_type": "llama",
            "num_attention_heads": self.heads,
            "num_hidden_layers": self.layers,
            "num_key_value_heads": self.heads,
            "pad_token_id": PAD,
            "pretraining_tp": 1,
            "rms_norm_eps": self.rms_norm_eps,
            "rope_scaling": null,
            "rope_theta": self.rope_theta,
            "tie_word_embeddings": self.tied,
            "torch_dtype": "bfloat16",
            "use_cache": true,
            "vocab_size": self.vocabulary,
        })
    }

    /// Every tensor of a checkpoint with its shape, by its Hugging Face name.
    pub fn shapes(&self) -> BTreeMap<String, Vec<usize>> {
        let (width, inner, attention) =
            (self.hidden_size, self.intermediate_size, self.heads * self.head_dim);
        let mut shapes = BTreeMap::from([
            ("model.embed_tokens.weight".to_owned(), vec![self.vocabulary, width]),
            ("model.norm.weight".to_owned(), vec![width]),
        ]);
        if !self.tied {
            shapes.insert("lm_head.weight".to_owned(), vec![self.vocabulary, width]);
        }
        for layer in 0..self.layers {
            for (name, shape) in [
                ("input_layernorm", vec![width]),
                ("self_attn.q_proj", vec![attention, width]),
                ("self_attn.k_proj", vec![attention, width]),
                ("self_attn.v_proj", vec![attention, width]),
                ("self_attn.o_proj", vec![width, attention]),
                ("post_attention_layernorm", vec![width]),
                ("mlp.gate_proj", vec![inner, width]),
                ("mlp.up_proj", vec![inner, width]),
                ("mlp.down_proj", vec![width, inner]),
            ] {
                shapes.insert(format!("model.layers.{layer}.{name}.weight"), shape);
            }
        }
        shapes
    }
}

/// What `config.json` may say, with the defaults of transformers' `LlamaConfig`.
#[derive(Deserialize)]
struct File {
    model_type: String,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    vocab_size: usize,
    max_position_embeddings: usize,
    rms_norm_eps: f64,
    rope_theta: Option<f64>,
    rope_parameters: Option<RopeParameters>,
    rope_scaling: Option<Value>,
    #[serde(default = "silu")]
    hidden_act: String,
    #[serde(default)]
    attention_bias: bool,
    #[serde(default)]
    mlp_bias: bool,
    #[serde(default)]
    tie_word_embeddings: bool,
}

/// Where transformers 5 writes the base of the wavelengths.
#[derive(Deserialize)]
struct RopeParameters {
    rope_theta: Option<f64>,
}

fn silu() -> String {
    "silu".to_owned()
}

/// Why a `config.json` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Not JSON, or a field is missing or of the wrong type.
    #[error("config.json is not a Llama configuration: {0}")]
    Json(serde_json::Error),
    /// A field says something this program does not compute.
    #[error("config.json has {field} `{found}`, but only `{expected}` is supported")]
    Unsupported {
        /// The field.
        field: &'static str,
        /// Its value.
        found: String,
        /// The one value that is supported.
        expected: &'static str,
    },
    /// Grouped-query attention.
    #[error(
        "config.json has {keys} key-value heads for {heads} attention heads, but only as many as attention heads are supported"
    )]
    KeyValueHeads {
        /// `num_key_value_heads`.
        keys: usize,
        /// `num_attention_heads`.
        heads: usize,
    },
    /// A size is zero.
    #[error(
        "config.json has a hidden_size, vocab_size or num_attention_heads of 0, but each must be positive"
    )]
    Empty,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let config = Config::quickstart();
        assert_eq!(Config::parse(&config.to_json().to_string()).unwrap(), config);
    }

    #[test]
    fn the_wavelength_base_of_transformers_5_is_found() {
        let mut json = Config::quickstart().to_json();
        json["rope_theta"] = Value::Null;
        json["rope_parameters"] = json!({"rope_theta": 500.0, "rope_type": "default"});
        assert!((Config::parse(&json.to_string()).unwrap().rope_theta - 500.0).abs() < f64::EPSILON);
    }

    #[test]
    fn another_architecture_is_refused_by_name() {
        let mut json = Config::quickstart().to_json();
        json["model_type"] = json!("qwen2");
        let message = Config::parse(&json.to_string()).unwrap_err().to_string();
        assert_eq!(message, "config.json has model_type `qwen2`, but only `llama` is supported");
    }

    #[test]
    fn a_checkpoint_is_about_three_hundred_kilobytes() {
        let elements: usize =
            Config::quickstart().shapes().values().map(|shape| shape.iter().product::<usize>()).sum();
        assert!((280_000..300_000).contains(&(2 * elements)), "{elements}");
    }
}
