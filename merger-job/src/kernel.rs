//! The arithmetic: combines stretches of several tensors into one, in f64, rounding once.

use bytes::Bytes;

use crate::blocks::BLOCK;
use crate::element::Float;

/// How the elements of one tensor are combined. The order of operations is part of the result:
///
/// - *weighted sum*: `w_0 x_0`, then `+ w_i x_i` for each further term in the recipe's order;
/// - *task vectors*: `w_0 (x_0 - base)`, then `+ w_i (x_i - base)` for each further term, then
///   `base + lambda * sum`.
///
/// Every operation is one f64 operation, a product and the sum after it never fused. Terms of weight 0 are left out
/// and not read, so NaN and infinity of a checkpoint that doesn't take part don't reach the result.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Formula {
    /// Sum of weighted sources.
    Weighted {
        /// One weight for each source.
        weights: Vec<f64>,
    },
    /// The last source is the base, the others have a weight each.
    TaskVectors {
        /// One weight for each source but the base.
        weights: Vec<f64>,
        /// Factor on the sum.
        lambda: f64,
    },
}

/// A stretch of one source: its type and its bytes.
pub(crate) type Stretch = (Float, Bytes);

/// Elements of an output stretch, and how many of them are no finite numbers.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Combined {
    pub(crate) bytes: Bytes,
    pub(crate) nan: u64,
    pub(crate) infinite: u64,
}

/// Combines the sources' stretches of `elements` elements each.
pub(crate) fn combine(formula: &Formula, sources: &[Stretch], elements: usize, output: Float) -> Combined {
    let mut bytes = Vec::with_capacity(elements * output.bytes());
    let mut combined = Combined::default();
    let (mut sum, mut values, mut base) = (vec![0.0; BLOCK], vec![0.0; BLOCK], vec![0.0; BLOCK]);
    for start in (0..elements).step_by(BLOCK) {
        let count = BLOCK.min(elements - start);
        let (sum, values, base) = (&mut sum[..count], &mut values[..count], &mut base[..count]);
        sum.fill(0.0);
        match formula {
            Formula::Weighted { weights } => {
                for (place, (source, &weight)) in sources.iter().zip(weights).enumerate() {
                    decode(source, start, values);
                    add(sum, values.iter().map(|value| weight * value), place == 0);
                }
            }
            Formula::TaskVectors { weights, lambda } => {
                if let Some(source) = sources.last() {
                    decode(source, start, base);
                }
                for (place, (source, &weight)) in sources.iter().zip(weights).enumerate() {
                    decode(source, start, values);
                    let deltas = values.iter().zip(base.iter()).map(|(value, base)| weight * (value - base));
                    add(sum, deltas, place == 0);
                }
                if weights.is_empty() {
                    sum.copy_from_slice(base);
                } else {
                    for (sum, base) in sum.iter_mut().zip(base) {
                        *sum = *base + lambda * *sum;
                    }
                }
            }
        }
        let begin = bytes.len();
        output.encode(sum, &mut bytes);
        let (nan, infinite) = count_not_finite(output, &bytes[begin..], values);
        combined.nan += nan;
        combined.infinite += infinite;
    }
    combined.bytes = bytes.into();
    combined
}

/// The first term is taken as it is, so that -0 stays -0.
fn add(sum: &mut [f64], terms: impl Iterator<Item = f64>, first: bool) {
    if first {
        sum.iter_mut().zip(terms).for_each(|(sum, term)| *sum = term);
    } else {
        sum.iter_mut().zip(terms).for_each(|(sum, term)| *sum += term);
    }
}

/// Reads one block of a stretch.
pub(crate) fn decode((float, bytes): &Stretch, start: usize, values: &mut [f64]) {
    let begin = start * float.bytes();
    float.decode(&bytes[begin..begin + values.len() * float.bytes()], values);
}

/// NaN and infinities as they are after rounding: a sum that overflows the output type counts too.
fn count_not_finite(output: Float, bytes: &[u8], values: &mut [f64]) -> (u64, u64) {
    output.decode(bytes, values);
    let count = |test: fn(f64) -> bool| values.iter().filter(|value| test(**value)).count() as u64;
    (count(f64::is_nan), count(f64::is_infinite))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stretch(values: &[f64]) -> Stretch {
        let mut bytes = Vec::new();
        Float::F64.encode(values, &mut bytes);
        (Float::F64, bytes.into())
    }

    fn f64s(combined: &Combined) -> Vec<f64> {
        let mut values = vec![0.0; combined.bytes.len() / 8];
        Float::F64.decode(&combined.bytes, &mut values);
        values
    }

    #[test]
    fn sums_are_taken_in_order() {
        let big = 2f64.powi(53);
        let formula = Formula::Weighted { weights: vec![1.0, 1.0, 1.0] };
        let sources = [stretch(&[big]), stretch(&[1.0]), stretch(&[-big])];
        assert_eq!(f64s(&combine(&formula, &sources, 1, Float::F64)), [0.0]);
    }

    #[test]
    fn task_vectors_are_scaled_after_the_sum() {
        let formula = Formula::TaskVectors { weights: vec![0.5, 0.25], lambda: 2.0 };
        let sources = [stretch(&[3.0, 1.0]), stretch(&[5.0, 1.0]), stretch(&[1.0, 1.0])];
        assert_eq!(f64s(&combine(&formula, &sources, 2, Float::F64)), [1.0 + 2.0 * (1.0 + 1.0), 1.0]);
        let nothing = Formula::TaskVectors { weights: vec![], lambda: 2.0 };
        assert_eq!(f64s(&combine(&nothing, &sources[2..], 2, Float::F64)), [1.0, 1.0]);
    }

    #[test]
    fn the_single_source_of_weight_one_is_kept_bit_for_bit() {
        let formula = Formula::Weighted { weights: vec![1.0] };
        let combined = combine(&formula, &[stretch(&[-0.0, 1.5])], 2, Float::F64);
        assert_eq!(f64s(&combined)[0].to_bits(), (-0.0_f64).to_bits());
    }

    #[test]
    fn what_is_not_finite_is_counted_after_rounding() {
        let formula = Formula::Weighted { weights: vec![1.0] };
        let source = stretch(&[f64::NAN, f64::INFINITY, 1e30, 1.0]);
        let combined = combine(&formula, &[source], 4, Float::F16);
        assert_eq!((combined.nan, combined.infinite), (1, 2));
    }
}
