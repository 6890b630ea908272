//! Combines one chunk into one or several outputs, each source decoded once.

use super::{Chunk, Formula, State, TILE, Tile};
use crate::element::Float;
use crate::simd::{self, Kernel};

/// One merge's part of a chunk.
#[derive(Debug)]
pub(crate) struct Output<'a> {
    pub(crate) formula: &'a Formula,
    pub(crate) state: &'a mut State,
    pub(crate) float: Float,
    /// As many bytes as the chunk's elements take.
    pub(crate) bytes: &'a mut [u8],
    /// NaN and infinities among them, after rounding: a sum that overflows the type counts too.
    pub(crate) nan: u64,
    pub(crate) infinite: u64,
}

/// Fills the outputs.
pub(crate) fn combine(chunk: &Chunk<'_>, outputs: &mut [Output<'_>]) {
    for output in &mut *outputs {
        output.formula.prepare(chunk, output.state);
    }
    simd::run(Combine { chunk, outputs });
}

struct Combine<'a, 'b, 'c> {
    chunk: &'a Chunk<'b>,
    outputs: &'a mut [Output<'c>],
}

impl Kernel for Combine<'_, '_, '_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { chunk, outputs } = self;
        let mut sources: Vec<Tile> = vec![[0.0; TILE]; chunk.sources.len()];
        let mut result = [0.0; TILE];
        for (start, count) in chunk.tiles() {
            for (slot, tile) in sources.iter_mut().enumerate() {
                chunk.decode(slot, start, count, tile);
            }
            for output in &mut *outputs {
                output.formula.tile(chunk, &sources, (start, count), output.state, &mut result);
                let width = output.float.bytes();
                let bytes = &mut output.bytes[start * width..(start + count) * width];
                output.float.encode(&result[..count], bytes);
                if output.float.has_special(bytes) {
                    output.float.decode(bytes, &mut result[..count]);
                    let special = |test: fn(f64) -> bool| {
                        result[..count].iter().filter(|value| test(**value)).count() as u64
                    };
                    output.nan += special(f64::is_nan);
                    output.infinite += special(f64::is_infinite);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::tests::bytes;
    use crate::kernel::{Source, Term};

    #[test]
    fn what_is_not_finite_is_counted_after_rounding() {
        let formula = Formula::Weighted(vec![Term { slot: 0, weight: 1.0 }]);
        let source = bytes(&[f64::NAN, f64::INFINITY, 1e30, 1.0]);
        let sources = [Source { float: Float::F64, bytes: &source }];
        let chunk = Chunk { sources: &sources, first: 0, elements: 4, row: 4 };
        let mut out = [0; 8];
        let mut state = State::new(&formula, &[], 0);
        let mut outputs = [Output {
            formula: &formula,
            state: &mut state,
            float: Float::F16,
            bytes: &mut out,
            nan: 0,
            infinite: 0,
        }];
        combine(&chunk, &mut outputs);
        assert_eq!((outputs[0].nan, outputs[0].infinite), (1, 2));
    }
}
