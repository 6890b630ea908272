//! `merger pod preflight`: whether the pool can be merged and the outputs be written, before anything costs a GPU.

use bytes::Bytes;
use mergesearch_merger::{Error, Location, MergeOptions, Plan, Pool, Sources, StorageError, Stores, plan};
use mergesearch_recipe::{Group, MergeMethod, Parameters, Recipe, Selection};
use mergesearch_search::contract::{Message, PoolFacts, PreflightRequest};

use super::fault::PodFault;
use super::termination::TerminationLog;
use crate::terminal::note;

/// Written into each output and deleted again.
const PROBE: &str = ".mergesearch-probe";

/// Reads all headers and tries every output; warnings that the message has no room for are only printed.
pub(super) async fn run(
    stores: &Stores,
    request: &PreflightRequest,
    log: &TerminationLog,
) -> Result<Message, PodFault> {
    let sources = Sources {
        checkpoints: request.checkpoints.clone(),
        base: request.base.clone(),
        tokenizer_from: request.tokenizer_from.clone(),
        vocabulary: request.vocabulary,
        align: request.align,
    };
    let of_preflight = |error: &Error| PodFault::of_preflight(error);
    let pool = Pool::open(stores, &sources).await.map_err(|error| of_preflight(&error))?;
    for output in &request.outputs {
        let location = stores.locate(output).map_err(|error| of_preflight(&error.into()))?;
        probe(stores, &location).await.map_err(|error| PodFault::storage(&error))?;
    }
    let plan = plan_of(&pool, request).map_err(|error| of_preflight(&error))?;
    let mut facts = PoolFacts {
        layers: pool.layer_count().unwrap_or(0),
        candidate_bytes: plan.bytes_written + plan.bytes_beside,
        fingerprints: pool.fingerprints(),
        warnings: Vec::new(),
    };
    for warning in pool.warnings() {
        note(&format!("warning: {warning}"));
        facts.warnings.push(warning.to_string());
        if !log.fits(&Message::Pool(facts.clone())) {
            facts.warnings.pop();
        }
    }
    Ok(Message::Pool(facts))
}

/// Does all that a search will do to its outputs: uploads in parts, whole objects, and deleting.
async fn probe(stores: &Stores, output: &Location) -> Result<(), StorageError> {
    stores.check_writable(output).await?;
    let probe = output.join(PROBE);
    stores.put(&probe, Bytes::new()).await?;
    stores.delete(&probe).await
}

/// What any merge of the pool takes: all of them have the same tensors.
fn plan_of(pool: &Pool, request: &PreflightRequest) -> Result<Plan, Error> {
    let recipe = Recipe {
        method: if request.base.is_some() { MergeMethod::TaskArithmetic } else { MergeMethod::Linear },
        checkpoints: request.checkpoints.clone(),
        base: request.base.clone(),
        groups: vec![Group {
            select: Selection::default(),
            weights: vec![1.0; request.checkpoints.len()],
            parameters: Parameters::default(),
        }],
        dtype: request.dtype,
        tokenizer_from: request.tokenizer_from.clone(),
        seed: 0,
        stack: Vec::new(),
        vocabulary: request.vocabulary,
        align: request.align,
    };
    // Memory is each merge's own matter.
    let options = MergeOptions {
        memory_budget: u64::MAX,
        max_shard_size: request.max_shard_size,
        ..MergeOptions::default()
    };
    plan(pool, std::slice::from_ref(&recipe), &Location::File("/".into()), &options)
}
