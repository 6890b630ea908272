//! Finds the scales of 8-bit weights among a checkpoint's tensors.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::{Adjustment, Scales, Stored};
use crate::ElementType;
use crate::checkpoint::TensorPlace;
use crate::error::CheckpointError;

/// Scales of blocks, as `DeepSeek` writes them; to be multiplied by, whatever the name says.
const OF_BLOCKS: &str = "_scale_inv";
/// Scales of whole tensors or of rows, as compressed-tensors and FBGEMM write them.
const OF_ROWS: &str = "_scale";
/// Scales of what goes into a layer: nothing that weights need.
const OF_INPUTS: &str = "input_scale";
/// Rows and columns of a block where config.json doesn't say.
const BLOCK: u64 = 128;

/// Takes the scales of 8-bit floating-point weights out of the tensors and gives them to the weights they belong to. Scales
/// of other quantizations stay tensors.
pub(crate) fn attach(
    tensors: &mut BTreeMap<String, TensorPlace>,
    config: &Value,
) -> Result<(), CheckpointError> {
    let block = block(config);
    let names: Vec<String> = tensors.keys().filter(|name| name.ends_with(".weight")).cloned().collect();
    for name in names {
        let Some(weight) = tensors.get(&name) else { continue };
        if !matches!(weight.element, ElementType::F8_E4M3 | ElementType::F8_E5M2) {
            continue;
        }
        let Some((scale, place)) = [OF_BLOCKS, OF_ROWS].iter().find_map(|suffix| {
            let scale = format!("{name}{suffix}");
            let place = tensors.get(&scale)?.clone();
            Some((scale, place))
        }) else {
            continue;
        };
        let of_blocks = scale.ends_with(OF_BLOCKS);
        let Some(scales) = scales(weight, &place, of_blocks.then_some(block)) else {
            return Err(CheckpointError::Scale {
                scale,
                shape: place.shape,
                element: place.element,
                weight_shape: weight.shape.clone(),
            });
        };
        let adjustment = Adjustment { scales: Some(scales), low_rank: None };
        tensors.remove(&scale);
        tensors.remove(&format!("{}{OF_INPUTS}", name.trim_end_matches("weight")));
        if let Some(weight) = tensors.get_mut(&name) {
            weight.adjustment = Some(Arc::new(adjustment));
        }
    }
    Ok(())
}

/// `weight_block_size` of config.json.
fn block(config: &Value) -> (u64, u64) {
    let said = config.pointer("/quantization_config/weight_block_size").and_then(Value::as_array);
    let sides: Vec<u64> =
        said.into_iter().flatten().filter_map(Value::as_u64).filter(|&side| side > 0).collect();
    match sides[..] {
        [rows, columns] => (rows, columns),
        _ => (BLOCK, BLOCK),
    }
}

/// What the scales are of by the two shapes; `None` where they don't fit.
fn scales(weight: &TensorPlace, scale: &TensorPlace, block: Option<(u64, u64)>) -> Option<Scales> {
    scale.element.float()?;
    let (&columns, outer) = weight.shape.split_last()?;
    let rows = outer.last().copied().unwrap_or(1);
    let expected = |(down, across): (u64, u64)| {
        let mut shape = weight.shape.clone();
        let last = shape.len() - 1;
        shape[last] = columns.div_ceil(across);
        if let Some(rows) = last.checked_sub(1) {
            shape[rows] = shape[rows].div_ceil(down);
        }
        shape
    };
    let stored =
        Stored { element: scale.element, shard: scale.shard, offset: scale.offset, size: scale.size };
    let one = scale.shape.iter().product::<u64>() == 1;
    let block = match block {
        Some(block) if scale.shape == expected(block) => block,
        // One for all is one for each matrix of a stack of one.
        None if one && outer.len() <= 1 => (rows.max(1), columns.max(1)),
        None if scale.shape == expected((1, columns.max(1))) || scale.shape == *outer => (1, columns.max(1)),
        _ => return None,
    };
    Some(Scales { stored, block, rows })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn place(element: ElementType, shape: &[u64]) -> TensorPlace {
        let size = shape.iter().product::<u64>() * element.bits() / 8;
        TensorPlace { element, shape: shape.to_vec(), shard: 0, offset: 0, size, adjustment: None }
    }

    fn attached(scale: &str, shape: &[u64]) -> Result<(u64, u64), CheckpointError> {
        let mut tensors = BTreeMap::from([
            ("a.weight".to_owned(), place(ElementType::F8_E4M3, &[300, 200])),
            (format!("a.{scale}"), place(ElementType::F32, shape)),
            ("a.input_scale".to_owned(), place(ElementType::F32, &[])),
        ]);
        attach(&mut tensors, &json!({"quantization_config": {"weight_block_size": [128, 64]}}))?;
        assert_eq!(tensors.len(), 1);
        let adjustment = tensors["a.weight"].adjustment.clone().unwrap();
        Ok(adjustment.scales.clone().unwrap().block)
    }

    #[test]
    fn blocks_follow_from_the_config_and_the_shapes() {
        assert_eq!(attached("weight_scale_inv", &[3, 4]).unwrap(), (128, 64));
        assert_eq!(attached("weight_scale", &[]).unwrap(), (300, 200));
        assert_eq!(attached("weight_scale", &[300, 1]).unwrap(), (1, 200));
        assert_eq!(attached("weight_scale", &[300]).unwrap(), (1, 200));
        let error = attached("weight_scale_inv", &[2, 4]).unwrap_err().to_string();
        assert!(error.contains("weight_scale_inv") && error.contains("[2, 4]"), "{error}");
    }

    #[test]
    fn scales_of_other_quantizations_stay() {
        let mut tensors = BTreeMap::from([
            ("a.weight".to_owned(), place(ElementType::U8, &[2, 2])),
            ("a.weight_scale".to_owned(), place(ElementType::F32, &[])),
        ]);
        attach(&mut tensors, &json!({})).unwrap();
        assert_eq!(tensors.len(), 2);
    }
}
