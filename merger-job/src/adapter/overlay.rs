//! Lays an adapter over its base: which tensors it changes, and which it replaces.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::AdapterConfig;
use crate::adjustment::{Adjustment, LowRank, Matrix, Stored};
use crate::checkpoint::{Opened, TensorPlace};
use crate::error::CheckpointError;
use crate::roles;

/// Before every name in an adapter's file.
const PREFIX: &str = "base_model.model.";

/// An adapter's matrices for one module.
#[derive(Default)]
struct Found<'a> {
    a: Option<&'a TensorPlace>,
    b: Option<&'a TensorPlace>,
    magnitude: Option<&'a TensorPlace>,
    /// Of embeddings, whose rows are inputs.
    embedding: bool,
}

/// The base as the adapter changes it. Its files are the base's and the adapter's own behind them, its other files the
/// adapter's.
pub(crate) fn overlay(
    base: &Opened,
    adapter: &Opened,
    config: &AdapterConfig,
) -> Result<Opened, CheckpointError> {
    let shard = base.shards.len();
    let mut tensors = base.tensors.clone();
    let mut modules: BTreeMap<&str, Found<'_>> = BTreeMap::new();
    for (name, place) in &adapter.tensors {
        let unknown =
            || CheckpointError::Adapter { tensor: name.clone(), reason: "it isn't of a kind that is known" };
        let rest = name.strip_prefix(PREFIX).ok_or_else(unknown)?;
        if let Some(module) = rest.strip_suffix(".lora_A.weight") {
            modules.entry(module).or_default().a = Some(place);
        } else if let Some(module) = rest.strip_suffix(".lora_B.weight") {
            modules.entry(module).or_default().b = Some(place);
        } else if let Some(module) = rest.strip_suffix(".lora_embedding_A") {
            let found = modules.entry(module).or_default();
            (found.a, found.embedding) = (Some(place), true);
        } else if let Some(module) = rest.strip_suffix(".lora_embedding_B") {
            modules.entry(module).or_default().b = Some(place);
        } else if let Some(module) = rest
            .strip_suffix(".lora_magnitude_vector")
            .or_else(|| rest.strip_suffix(".lora_magnitude_vector.weight"))
        {
            modules.entry(module).or_default().magnitude = Some(place);
        } else if rest.contains(".lora_") {
            return Err(unknown());
        } else {
            // A whole tensor, of a module that was trained itself.
            let target = rest.replace(".modules_to_save", "").replace(".base_layer", "");
            replace(&mut tensors, base, name, &target, TensorPlace { shard, ..place.clone() })?;
        }
    }
    for (module, found) in modules {
        let target = format!("{module}.weight");
        let name = format!("{PREFIX}{module}.lora_A.weight");
        let fail = |reason| CheckpointError::Adapter { tensor: name.clone(), reason };
        let weight = tensors.get_mut(&target).ok_or_else(|| fail("the base has no such weights"))?;
        let low_rank = low_rank(module, &found, weight, config, shard).map_err(fail)?;
        let scales = weight.adjustment.as_ref().and_then(|adjustment| adjustment.scales.clone());
        weight.adjustment = Some(Arc::new(Adjustment { scales, low_rank: Some(low_rank) }));
    }
    let mut shards = base.shards.clone();
    shards.extend(adapter.shards.iter().cloned());
    Ok(Opened {
        entries: adapter.entries.clone(),
        shards,
        tensors,
        config: base.config.clone(),
        adapter: adapter.adapter.clone(),
    })
}

fn replace(
    tensors: &mut BTreeMap<String, TensorPlace>,
    base: &Opened,
    name: &str,
    target: &str,
    place: TensorPlace,
) -> Result<(), CheckpointError> {
    let fail = |reason| CheckpointError::Adapter { tensor: name.to_owned(), reason };
    match base.tensors.get(target) {
        Some(weight) if weight.shape == place.shape => {}
        Some(_) => return Err(fail("the base's tensor has another shape")),
        // An output head that the base ties is written all the same; that it equals the embedding is checked as of any.
        None if roles::is_head(target) => {}
        None => return Err(fail("the base has no such tensor")),
    }
    tensors.insert(target.to_owned(), place);
    Ok(())
}

fn low_rank(
    module: &str,
    found: &Found<'_>,
    weight: &TensorPlace,
    config: &AdapterConfig,
    shard: usize,
) -> Result<LowRank, &'static str> {
    let (Some(a), Some(b)) = (found.a, found.b) else { return Err("one of its two matrices is missing") };
    let ([rank, inputs], [outputs, columns]) = (&a.shape[..], &b.shape[..]) else {
        return Err("expected matrices");
    };
    let transposed = found.embedding || config.fan_in_fan_out;
    let expected = if transposed { [*inputs, *outputs] } else { [*outputs, *inputs] };
    if rank != columns || *rank == 0 || weight.shape != expected {
        return Err("its shape doesn't fit the other matrix and the base's weights");
    }
    let stored = |place: &TensorPlace| {
        let narrow = place.element.float().is_some_and(|float| float.bytes() <= 4);
        let stored = Stored { element: place.element, shard, offset: place.offset, size: place.size };
        if narrow { Ok(stored) } else { Err("its type can't be applied, expected F32, BF16 or F16") }
    };
    let magnitude = match found.magnitude {
        None if config.dora => return Err("use_dora is set, but it has no magnitudes"),
        None => None,
        Some(_) if transposed => return Err("DoRA of embeddings and of transposed weights can't be applied"),
        Some(magnitude) if magnitude.shape.iter().product::<u64>() != *outputs => {
            return Err("its magnitudes aren't one for each output");
        }
        Some(magnitude) => Some(stored(magnitude)?),
    };
    let (a, b) = (Matrix { stored: stored(a)?, transposed }, Matrix { stored: stored(b)?, transposed });
    let (left, right) = if transposed { (a, b) } else { (b, a) };
    Ok(LowRank { left, right, rank: *rank, factor: config.factor(module, *rank), magnitude })
}
