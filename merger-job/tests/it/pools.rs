//! Writes small checkpoints in Hugging Face layout for the tests.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use mergesearch_merger::{
    Error, Location, MergeOptions, MergeReport, Pool, Progress, Sources, StorageOptions, Stores, merge,
};
use mergesearch_recipe::{Checkpoint, Group, MergeMethod, Recipe};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::{Value, json};

/// One tensor with its bytes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Data {
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<usize>,
    pub(crate) bytes: Vec<u8>,
}

pub(crate) type Model = BTreeMap<String, Data>;

impl Data {
    /// The values in that type, rounded on the way.
    pub(crate) fn new(dtype: Dtype, shape: &[usize], values: &[f64]) -> Self {
        let bytes = values.iter().flat_map(|&value| element(dtype, value)).collect();
        Self { dtype, shape: shape.to_vec(), bytes }
    }

    pub(crate) fn values(&self) -> Vec<f64> {
        let pairs = || self.bytes.as_chunks::<2>().0.iter();
        match self.dtype {
            Dtype::BF16 => pairs().map(|bytes| bf16::from_le_bytes(*bytes).to_f64()).collect(),
            Dtype::F16 => pairs().map(|bytes| f16::from_le_bytes(*bytes).to_f64()).collect(),
            Dtype::F32 => {
                self.bytes.as_chunks().0.iter().map(|bytes| f64::from(f32::from_le_bytes(*bytes))).collect()
            }
            Dtype::F64 => self.bytes.as_chunks().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect(),
            other => panic!("no floats: {other:?}"),
        }
    }
}

/// One value, rounded to nearest, ties to even: written differently from the merger, by searching the neighbours.
pub(crate) fn element(dtype: Dtype, value: f64) -> Vec<u8> {
    match dtype {
        Dtype::BF16 => nearest(value, bf16::from_f64(value).to_bits(), |bits| bf16::from_bits(bits).to_f64()),
        Dtype::F16 => nearest(value, f16::from_f64(value).to_bits(), |bits| f16::from_bits(bits).to_f64()),
        Dtype::F32 => (value as f32).to_le_bytes().to_vec(),
        Dtype::F64 => value.to_le_bytes().to_vec(),
        other => panic!("no float: {other:?}"),
    }
}

/// The best of a guess and its two neighbours; half's own conversion from f64 drops bits that decide ties.
fn nearest(value: f64, guess: u16, widen: fn(u16) -> f64) -> Vec<u8> {
    let around = [guess, guess.wrapping_add(1), guess.wrapping_sub(1)];
    let finite = around.into_iter().filter(|bits| {
        widen(*bits).is_finite() && widen(*bits).is_sign_negative() == value.is_sign_negative()
    });
    let distance = |bits: u16| (widen(bits) - value).abs();
    let best = finite.min_by(|&left, &right| {
        distance(left).total_cmp(&distance(right)).then((left % 2).cmp(&(right % 2)))
    });
    best.unwrap_or(guess).to_le_bytes().to_vec()
}

/// A folder with one checkpoint, in one file or several.
pub(crate) fn write(folder: &Path, model: &Model, shards: usize) {
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join("config.json"), config().to_string()).unwrap();
    fs::write(folder.join("generation_config.json"), r#"{"eos_token_id": 2}"#).unwrap();
    if shards == 1 {
        fs::write(folder.join("model.safetensors"), serialize(model)).unwrap();
        return;
    }
    let mut weight_map = BTreeMap::new();
    for shard in 0..shards {
        let file = format!("model-{:05}-of-{shards:05}.safetensors", shard + 1);
        let part: Model = model
            .iter()
            .enumerate()
            .filter(|(place, _)| place % shards == shard)
            .map(|(_, (name, data))| (name.clone(), data.clone()))
            .collect();
        weight_map.extend(part.keys().map(|name| (name.clone(), file.clone())));
        fs::write(folder.join(&file), serialize(&part)).unwrap();
    }
    let index = json!({"metadata": {"total_size": 1}, "weight_map": weight_map});
    fs::write(folder.join("model.safetensors.index.json"), index.to_string()).unwrap();
}

pub(crate) fn config() -> Value {
    json!({
        "model_type": "llama", "hidden_size": 8, "num_attention_heads": 2, "num_hidden_layers": 2,
        "rope_theta": 10000.0, "torch_dtype": "float32", "tie_word_embeddings": false, "eos_token_id": 2,
    })
}

/// The file as the safetensors library writes it.
pub(crate) fn serialize(model: &Model) -> Vec<u8> {
    let views = model
        .iter()
        .map(|(name, data)| (name, TensorView::new(data.dtype, data.shape.clone(), &data.bytes).unwrap()));
    let metadata = [("format".to_owned(), "pt".to_owned())].into();
    safetensors::serialize(views, Some(metadata)).unwrap()
}

/// All tensors of a folder.
pub(crate) fn read(folder: &Path) -> Model {
    let mut model = Model::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "safetensors") {
            let bytes = fs::read(path).unwrap();
            for (name, view) in safetensors::SafeTensors::deserialize(&bytes).unwrap().tensors() {
                let (dtype, shape, bytes) = (view.dtype(), view.shape().to_vec(), view.data().to_vec());
                model.insert(name, Data { dtype, shape, bytes });
            }
        }
    }
    model
}

/// A folder of checkpoints `a`, `b`, ... and what to call them by.
pub(crate) struct Folder {
    pub(crate) root: tempfile::TempDir,
}

impl Folder {
    pub(crate) fn new(models: &[Model]) -> Self {
        let folder = Self { root: tempfile::tempdir().unwrap() };
        for (place, model) in models.iter().enumerate() {
            write(&folder.path(&name(place)), model, 1 + place % 2);
        }
        folder
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub(crate) fn location(&self, name: &str) -> Location {
        self.uri(name).parse().unwrap()
    }

    pub(crate) fn uri(&self, name: &str) -> String {
        format!("file://{}", self.path(name).display())
    }

    pub(crate) fn checkpoint(&self, place: usize) -> Checkpoint {
        let name = name(place);
        Checkpoint { uri: self.uri(&name), name: name.try_into().unwrap() }
    }

    /// A recipe of the first checkpoints, one for each weight, for all tensors alike.
    pub(crate) fn recipe(&self, method: MergeMethod, weights: &[f64]) -> Recipe {
        Recipe {
            method,
            checkpoints: (0..weights.len()).map(|place| self.checkpoint(place)).collect(),
            base: None,
            groups: vec![Group {
                select: mergesearch_recipe::Selection::default(),
                weights: weights.to_vec(),
                parameters: mergesearch_recipe::Parameters::default(),
            }],
            dtype: None,
            tokenizer_from: None,
            seed: 0,
            stack: Vec::new(),
            vocabulary: None,
            align: None,
        }
    }
}

pub(crate) fn name(place: usize) -> String {
    char::from(b'a' + place as u8).to_string()
}

pub(crate) fn stores() -> Stores {
    Stores::new(StorageOptions::default()).unwrap()
}

/// Runs to the end on a runtime of several threads.
pub(crate) fn wait<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(work)
}

/// Opens the recipe's pool and merges it into that folder.
pub(crate) fn merge_into(
    folder: &Folder,
    recipe: &Recipe,
    output: &str,
    options: &MergeOptions,
) -> Result<MergeReport, Error> {
    wait(async {
        let stores = stores();
        let pool = Pool::open(&stores, &Sources::from(recipe)).await?;
        merge(&stores, &pool, recipe, &folder.location(output), options, &Progress::default()).await
    })
}

pub(crate) fn open(recipe: &Recipe) -> Result<Pool, Error> {
    wait(Pool::open(&stores(), &Sources::from(recipe)))
}
