//! Checkpoints on disk in the Hugging Face layout: safetensors (one file or shards with an index), config and tokenizer.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use half::bf16;
use safetensors::tensor::{Dtype, TensorView};
use serde::Deserialize;
use serde_json::json;

use crate::config::{Config, ConfigError};
use crate::tokens;

/// A checkpoint's configuration and its parameters in f32, by their Hugging Face names.
#[derive(Debug)]
pub struct Checkpoint {
    /// The architecture.
    pub config: Config,
    /// One tensor for each of [`Config::shapes`].
    pub parameters: BTreeMap<String, Tensor>,
}

impl Checkpoint {
    /// Reads a checkpoint of any dtype candle can convert to f32.
    pub fn load(folder: &Path) -> Result<Self, CheckpointError> {
        let text = |path: &Path| {
            fs::read_to_string(path).map_err(|source| CheckpointError::Read { path: path.to_owned(), source })
        };
        let config = Config::parse(&text(&folder.join("config.json"))?)?;
        let index = folder.join("model.safetensors.index.json");
        let files = if index.exists() {
            shards(&index, &text(&index)?)?
        } else {
            vec![PathBuf::from("model.safetensors")]
        };
        let mut found = BTreeMap::new();
        for file in files {
            let path = folder.join(file);
            let bytes =
                fs::read(&path).map_err(|source| CheckpointError::Read { path: path.clone(), source })?;
            let tensors = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu)
                .map_err(|source| CheckpointError::Shard { path, source: Box::new(source) })?;
            found.extend(tensors);
        }
        let parameters = config
            .shapes()
            .into_iter()
            .map(|(name, shape)| checked(&mut found, name, &shape))
            .collect::<Result<_, _>>()?;
        // Transformers ignores the output layer of a tied model too.
        found.retain(|name, _| !(config.tied && name == "lm_head.weight"));
        match found.into_keys().next() {
            Some(name) => Err(CheckpointError::Unexpected { name }),
            None => Ok(Self { config, parameters }),
        }
    }

    /// Writes the checkpoint as bf16, with everything transformers needs to load model and tokenizer; the folder is made if need be.
    pub fn save(&self, folder: &Path) -> Result<(), CheckpointError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| CheckpointError::Write { path, source }
        };
        fs::create_dir_all(folder).map_err(failed(folder))?;
        let generation = json!({"_from_model_config": true, "bos_token_id": tokens::BEGIN, "eos_token_id": tokens::END, "pad_token_id": tokens::PAD});
        for (name, json) in [
            ("config.json", self.config.to_json()),
            ("generation_config.json", generation),
            ("tokenizer.json", tokens::tokenizer_json()),
            ("tokenizer_config.json", tokens::tokenizer_config_json()),
            ("special_tokens_map.json", tokens::special_tokens_map_json()),
        ] {
            let path = folder.join(name);
            fs::write(&path, format!("{json:#}\n")).map_err(failed(&path))?;
        }
        let path = folder.join("model.safetensors");
        fs::write(&path, self.to_safetensors()?).map_err(failed(&path))
    }

    fn to_safetensors(&self) -> Result<Vec<u8>, CheckpointError> {
        let mut rounded = BTreeMap::new();
        for (name, tensor) in &self.parameters {
            let values = tensor.flatten_all()?.to_vec1::<f32>()?;
            let bytes: Vec<u8> =
                values.into_iter().flat_map(|value| bf16::from_f32(value).to_le_bytes()).collect();
            rounded.insert(name, (tensor.dims().to_vec(), bytes));
        }
        let views = rounded
            .iter()
            .map(|(name, (shape, bytes))| Ok((name, TensorView::new(Dtype::BF16, shape.clone(), bytes)?)))
            .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()?;
        let metadata = std::collections::HashMap::from([("format".to_owned(), "pt".to_owned())]);
        Ok(safetensors::serialize(views, Some(metadata))?)
    }
}

/// The shard files an index names, each once.
fn shards(path: &Path, text: &str) -> Result<Vec<PathBuf>, CheckpointError> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, PathBuf>,
    }
    let index: Index = serde_json::from_str(text)
        .map_err(|source| CheckpointError::Index { path: path.to_owned(), source })?;
    let mut files: Vec<PathBuf> = index.weight_map.into_values().collect();
    files.sort();
    files.dedup();
    match files.iter().find(|file| !file.components().all(|part| matches!(part, Component::Normal(_)))) {
        Some(file) => Err(CheckpointError::Escape { file: file.clone() }),
        None => Ok(files),
    }
}

fn checked(
    found: &mut BTreeMap<String, Tensor>,
    name: String,
    shape: &[usize],
) -> Result<(String, Tensor), CheckpointError> {
    let Some(tensor) = found.remove(&name) else { return Err(CheckpointError::Missing { name }) };
    if tensor.dims() != shape {
        return Err(CheckpointError::Shape { name, found: tensor.dims().to_vec(), expected: shape.to_vec() });
    }
    let tensor = tensor.to_dtype(DType::F32)?;
    Ok((name, tensor))
}

/// Why a checkpoint cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The configuration is no use.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The index is not one.
    #[error("{} is not an index of shards: {source}", path.display())]
    Index {
        /// The index.
        path: PathBuf,
        /// What the parser said.
        source: serde_json::Error,
    },
    /// The index points outside the checkpoint's folder.
    #[error("the index names the shard `{}`, which leaves the checkpoint's folder", file.display())]
    Escape {
        /// The file named.
        file: PathBuf,
    },
    /// A shard is damaged.
    #[error("{} is not a readable safetensors file: {source}", path.display())]
    Shard {
        /// The shard.
        path: PathBuf,
        /// What the parser said.
        source: Box<candle_core::Error>,
    },
    /// A tensor is absent.
    #[error("the checkpoint has no tensor `{name}`, which its config.json calls for")]
    Missing {
        /// The tensor.
        name: String,
    },
    /// A tensor has another shape than the configuration says.
    #[error("tensor `{name}` has shape {found:?}, but config.json calls for {expected:?}")]
    Shape {
        /// The tensor.
        name: String,
        /// Its shape.
        found: Vec<usize>,
        /// The shape expected.
        expected: Vec<usize>,
    },
    /// A tensor nobody uses.
    #[error("the checkpoint has a tensor `{name}`, which a Llama model of its config.json does not have")]
    Unexpected {
        /// The tensor.
        name: String,
    },
    /// Writing the safetensors format failed.
    #[error("cannot serialise the tensors: {0}")]
    Serialise(#[from] safetensors::SafeTensorError),
    /// Converting a tensor failed.
    #[error("cannot convert a tensor to f32: {0}")]
    Convert(#[from] candle_core::Error),
}
