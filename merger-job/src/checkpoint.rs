//! Opens one checkpoint by its headers: which tensors it has, and where in which pinned file each one is.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};
use mergesearch_recipe::{Checkpoint, CheckpointName};
use serde::Deserialize;
use serde_json::Value;

use crate::adapter::{self, AdapterConfig, overlay};
use crate::adjustment::{Adjustment, attach_scales};
use crate::error::CheckpointError;
use crate::header::{self, Tensor};
use crate::storage::{Entry, Object, Stores};
use crate::unique_map::UniqueMap;
use crate::{ElementType, Location, printable};

/// The index of a model in several files.
const INDEX: &str = "model.safetensors.index.json";
/// Headers read at the same time for one checkpoint.
const HEADERS_AT_ONCE: usize = 8;
/// Longest index of shards.
const MAX_INDEX: u64 = 100_000_000;
/// Longest config or tokenizer config.
pub(crate) const MAX_CONFIG: u64 = 16 << 20;

/// A checkpoint of the pool whose headers were read.
#[derive(Debug, Clone)]
pub(crate) struct OpenCheckpoint {
    pub(crate) name: CheckpointName,
    pub(crate) uri: String,
    pub(crate) location: Location,
    opened: Opened,
}

/// What is in a checkpoint's folder.
#[derive(Debug, Clone)]
pub(crate) struct Opened {
    /// The files of the folder.
    pub(crate) entries: Vec<Entry>,
    /// The shards, pinned.
    pub(crate) shards: Vec<Object>,
    pub(crate) tensors: BTreeMap<String, TensorPlace>,
    pub(crate) config: Value,
    /// The text of its `adapter_config.json`, if it is an adapter.
    pub(crate) adapter: Option<String>,
}

impl Deref for OpenCheckpoint {
    type Target = Opened;

    fn deref(&self) -> &Opened {
        &self.opened
    }
}

/// One tensor's form and place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TensorPlace {
    pub(crate) element: ElementType,
    pub(crate) shape: Vec<u64>,
    /// Index of the file in the checkpoint's `shards`.
    pub(crate) shard: usize,
    /// First byte in the file.
    pub(crate) offset: u64,
    /// Bytes.
    pub(crate) size: u64,
    /// What makes weights of its numbers, if they aren't the weights.
    pub(crate) adjustment: Option<Arc<Adjustment>>,
}

/// `model.safetensors.index.json`.
#[derive(Deserialize)]
struct Index {
    weight_map: UniqueMap<String>,
}

impl OpenCheckpoint {
    /// Reads the index, all headers and config.json of the checkpoint.
    pub(crate) async fn open(stores: &Stores, checkpoint: &Checkpoint) -> Result<Self, crate::Error> {
        let location = stores.locate(&checkpoint.uri)?;
        let (name, uri) = (checkpoint.name.clone(), checkpoint.uri.clone());
        let opened = Opened::read(stores, &location).await.and_then(|mut opened| {
            attach_scales(&mut opened.tensors, &opened.config)?;
            Ok(opened)
        });
        match opened {
            Ok(opened) => Ok(Self { name, uri, location, opened }),
            Err(source) => Err(crate::Error::Checkpoint { checkpoint: name, source: Box::new(source) }),
        }
    }

    /// The adapter laid over the base.
    pub(crate) fn over(self, base: &Opened) -> Result<Self, crate::Error> {
        let Some(config) = &self.opened.adapter else { return Ok(self) };
        let config = AdapterConfig::parse(config).map_err(|source| self.blame(source))?;
        let opened = overlay(base, &self.opened, &config).map_err(|source| self.blame(source))?;
        Ok(Self { opened, ..self })
    }

    /// Adds the checkpoint's name to an error about it.
    pub(crate) fn blame(&self, source: CheckpointError) -> crate::Error {
        crate::Error::Checkpoint { checkpoint: self.name.clone(), source: Box::new(source) }
    }
}

impl Opened {
    /// Reads the index, all headers and config.json in the folder.
    pub(crate) async fn read(stores: &Stores, location: &Location) -> Result<Self, CheckpointError> {
        let entries = stores.list(location).await?;
        let has = |name: &str| entries.iter().any(|entry| entry.name == name);
        // As transformers does: a single file goes before an index.
        let (files, weight_map) = if has("model.safetensors") {
            (vec!["model.safetensors".to_owned()], None)
        } else if has(INDEX) {
            let weight_map = read_index(stores, location).await?;
            let files: BTreeSet<String> = weight_map.values().cloned().collect();
            if let Some(missing) = files.iter().find(|file| !has(file)) {
                return Err(CheckpointError::NoFile {
                    location: location.to_string(),
                    file: missing.clone(),
                });
            }
            (files.into_iter().collect(), Some(weight_map))
        } else if has(adapter::WEIGHTS_FILE) && has(adapter::CONFIG_FILE) {
            (vec![adapter::WEIGHTS_FILE.to_owned()], None)
        } else {
            let pickled = entries.iter().any(|entry| entry.name.starts_with("pytorch_model"));
            let hint = if pickled { ", only pytorch_model files: convert them to safetensors" } else { "" };
            return Err(CheckpointError::NoModel { location: location.to_string(), hint });
        };
        let opened: Vec<(Object, u64, Vec<Tensor>)> = stream::iter(&files)
            .map(|file| read_header(stores, location, file))
            .buffered(HEADERS_AT_ONCE)
            .try_collect()
            .await?;
        let mut tensors = BTreeMap::new();
        for (shard, (file, (_, data, found))) in files.iter().zip(&opened).enumerate() {
            if found.is_empty() {
                return Err(CheckpointError::Empty { file: file.clone() });
            }
            for tensor in found {
                let placed = weight_map.as_ref().is_none_or(|map| map.get(&tensor.name) == Some(file));
                if !placed {
                    return Err(CheckpointError::NotInIndex {
                        tensor: tensor.name.clone(),
                        file: file.clone(),
                    });
                }
                let place = TensorPlace {
                    element: tensor.element,
                    shape: tensor.shape.clone(),
                    shard,
                    offset: data + tensor.begin,
                    size: tensor.end - tensor.begin,
                    adjustment: None,
                };
                tensors.insert(tensor.name.clone(), place);
            }
        }
        if let Some((tensor, file)) =
            weight_map.iter().flatten().find(|(tensor, _)| !tensors.contains_key(*tensor))
        {
            return Err(CheckpointError::NotInShard { tensor: tensor.clone(), file: file.clone() });
        }
        let shards = opened.into_iter().map(|(object, _, _)| object).collect();
        if files == [adapter::WEIGHTS_FILE] {
            let text = read_small(stores, location, adapter::CONFIG_FILE, MAX_CONFIG).await?;
            let adapter = Some(String::from_utf8_lossy(&text).into_owned());
            return Ok(Self { entries, shards, tensors, config: Value::Null, adapter });
        }
        if !has("config.json") {
            return Err(CheckpointError::NoFile {
                location: location.to_string(),
                file: "config.json".to_owned(),
            });
        }
        let config: Value = read_json(stores, location, "config.json", MAX_CONFIG).await?;
        if !config.is_object() {
            let message = "expected an object".to_owned();
            return Err(CheckpointError::Json { file: "config.json".to_owned(), message });
        }
        Ok(Self { entries, shards, tensors, config, adapter: None })
    }

    /// Whether the folder has a file of that name.
    pub(crate) fn has(&self, file: &str) -> bool {
        self.entries.iter().any(|entry| entry.name == file)
    }
}

/// Which file each tensor is in. Every file is a plain name: nothing outside the folder is ever read.
async fn read_index(
    stores: &Stores,
    location: &Location,
) -> Result<BTreeMap<String, String>, CheckpointError> {
    let bytes = read_small(stores, location, INDEX, MAX_INDEX).await?;
    parse_index(&bytes)
}

/// The same from the file's bytes.
pub(crate) fn parse_index(bytes: &[u8]) -> Result<BTreeMap<String, String>, CheckpointError> {
    let index: Index = parse_json(INDEX, bytes)?;
    if index.weight_map.0.is_empty() {
        return Err(CheckpointError::Empty { file: INDEX.to_owned() });
    }
    for (tensor, file) in &index.weight_map.0 {
        let plain = !file.contains(['/', '\\']) && !file.starts_with('.') && !file.contains(char::is_control);
        if !plain || !file.ends_with(".safetensors") {
            return Err(CheckpointError::LeavesFolder { tensor: tensor.clone(), file: file.clone() });
        }
    }
    Ok(index.weight_map.0.into_iter().collect())
}

/// The pinned file, where its tensors' bytes begin, and its tensors.
async fn read_header(
    stores: &Stores,
    location: &Location,
    file: &str,
) -> Result<(Object, u64, Vec<Tensor>), CheckpointError> {
    let object = stores.head(&location.join(file)).await?;
    let in_header = |source| CheckpointError::Header { file: file.to_owned(), source };
    if object.size < header::LENGTH_BYTES {
        return Err(in_header(header::HeaderError::TooShort(object.size)));
    }
    let first = stores.read(&object, 0, 8).await?;
    let first = <[u8; 8]>::try_from(first.as_ref()).unwrap_or([u8::MAX; 8]);
    let length = header::header_length(first, object.size).map_err(in_header)?;
    let text = stores.read(&object, header::LENGTH_BYTES, length as usize).await?;
    let tensors = header::parse(&text, object.size).map_err(in_header)?;
    Ok((object, header::LENGTH_BYTES + length, tensors))
}

/// A whole small file.
pub(crate) async fn read_small(
    stores: &Stores,
    folder: &Location,
    file: &str,
    limit: u64,
) -> Result<Bytes, CheckpointError> {
    let object = stores.head(&folder.join(file)).await?;
    if object.size > limit {
        return Err(CheckpointError::TooLong { file: file.to_owned(), size: object.size, limit });
    }
    Ok(stores.read(&object, 0, object.size as usize).await?)
}

/// A whole small JSON file.
pub(crate) async fn read_json<T: for<'de> Deserialize<'de>>(
    stores: &Stores,
    folder: &Location,
    file: &str,
    limit: u64,
) -> Result<T, CheckpointError> {
    let bytes = read_small(stores, folder, file, limit).await?;
    parse_json(file, &bytes)
}

fn parse_json<T: for<'de> Deserialize<'de>>(file: &str, bytes: &[u8]) -> Result<T, CheckpointError> {
    serde_json::from_slice(bytes).map_err(|error| CheckpointError::Json {
        file: file.to_owned(),
        message: printable(&error.to_string()),
    })
}
