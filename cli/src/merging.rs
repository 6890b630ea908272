//! The merger as this program uses it: one pool, opened and compared once, and a share of the memory for each merge.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mergesearch_crds::Storage;
use mergesearch_merger::{
    Error, Fault, Location, MergeOptions, Pool, Progress, Publication, Sources, StorageError, StorageOptions,
    Stores, Warning,
};
use mergesearch_recipe::{Dtype, Recipe};

use crate::failure::Failure;

/// A pool that fits together, ready to be merged.
#[derive(Debug, Clone)]
pub(crate) struct Merging {
    stores: Stores,
    pool: Arc<Pool>,
    options: MergeOptions,
}

/// Why a merge was not made although its recipe may be right: the machine's or the storage's fault.
#[derive(Debug, thiserror::Error)]
#[error("merging failed: {0}")]
pub(crate) struct MergeFault(String);

/// How often a transient fault of the storage is given another chance.
const ATTEMPTS: u32 = 4;

impl Merging {
    /// Reads the pool's headers and finds out whether its checkpoints can be merged.
    ///
    /// # Errors
    /// The first thing that does not fit.
    pub(crate) async fn open(
        stores: Stores,
        sources: &Sources,
        options: MergeOptions,
    ) -> Result<Self, Error> {
        let pool = Arc::new(Pool::open(&stores, sources).await?);
        Ok(Self { stores, pool, options })
    }

    /// What the pool is like.
    pub(crate) fn pool(&self) -> &Pool {
        &self.pool
    }

    /// The same pool, with so many merges at a time sharing memory and processors.
    #[must_use]
    pub(crate) fn shared_by(mut self, merges: usize) -> Self {
        self.options.memory_budget /= merges.max(1) as u64;
        self.options.threads = self.options.threads.div_ceil(merges.max(1));
        self
    }

    /// Makes a candidate in a folder of this machine. The inner error is the recipe's own fault.
    pub(crate) async fn candidate(
        &self,
        recipe: &Recipe,
        folder: &Path,
    ) -> Result<Result<(), String>, MergeFault> {
        let output = Location::File(folder.to_owned());
        let options = MergeOptions { overwrite: true, ..self.options.clone() };
        let progress = Progress::default();
        let mut attempt = 0;
        loop {
            let merged =
                mergesearch_merger::merge(&self.stores, &self.pool, recipe, &output, &options, &progress);
            match merged.await {
                Ok(_) => return Ok(Ok(())),
                Err(error) if error.is_transient() && !is_full(&error) && attempt + 1 < ATTEMPTS => {
                    tokio::time::sleep(Duration::from_secs(1 << attempt)).await;
                    attempt += 1;
                }
                Err(error) if error.storage().is_some() || error.is_transient() => {
                    return Err(MergeFault(error.to_string()));
                }
                Err(error) => return Ok(Err(error.to_string())),
            }
        }
    }

    /// Writes a merge with its model card; gives back what to know about it.
    pub(crate) async fn publish(
        &self,
        recipe: &Recipe,
        output: &Location,
        publication: &Publication,
    ) -> Result<Vec<Warning>, Error> {
        let progress = Progress::default();
        let options = &self.options;
        let report = mergesearch_merger::publish(
            &self.stores,
            &self.pool,
            recipe,
            output,
            options,
            &progress,
            publication,
        );
        Ok(report.await?.warnings)
    }

    /// Fails when nothing can be written there.
    pub(crate) async fn check_writable(&self, output: &Location) -> Result<(), StorageError> {
        self.stores.check_writable(output).await
    }

    /// The element type that most of a checkpoint's bytes have.
    pub(crate) async fn main_dtype(&self, checkpoint: &Location) -> Result<Option<Dtype>, Error> {
        let mut bytes: BTreeMap<String, u64> = BTreeMap::new();
        for tensor in mergesearch_merger::inspect(&self.stores, checkpoint).await?.tensors {
            *bytes.entry(tensor.dtype).or_default() += tensor.bytes;
        }
        let main = bytes.into_iter().max_by_key(|(_, bytes)| *bytes).map(|(dtype, _)| dtype);
        Ok(main.and_then(|dtype| match dtype.as_str() {
            "BF16" => Some(Dtype::Bfloat16),
            "F16" => Some(Dtype::Float16),
            "F32" => Some(Dtype::Float32),
            "F64" => Some(Dtype::Float64),
            _ => None,
        }))
    }

    /// Waits until unfinished uploads are cleaned up. Call it before the program ends.
    pub(crate) async fn close(&self) {
        self.stores.close().await;
    }
}

/// How a command ends that could not read the pool or write its output: the input is wrong unless another attempt may
/// help.
pub(crate) fn failure_of(error: &Error) -> Failure {
    if error.is_transient() { Failure::Run(error.to_string()) } else { Failure::Input(error.to_string()) }
}

fn is_full(error: &Error) -> bool {
    error.storage().is_some_and(|error| error.fault == Fault::Full)
}

/// How a manifest's storage is reached from here.
pub(crate) fn storage_options(storage: &Storage) -> StorageOptions {
    StorageOptions {
        endpoint: storage.endpoint.clone(),
        region: storage.region.clone(),
        path_style: storage.path_style,
        ..StorageOptions::default()
    }
}
