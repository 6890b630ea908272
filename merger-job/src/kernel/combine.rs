//! Combines one chunk into one or several outputs, each source decoded once.

use super::{Chunk, Formula, State, TILE};
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
        let mut sources = chunk.tiles_of_slots();
        let mut result = [0.0; TILE];
        for (start, count) in chunk.tiles() {
            chunk.decode_all((start, count), &mut sources);
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
    use rand_chacha::rand_core::Rng;

    use super::*;
    use crate::kernel::tests::bytes;
    use crate::kernel::{Cut, Keep, Rows, Source, Sparse, SparseTerm, Stream, Term, Tied, key};
    use crate::sphere::Rule;

    /// Formulas of every kind for three sources, the last of them the base.
    fn formulas() -> Vec<Formula> {
        let terms: Vec<Term> =
            [0.3, -1.7].into_iter().enumerate().map(|(slot, weight)| Term { slot, weight }).collect();
        let cut = Cut { at_least: key(0.25), tied: Some(Tied { key: key(0.125), first: 3 }) };
        let stream = Stream::new(1, "a", "b");
        let keeps = [
            Keep::All,
            Keep::Largest(cut),
            Keep::Between { outliers: Cut { at_least: key(1.0), tied: None }, largest: cut },
            Keep::Random { stream: stream.clone(), probability: 0.4 },
            Keep::ByRank { stream, density: 0.5, epsilon: 0.2, inverse: true },
        ];
        let sparse = keeps.into_iter().flat_map(|keep| {
            [None, Some(false), Some(true)].map(|consensus| {
                let term = |slot, weight| SparseTerm { slot, weight, keep: keep.clone(), divisor: 0.7 };
                let terms = vec![term(0, 0.3), term(1, -1.7)];
                Formula::Sparse(Sparse { base: 2, terms, consensus, lambda: 0.9 })
            })
        });
        let rows = Rows { base: Some(2), terms: vec![0, 1], rule: Rule::Nuslerp { t: 0.3 } };
        let others = [
            Formula::Weighted(terms.clone()),
            Formula::TaskVectors { base: 2, terms: terms.clone(), lambda: 0.9 },
            Formula::Rows(rows),
            Formula::Nearswap { t: 0.2 },
            Formula::Sce { base: 2, terms: terms.clone(), cut: Some(cut) },
            Formula::Ram { base: 2, terms: terms.clone(), epsilons: vec![0.1, 0.2] },
            Formula::Consensus { base: 2, terms, lambda: 0.9, mask_lambda: 0.4, agreement: 2 },
        ];
        sparse.chain(others).collect()
    }

    #[test]
    fn every_processor_computes_the_same_bits() {
        const ELEMENTS: usize = 5 * 130;
        // Numbers of all sizes and signs, with infinities and NaN among them where the type has them.
        let mut generator = Stream::new(2, "c", "d").from(0);
        for float in [Float::E4m3, Float::E5m2, Float::Bf16, Float::F16, Float::F32, Float::F64] {
            let mut bytes = vec![vec![0; ELEMENTS * float.bytes()]; 3];
            for bytes in &mut bytes {
                generator.fill_bytes(bytes);
            }
            let sources: Vec<Source<'_>> = bytes.iter().map(|bytes| Source { float, bytes }).collect();
            let chunk = Chunk { sources: &sources, first: 0, elements: ELEMENTS, row: 130 };
            for formula in formulas() {
                let at = |level| {
                    let mut state = State::new(&formula, &[], 0);
                    formula.prepare(&chunk, &mut state);
                    let mut out = vec![0; ELEMENTS * float.bytes()];
                    let state = &mut state;
                    let output =
                        Output { formula: &formula, state, float, bytes: &mut out, nan: 0, infinite: 0 };
                    let mut outputs = [output];
                    simd::run_at(level, Combine { chunk: &chunk, outputs: &mut outputs });
                    let counts = (outputs[0].nan, outputs[0].infinite);
                    // Which of several NaN comes out is the processor's choice.
                    let mut values = vec![0.0; ELEMENTS];
                    float.decode(&out, &mut values);
                    let bits = values
                        .into_iter()
                        .map(|value| if value.is_nan() { u64::MAX } else { value.to_bits() });
                    (bits.collect::<Vec<_>>(), counts)
                };
                for level in simd::Level::available() {
                    assert!(at(level) == at(simd::Level::Portable), "{level:?} {float:?} {formula:?}");
                }
            }
        }
    }

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
