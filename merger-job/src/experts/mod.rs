//! Matches the experts of mixture-of-experts models before they are merged: trained apart, the third expert of one may have
//! become what the fifth of another is.
//!
//! In every layer each checkpoint's experts are put into the order in which their weights, and their rows of the router, lie
//! closest to those of a reference, by the sum of squared differences over all experts: weight matching of Git Re-Basin
//! (Ainsworth et al. 2022, arXiv 2209.04836, section 3.2) for whole experts. The function of a checkpoint stays the same.

mod find;
mod similarity;

use std::collections::BTreeMap;
use std::sync::Arc;

use pathfinding::kuhn_munkres::kuhn_munkres;
use pathfinding::matrix::Matrix;

use self::find::{Layer, Part};
use crate::pool::{Pool, PoolTensor};
use crate::storage::Stores;
use crate::vocabulary::Rows;
use crate::{Error, MergeOptions};

/// Steps that similarities are told apart in, of the largest: far finer than bf16 weights can mean.
const STEPS: f64 = (1_u64 << 40) as f64;

/// The pool's tensors with every member's experts in the order of the reference's.
pub(crate) async fn aligned(
    stores: &Stores,
    pool: &Pool,
    reference: usize,
    options: &MergeOptions,
) -> Result<Vec<PoolTensor>, Error> {
    let layers = find::layers(&pool.tensors);
    let mut tensors = pool.tensors.to_vec();
    for layer in &layers {
        for member in (0..pool.members().len()).filter(|&member| member != reference) {
            let similarities =
                similarity::similarities(stores, pool, layer, reference, member, options).await?;
            let order = assign(layer.experts, &similarities);
            if order.iter().enumerate().any(|(place, &from)| place != from) {
                reorder(&mut tensors, &pool.tensors, layer, member, &order)?;
            }
        }
    }
    Ok(tensors)
}

/// Whether there are experts among the tensors.
pub(crate) fn are_in(tensors: &[PoolTensor]) -> bool {
    !find::layers(tensors).is_empty()
}

/// Bytes that are read for it.
pub(crate) fn bytes_read(pool: &Pool, reference: usize) -> u64 {
    let layers = find::layers(&pool.tensors);
    let tensors = layers.iter().flat_map(|layer| &layer.parts).flat_map(Part::tensors);
    let sizes = tensors.map(|&tensor| {
        let places = pool.tensors[tensor].places.iter().enumerate();
        let others: u64 =
            places.filter(|(member, _)| *member != reference).map(|(_, place)| place.size).sum();
        // The reference's are read once more for each of the others.
        others + pool.tensors[tensor].places[reference].size * (pool.members().len() as u64 - 1)
    });
    sizes.sum()
}

/// For each of the reference's experts the member's that it goes with, so that the sum of similarities is largest.
fn assign(experts: usize, similarities: &[f64]) -> Vec<usize> {
    let largest = similarities.iter().fold(f64::MIN_POSITIVE, |largest, value| largest.max(value.abs()));
    // What isn't a number becomes 0.
    let steps = similarities.iter().map(|value| (value / largest * STEPS) as i64).collect();
    match Matrix::from_vec(experts, experts, steps) {
        Ok(matrix) => kuhn_munkres(&matrix).1,
        Err(_) => (0..experts).collect(),
    }
}

fn reorder(
    tensors: &mut [PoolTensor],
    before: &[PoolTensor],
    layer: &Layer,
    member: usize,
    order: &[usize],
) -> Result<(), Error> {
    for part in &layer.parts {
        match part {
            Part::Apart(experts) => {
                for (&to, &from) in experts.iter().zip(order) {
                    tensors[to].places[member] = before[experts[from]].places[member].clone();
                }
            }
            Part::Rows(tensor) => {
                let PoolTensor { name, places, .. } = &mut tensors[*tensor];
                if places[member].adjustment.is_some() {
                    return Err(Error::AdjustedExperts { tensor: name.clone() });
                }
                let mut rows = Rows::default();
                for &from in order {
                    rows.push(vec![(member, from as u64)]);
                }
                places[member].rows = Some(Arc::new(rows));
            }
        }
    }
    Ok(())
}

/// What [`Pool::aligned`] found, by reference.
pub(crate) type Found = BTreeMap<usize, Arc<[PoolTensor]>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_order_of_all_counts_not_the_best_of_each() {
        // Taken one by one, the first would take the second's best and leave it with -9.
        let similarities = [0.9, 1.0, 0.0, -9.0, 0.8, 0.1, 0.2, 0.3, 0.7];
        assert_eq!(assign(3, &similarities), [0, 1, 2]);
        assert_eq!(assign(2, &[f64::NAN, 1.0, 1.0, f64::NAN]), [1, 0]);
        assert_eq!(assign(1, &[0.0]), [0]);
    }
}
