//! Looks at one checkpoint by its headers: files, tensors, sizes.

use mergesearch_recipe::TensorPosition;
use serde::Serialize;

use crate::checkpoint::Opened;
use crate::storage::Stores;
use crate::{Error, Location};

/// What a checkpoint's headers say. Serialises to the JSON of `merger inspect --json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Inspection {
    /// The folder.
    pub location: String,
    /// `model_type` of config.json.
    pub model_type: Option<String>,
    /// Transformer layers, by the tensors' names.
    pub layers: Option<u32>,
    /// Numbers in all tensors together.
    pub parameters: u64,
    /// Bytes of all tensors together.
    pub bytes: u64,
    /// The safetensors files.
    pub files: Vec<InspectedFile>,
    /// The tensors, by name.
    pub tensors: Vec<InspectedTensor>,
}

/// One safetensors file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InspectedFile {
    /// Its name in the folder.
    pub name: String,
    /// Bytes, header included.
    pub bytes: u64,
    /// Its version.
    pub etag: String,
}

/// One tensor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InspectedTensor {
    /// Its name.
    pub name: String,
    /// The element type's safetensors name.
    pub dtype: String,
    /// Extents, outermost first.
    pub shape: Vec<u64>,
    /// Bytes.
    pub bytes: u64,
    /// The file it is in.
    pub file: String,
}

/// Reads the headers of the checkpoint at that place, and checks them as a merge would.
pub async fn inspect(stores: &Stores, location: &Location) -> Result<Inspection, Error> {
    let Opened { shards, tensors, config, .. } = Opened::read(stores, location).await?;
    let tensors: Vec<InspectedTensor> = tensors
        .into_iter()
        .map(|(name, place)| InspectedTensor {
            name,
            dtype: place.element.to_string(),
            shape: place.shape,
            bytes: place.size,
            file: shards[place.shard].name().to_owned(),
        })
        .collect();
    Ok(Inspection {
        location: location.to_string(),
        model_type: config.get("model_type").and_then(|kind| kind.as_str()).map(str::to_owned),
        layers: TensorPosition::layer_count(tensors.iter().map(|tensor| tensor.name.as_str())),
        parameters: tensors
            .iter()
            .map(|tensor| tensor.shape.iter().product::<u64>())
            .fold(0, u64::saturating_add),
        bytes: tensors.iter().map(|tensor| tensor.bytes).sum(),
        files: shards
            .iter()
            .map(|shard| InspectedFile {
                name: shard.name().to_owned(),
                bytes: shard.size,
                etag: shard.etag.clone(),
            })
            .collect(),
        tensors,
    })
}
