//! The arithmetic: combines chunks of several tensors into one, in f64, rounding once.
//!
//! Everything here is one f64 operation after the other, in an order that is part of the result; a product and the sum
//! after it are never fused. Loops are over tiles, short arrays of fixed length, so that the compiler makes vectors of
//! them ([`crate::simd`]).
#![expect(
    clippy::inline_always,
    reason = "what isn't inlined into a kernel isn't compiled for its instructions"
)]

mod combine;
mod cut;
mod formula;
mod rows;
mod series;
mod sparse;
mod stream;

pub(crate) use combine::{Output, combine};
pub(crate) use cut::{Cut, Tied, count_ties, key};
pub(crate) use formula::{Formula, State, Term};
pub(crate) use rows::Rows;
pub(crate) use series::Series;
pub(crate) use sparse::{Keep, Sparse, SparseTerm};
pub(crate) use stream::Stream;

use crate::element::Float;

/// Elements that are worked on at once; sixteen tiles of f64 fit the first cache of today's processors.
pub(crate) const TILE: usize = 256;

/// As many numbers as a tile holds.
pub(crate) type Tile = [f64; TILE];

/// The bytes of one source's chunk.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) float: Float,
    pub(crate) bytes: &'a [u8],
}

/// The same run of elements of every source of a tensor, each in its slot.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chunk<'a> {
    pub(crate) sources: &'a [Source<'a>],
    /// Flat index of the first element.
    pub(crate) first: u64,
    pub(crate) elements: usize,
    /// Elements of a row, the tensor's last dimension; chunks of methods that look at rows hold whole ones.
    pub(crate) row: usize,
}

impl Chunk<'_> {
    /// First element and length of each tile.
    #[inline(always)]
    pub(crate) fn tiles(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let elements = self.elements;
        (0..elements.div_ceil(TILE)).map(move |tile| (tile * TILE, TILE.min(elements - tile * TILE)))
    }

    /// A tile for each slot, to be read into by [`Chunk::decode_all`].
    #[inline(always)]
    pub(crate) fn tiles_of_slots(&self) -> Vec<Tile> {
        vec![[0.0; TILE]; self.sources.len()]
    }

    /// Reads one tile of every slot.
    #[inline(always)]
    pub(crate) fn decode_all(&self, (start, count): (usize, usize), tiles: &mut [Tile]) {
        for (slot, tile) in tiles.iter_mut().enumerate() {
            self.decode(slot, start, count, tile);
        }
    }

    /// Reads one tile of a slot; what lies past the chunk's end keeps what was there.
    #[inline(always)]
    pub(crate) fn decode(&self, slot: usize, start: usize, count: usize, values: &mut [f64]) {
        let Source { float, bytes } = self.sources[slot];
        let (begin, end) = (start * float.bytes(), (start + count) * float.bytes());
        float.decode(&bytes[begin..end], &mut values[..count]);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The bytes of f64 elements.
    pub(crate) fn bytes(values: &[f64]) -> Vec<u8> {
        let mut bytes = vec![0; values.len() * 8];
        Float::F64.encode(values, &mut bytes);
        bytes
    }

    /// Combines whole tensors of f64, rows of `row` elements, into f64.
    pub(crate) fn combined(formula: &Formula, tensors: &[&[f64]], row: usize) -> Vec<f64> {
        let all: Vec<Vec<u8>> = tensors.iter().map(|values| bytes(values)).collect();
        let sources: Vec<Source<'_>> = all.iter().map(|bytes| Source { float: Float::F64, bytes }).collect();
        let chunk = Chunk { sources: &sources, first: 0, elements: tensors[0].len(), row };
        let mut out = vec![0; chunk.elements * 8];
        let mut states = [State::new(formula, &[], 0)];
        combine(
            &chunk,
            &mut [Output {
                formula,
                state: &mut states[0],
                float: Float::F64,
                bytes: &mut out,
                nan: 0,
                infinite: 0,
            }],
        );
        let mut values = vec![0.0; chunk.elements];
        Float::F64.decode(&out, &mut values);
        values
    }
}
