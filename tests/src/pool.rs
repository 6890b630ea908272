//! Generated pools of any size: Llama-layout checkpoints of bf16 noise, the same bytes for the same shape.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use tempfile::TempDir;

/// The sizes of a generated model, bf16, untied: `vocabulary x hidden` twice and `layers` blocks of
/// `4 hidden^2 + 3 hidden x feed_forward`.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Transformer blocks.
    pub layers: usize,
    /// Width; a multiple of 4.
    pub hidden: usize,
    /// Inner width of the feed-forward part.
    pub feed_forward: usize,
    /// Tokens.
    pub vocabulary: usize,
    /// Files per checkpoint; 1 is a single `model.safetensors` without an index.
    pub shards: usize,
}

/// Checkpoints in a temporary folder, named `a`, `b`, `c`...
#[derive(Debug)]
pub struct Pool {
    folder: TempDir,
    names: Vec<String>,
}

impl Pool {
    /// Writes so many checkpoints, at most 26.
    pub fn generate(shape: Shape, checkpoints: usize) -> Self {
        let folder = TempDir::with_prefix("mergesearch-pool-").unwrap();
        let names: Vec<String> = ('a'..='z').take(checkpoints).map(String::from).collect();
        for (index, name) in names.iter().enumerate() {
            write_checkpoint(&folder.path().join(name), shape, index as u64);
        }
        Self { folder, names }
    }

    /// The checkpoints' names.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// A checkpoint's folder.
    pub fn folder(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Bytes of all checkpoints together.
    pub fn size(&self) -> u64 {
        let sizes = self.names.iter().flat_map(|name| fs::read_dir(self.folder(name)).unwrap());
        sizes.map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
    }

    /// A linear merge in mergekit's YAML of all checkpoints, found by `uri`, with distinct weights that sum to 1.
    pub fn linear_recipe(&self, uri: impl Fn(&str) -> String) -> String {
        let total = (self.names.len() * (self.names.len() + 1) / 2) as f64;
        let model = |(index, name): (usize, &String)| {
            let weight = (index + 1) as f64 / total;
            format!("  - model: {}\n    parameters:\n      weight: {weight}\n", uri(name))
        };
        let models: String = self.names.iter().enumerate().map(model).collect();
        format!(
            "merge_method: linear\nmodels:\n{models}parameters:\n  normalize: false\ndtype: float32\nout_dtype: bfloat16\n"
        )
    }
}

/// The files of a flat folder as name and bytes, in order.
pub fn folder_bytes(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let files: BTreeMap<_, _> = fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .collect();
    files.into_iter().collect()
}

fn write_checkpoint(folder: &Path, shape: Shape, seed: u64) {
    fs::create_dir(folder).unwrap();
    let Shape { layers, hidden, feed_forward, vocabulary, shards } = shape;
    let config = json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "torch_dtype": "bfloat16",
        "hidden_size": hidden, "intermediate_size": feed_forward, "num_hidden_layers": layers,
        "num_attention_heads": 4, "num_key_value_heads": 4, "vocab_size": vocabulary, "hidden_act": "silu",
        "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "max_position_embeddings": 64, "tie_word_embeddings": false,
        "bos_token_id": 0, "eos_token_id": 1,
    });
    let vocabulary: Map<String, Value> = (0..vocabulary).map(|id| (format!("t{id}"), id.into())).collect();
    let tokenizer = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
        "pre_tokenizer": {"type": "Whitespace"}, "post_processor": null, "decoder": null,
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "t0"},
    });
    for (name, content) in [("config.json", &config), ("tokenizer.json", &tokenizer)] {
        fs::write(folder.join(name), content.to_string()).unwrap();
    }

    let tensors = tensors(shape);
    let mut weight_map = Map::new();
    for (index, part) in tensors.chunks(tensors.len().div_ceil(shards)).enumerate() {
        let file = match shards {
            1 => "model.safetensors".to_owned(),
            _ => format!("model-{:05}-of-{shards:05}.safetensors", index + 1),
        };
        write_safetensors(&folder.join(&file), part, seed);
        weight_map.extend(part.iter().map(|(name, _)| (name.clone(), file.clone().into())));
    }
    if shards > 1 {
        let total: usize = tensors.iter().map(|(_, shape)| bytes(shape)).sum();
        let index = json!({"metadata": {"total_size": total}, "weight_map": weight_map});
        fs::write(folder.join("model.safetensors.index.json"), index.to_string()).unwrap();
    }
}

type Tensor = (String, Vec<usize>);

fn tensors(shape: Shape) -> Vec<Tensor> {
    let Shape { layers, hidden, feed_forward, vocabulary, .. } = shape;
    let mut tensors = vec![("model.embed_tokens.weight".to_owned(), vec![vocabulary, hidden])];
    for layer in 0..layers {
        let parts = [
            ("input_layernorm", vec![hidden]),
            ("self_attn.q_proj", vec![hidden, hidden]),
            ("self_attn.k_proj", vec![hidden, hidden]),
            ("self_attn.v_proj", vec![hidden, hidden]),
            ("self_attn.o_proj", vec![hidden, hidden]),
            ("post_attention_layernorm", vec![hidden]),
            ("mlp.gate_proj", vec![feed_forward, hidden]),
            ("mlp.up_proj", vec![feed_forward, hidden]),
            ("mlp.down_proj", vec![hidden, feed_forward]),
        ];
        tensors.extend(parts.map(|(part, shape)| (format!("model.layers.{layer}.{part}.weight"), shape)));
    }
    tensors.push(("model.norm.weight".to_owned(), vec![hidden]));
    tensors.push(("lm_head.weight".to_owned(), vec![vocabulary, hidden]));
    tensors
}

fn bytes(shape: &[usize]) -> usize {
    2 * shape.iter().product::<usize>()
}

fn write_safetensors(path: &Path, tensors: &[Tensor], seed: u64) {
    let mut header = Map::from_iter([("__metadata__".to_owned(), json!({"format": "pt"}))]);
    let mut offset = 0;
    for (name, shape) in tensors {
        let end = offset + bytes(shape);
        header.insert(name.clone(), json!({"dtype": "BF16", "shape": shape, "data_offsets": [offset, end]}));
        offset = end;
    }
    let mut header = Value::from(header).to_string();
    header.extend(std::iter::repeat_n(' ', header.len().next_multiple_of(8) - header.len()));
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path).unwrap());
    file.write_all(&(header.len() as u64).to_le_bytes()).unwrap();
    file.write_all(header.as_bytes()).unwrap();
    let mut state = (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for _ in 0..offset / 2 {
        // Xorshift. Any sign and fraction, magnitudes from 2^-8 to below 1: numbers like a model's, all finite.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let exponent = 119 + ((state >> 16) & 7) as u16;
        file.write_all(&((state as u16 & 0x807f) | (exponent << 7)).to_le_bytes()).unwrap();
    }
    file.into_inner().unwrap();
}
