//! Numbers that a tensor's elements are ranked by.

use std::sync::Arc;

use super::{Chunk, TILE, Tile, key};

/// The variance of the checkpoints' differences, element by element.
#[inline(always)]
pub(super) fn variance(
    sources: &[Tile],
    base: &Tile,
    slots: impl Iterator<Item = usize> + Clone,
    out: &mut Tile,
) {
    let count = slots.clone().count() as f64;
    let mut mean = [0.0; TILE];
    for slot in slots.clone() {
        for place in 0..TILE {
            mean[place] += sources[slot][place] - base[place];
        }
    }
    for sum in &mut mean {
        *sum /= count;
    }
    *out = [0.0; TILE];
    for slot in slots {
        for place in 0..TILE {
            let deviation = sources[slot][place] - base[place] - mean[place];
            out[place] += deviation * deviation;
        }
    }
    for sum in out {
        *sum /= count;
    }
}

/// Numbers that elements are ranked by, by [`key`].
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Series {
    /// The difference of a source from the base.
    Difference { base: usize, slot: usize },
    /// The variance of several sources' differences from the base.
    Variance { base: usize, slots: Vec<usize> },
    /// The difference of the second source from the first, times its row's divergence.
    Importance {
        /// For each row.
        divergences: Arc<[f64]>,
    },
}

impl Series {
    /// The keys of one tile.
    #[inline(always)]
    pub(crate) fn keys(
        &self,
        chunk: &Chunk<'_>,
        sources: &[Tile],
        (start, count): (usize, usize),
        keys: &mut [u32; TILE],
    ) {
        match self {
            Self::Difference { base, slot } => {
                let (base, values) = (&sources[*base], &sources[*slot]);
                for place in 0..TILE {
                    keys[place] = key(values[place] - base[place]);
                }
            }
            Self::Variance { base, slots } => {
                let mut variances = [0.0; TILE];
                variance(sources, &sources[*base], slots.iter().copied(), &mut variances);
                for place in 0..TILE {
                    keys[place] = key(variances[place]);
                }
            }
            Self::Importance { divergences } => {
                for place in 0..count {
                    let row = (chunk.first as usize + start + place) / chunk.row.max(1);
                    keys[place] = key((sources[1][place] - sources[0][place]).abs() * divergences[row]);
                }
            }
        }
    }
}
