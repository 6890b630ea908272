//! The border between the largest numbers of a tensor and the rest.

use super::{Chunk, Series, TILE};
use crate::simd::{self, Kernel};

/// What magnitudes are ranked by: the bits of the magnitude in f32, which are in the order of the magnitudes. NaN ranks
/// above infinity.
#[inline(always)]
pub(crate) fn key(value: f64) -> u32 {
    (value as f32).to_bits() & 0x7fff_ffff
}

/// Exactly so many of a tensor's elements, the largest by [`key`]; of equal ones those that come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cut {
    /// Keys of at least this are among them.
    pub(crate) at_least: u32,
    /// The next lower key, of which only some are among them.
    pub(crate) tied: Option<Tied>,
}

/// Elements of one key of which only the first ones count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tied {
    pub(crate) key: u32,
    pub(crate) first: u64,
}

impl Cut {
    /// No element.
    pub(crate) const NOTHING: Self = Self { at_least: u32::MAX, tied: None };
    /// Every element.
    pub(crate) const EVERYTHING: Self = Self { at_least: 0, tied: None };

    /// Which of a tile's elements are among the largest, when `seen` equal ones came before the tile; adds the tile's.
    /// Without `seen`, of a cut without ties, only keys count. Places from `count` on say nothing.
    #[inline(always)]
    pub(crate) fn mark(
        &self,
        keys: &[u32; TILE],
        count: usize,
        seen: Option<&mut u64>,
        marked: &mut [bool; TILE],
    ) {
        for place in 0..TILE {
            marked[place] = keys[place] >= self.at_least;
        }
        if let (Some(tied), Some(seen)) = (self.tied, seen) {
            for place in 0..count {
                if keys[place] == tied.key {
                    marked[place] = *seen < tied.first;
                    *seen += 1;
                }
            }
        }
    }
}

/// Adds to each cut's count how many of the chunk's elements have its tied key.
pub(crate) fn count_ties(chunk: &Chunk<'_>, tied: &[(Series, Cut)], counts: &mut [u64]) {
    simd::run(CountTies { chunk, tied, counts });
}

struct CountTies<'a, 'b> {
    chunk: &'a Chunk<'b>,
    tied: &'a [(Series, Cut)],
    counts: &'a mut [u64],
}

impl Kernel for CountTies<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { chunk, tied, counts } = self;
        let mut sources = chunk.tiles_of_slots();
        let mut keys = [0; TILE];
        for (start, count) in chunk.tiles() {
            chunk.decode_all((start, count), &mut sources);
            for ((series, cut), total) in tied.iter().zip(&mut *counts) {
                let Some(tied) = cut.tied else { continue };
                series.keys(chunk, &sources, (start, count), &mut keys);
                *total += keys[..count].iter().map(|&key| u64::from(key == tied.key)).sum::<u64>();
            }
        }
    }
}
