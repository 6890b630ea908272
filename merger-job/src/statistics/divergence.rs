//! How far two checkpoints' rows are from each other as distributions, for `arcee_fusion`.

use crate::kernel::Chunk;

/// Added to every probability before their logarithms are taken.
const LEAST: f64 = 1e-8;

/// For each row of a chunk of whole rows the divergence (Kullback and Leibler) of the first slot's softmax from the
/// second's: the sum of `p log(p / q)`, where p is of the second slot, the checkpoint that is merged in.
pub(crate) fn divergences(chunk: &Chunk<'_>) -> Vec<f64> {
    let row = chunk.row.max(1);
    let (mut base, mut other) = (vec![0.0; row], vec![0.0; row]);
    let rows = (0..chunk.elements).step_by(row);
    rows.map(|start| {
        chunk.decode(0, start, row, &mut base);
        chunk.decode(1, start, row, &mut other);
        softmax(&mut base);
        softmax(&mut other);
        let terms = other.iter().zip(&base).map(|(p, q)| (p + LEAST) * libm::log((p + LEAST) / (q + LEAST)));
        terms.sum()
    })
    .collect()
}

fn softmax(values: &mut [f64]) {
    let largest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    for value in &mut *values {
        *value = libm::exp(*value - largest);
    }
    let sum: f64 = values.iter().sum();
    for value in values {
        *value /= sum;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::element::Float;
    use crate::kernel::Source;
    use crate::kernel::tests::bytes;

    #[test]
    fn equal_rows_diverge_by_nothing_others_by_their_logarithms() {
        // Rows of probabilities (1/2, 1/2) and (3/4, 1/4).
        let three = 3f64.ln();
        let (base, other) = (bytes(&[0.0, 0.0, 1.0, 1.0]), bytes(&[three, 0.0, 5.0, 5.0]));
        let source = |bytes| Source { float: Float::F64, bytes };
        let sources = [source(&base), source(&other)];
        let found = divergences(&Chunk { sources: &sources, first: 0, elements: 4, row: 2 });
        let expected = 0.75 * 1.5_f64.ln() + 0.25 * 0.5_f64.ln();
        assert!((found[0] - expected).abs() < 1e-7 && found[1].abs() < 1e-15, "{found:?}");
    }
}
