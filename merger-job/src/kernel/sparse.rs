//! Sums of task vectors of which only a part is kept: TIES, DARE, DELLA, breadcrumbs.

use rand_chacha::ChaCha8Rng;

use super::stream::{draw, is_kept};
use super::{Chunk, Cut, Series, State, Stream, TILE, Tile, key};

/// `base + lambda sum`, the sum that of the kept differences by weight, of those that agree in sign if signs are elected.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sparse {
    pub(crate) base: usize,
    pub(crate) terms: Vec<SparseTerm>,
    /// Whether only those differences are added whose weighted sign is that of the weighted sum of all, positive if that
    /// is 0 (TIES, arXiv 2306.01708, section 3.2); and if so, whether their sum is divided by that of their weights.
    pub(crate) consensus: Option<bool>,
    pub(crate) lambda: f64,
}

/// One checkpoint's differences.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SparseTerm {
    pub(crate) slot: usize,
    pub(crate) weight: f64,
    pub(crate) keep: Keep,
    /// What kept differences are divided by. Not used where probabilities differ and `inverse` says so.
    pub(crate) divisor: f64,
}

/// Which differences are kept.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Keep {
    /// All.
    All,
    /// The largest.
    Largest(Cut),
    /// The largest but for the very largest.
    Between { outliers: Cut, largest: Cut },
    /// Each with this probability (DARE, arXiv 2311.03099, equation 2).
    Random { stream: Stream, probability: f64 },
    /// Each with a probability between density - epsilon and density + epsilon, linear in its magnitude's rank in its row
    /// (DELLA, arXiv 2406.11617, section 3.1), and divided by it if `inverse`.
    ByRank { stream: Stream, density: f64, epsilon: f64, inverse: bool },
}

impl Keep {
    fn stream(&self) -> Option<&Stream> {
        match self {
            Self::Random { stream, .. } | Self::ByRank { stream, .. } => Some(stream),
            Self::All | Self::Largest(_) | Self::Between { .. } => None,
        }
    }
}

impl Sparse {
    pub(super) fn needs_rows(&self) -> bool {
        self.terms.iter().any(|term| matches!(term.keep, Keep::ByRank { .. }))
    }

    /// Every cut with what it cuts.
    pub(super) fn cuts(&self) -> impl Iterator<Item = (Series, Cut)> + '_ {
        self.terms.iter().flat_map(|term| {
            let cuts = match term.keep {
                Keep::Largest(cut) => vec![cut],
                Keep::Between { outliers, largest } => vec![outliers, largest],
                _ => vec![],
            };
            let series = Series::Difference { base: self.base, slot: term.slot };
            cuts.into_iter().map(move |cut| (series.clone(), cut))
        })
    }

    pub(super) fn generators(&self, first: u64) -> Vec<Option<ChaCha8Rng>> {
        self.terms.iter().map(|term| term.keep.stream().map(|stream| stream.from(first))).collect()
    }

    /// Works out the probabilities of a chunk of whole rows.
    pub(super) fn rank(&self, chunk: &Chunk<'_>, state: &mut State) {
        let row = chunk.row.max(1);
        let (mut base, mut values) = (vec![0.0; chunk.elements], vec![0.0; chunk.elements]);
        chunk.decode(self.base, 0, chunk.elements, &mut base);
        for (term, probabilities) in self.terms.iter().zip(&mut state.probabilities) {
            let Keep::ByRank { density, epsilon, .. } = term.keep else { continue };
            chunk.decode(term.slot, 0, chunk.elements, &mut values);
            probabilities.resize(chunk.elements, density);
            let rows = values.chunks(row).zip(base.chunks(row)).zip(probabilities.chunks_mut(row));
            for ((values, base), probabilities) in rows {
                rank_row(values, base, density, epsilon, probabilities);
            }
        }
    }

    #[inline(always)]
    pub(super) fn tile(
        &self,
        sources: &[Tile],
        (start, count): (usize, usize),
        state: &mut State,
        out: &mut Tile,
    ) {
        self.keep(sources, (start, count), state);
        let (base, deltas) = (&sources[self.base], &state.deltas[..]);
        match self.consensus {
            None => self.sum(base, deltas, out),
            Some(normalize) => self.elect(base, deltas, normalize, out),
        }
    }

    /// Puts every term's differences into the state, 0 for those that are dropped.
    #[inline(always)]
    pub(super) fn keep(&self, sources: &[Tile], (start, count): (usize, usize), state: &mut State) {
        let base = &sources[self.base];
        let State { seen, generators, deltas, probabilities, .. } = state;
        let mut seen = seen.iter_mut();
        for (place, (term, deltas)) in self.terms.iter().zip(&mut *deltas).enumerate() {
            let mut kept = [true; TILE];
            let values = &sources[term.slot];
            for place in 0..TILE {
                deltas[place] = values[place] - base[place];
            }
            let mut divisor = term.divisor;
            let keys = |deltas: &Tile| std::array::from_fn(|place| key(deltas[place]));
            match &term.keep {
                Keep::All => {}
                Keep::Largest(cut) => cut.mark(&keys(deltas), count, seen_of(cut, &mut seen), &mut kept),
                Keep::Between { outliers, largest } => {
                    let mut dropped = [false; TILE];
                    let keys = keys(deltas);
                    outliers.mark(&keys, count, seen_of(outliers, &mut seen), &mut dropped);
                    largest.mark(&keys, count, seen_of(largest, &mut seen), &mut kept);
                    for place in 0..TILE {
                        kept[place] &= !dropped[place];
                    }
                }
                Keep::Random { probability, .. } => {
                    if let Some(Some(generator)) = generators.get_mut(place) {
                        let mut numbers = [0; TILE];
                        draw(generator, count, &mut numbers);
                        for place in 0..TILE {
                            kept[place] = is_kept(numbers[place], *probability);
                        }
                    }
                }
                Keep::ByRank { inverse, .. } => {
                    if let Some(Some(generator)) = generators.get_mut(place) {
                        let mut numbers = [0; TILE];
                        draw(generator, count, &mut numbers);
                        let probabilities = &probabilities[place][start..start + count];
                        for (place, probability) in probabilities.iter().enumerate() {
                            kept[place] = is_kept(numbers[place], *probability);
                            if *inverse {
                                deltas[place] /= probability;
                            }
                        }
                        if *inverse {
                            divisor = 1.0;
                        }
                    }
                }
            }
            for place in 0..TILE {
                deltas[place] = if kept[place] { deltas[place] / divisor } else { 0.0 };
            }
        }
    }

    #[inline(always)]
    fn sum(&self, base: &Tile, deltas: &[Tile], out: &mut Tile) {
        let mut sum = [0.0; TILE];
        for (term, deltas) in self.terms.iter().zip(deltas) {
            for place in 0..TILE {
                sum[place] += term.weight * deltas[place];
            }
        }
        for place in 0..TILE {
            out[place] = base[place] + self.lambda * sum[place];
        }
    }

    #[inline(always)]
    fn elect(&self, base: &Tile, deltas: &[Tile], normalize: bool, out: &mut Tile) {
        let mut mass = [0.0; TILE];
        for (term, deltas) in self.terms.iter().zip(deltas) {
            for place in 0..TILE {
                mass[place] += term.weight * deltas[place];
            }
        }
        let (mut sum, mut weights) = ([0.0; TILE], [0.0; TILE]);
        for (term, deltas) in self.terms.iter().zip(deltas) {
            for place in 0..TILE {
                let delta = term.weight * deltas[place];
                let agrees = if mass[place] >= 0.0 { delta > 0.0 } else { delta < 0.0 };
                sum[place] += if agrees { delta } else { 0.0 };
                weights[place] += if agrees { term.weight } else { 0.0 };
            }
        }
        for place in 0..TILE {
            let divisor = if normalize && weights[place] != 0.0 { weights[place] } else { 1.0 };
            out[place] = base[place] + self.lambda * (sum[place] / divisor);
        }
    }
}

/// The counter of a cut's equal elements, if it needs one.
#[inline(always)]
fn seen_of<'a>(cut: &Cut, seen: &mut impl Iterator<Item = &'a mut u64>) -> Option<&'a mut u64> {
    cut.tied.and_then(|_| seen.next())
}

/// `density - epsilon` for the smallest magnitude of a row, `density + epsilon` for the largest, linear in between by rank;
/// of equal ones the first ranks higher, as in [`Cut`].
fn rank_row(values: &[f64], base: &[f64], density: f64, epsilon: f64, probabilities: &mut [f64]) {
    let mut order: Vec<u64> = values
        .iter()
        .zip(base)
        .enumerate()
        .map(|(place, (value, base))| u64::from(key(value - base)) << 32 | u64::from(!(place as u32)))
        .collect();
    order.sort_unstable();
    let steps = order.len().saturating_sub(1) as f64;
    for (rank, entry) in order.into_iter().enumerate() {
        let place = !(entry as u32) as usize;
        let share = if steps > 0.0 { rank as f64 / steps } else { 0.5 };
        probabilities[place] = (density - epsilon) + share * 2.0 * epsilon;
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "these results are exact")]
mod tests {
    use super::*;
    use crate::kernel::tests::combined;
    use crate::kernel::{Formula, Tied};

    fn term(slot: usize, weight: f64, keep: Keep) -> SparseTerm {
        SparseTerm { slot, weight, keep, divisor: 1.0 }
    }

    fn sparse(terms: Vec<SparseTerm>, consensus: Option<bool>) -> Formula {
        Formula::Sparse(Sparse { base: terms.len(), terms, consensus, lambda: 1.0 })
    }

    #[test]
    fn of_equal_differences_the_first_are_kept() {
        let cut = Cut { at_least: key(3.0), tied: Some(Tied { key: key(2.0), first: 2 }) };
        let formula = sparse(vec![term(0, 1.0, Keep::Largest(cut))], None);
        let values = [2.0, -2.0, 3.0, 2.0, 1.0];
        assert_eq!(combined(&formula, &[&values, &[0.0; 5]], 5), [2.0, -2.0, 3.0, 0.0, 0.0]);
    }

    #[test]
    fn outliers_are_dropped() {
        let outliers = Cut { at_least: key(4.0), tied: None };
        let largest = Cut { at_least: key(2.0), tied: None };
        let formula = sparse(vec![term(0, 1.0, Keep::Between { outliers, largest })], None);
        assert_eq!(combined(&formula, &[&[1.0, 2.0, 3.0, -4.0], &[0.0; 4]], 4), [0.0, 2.0, 3.0, 0.0]);
    }

    #[test]
    fn the_majority_is_that_of_the_weighted_sum() {
        let terms = |normalize| {
            sparse(
                vec![term(0, 0.5, Keep::All), term(1, 0.25, Keep::All), term(2, 1.0, Keep::All)],
                Some(normalize),
            )
        };
        // Sums of weighted differences: 1, then -0.5, then 0, where the majority is positive; last none differs.
        let tensors: [&[f64]; 4] =
            [&[2.0, 2.0, 2.0, 0.0], &[4.0, 2.0, 0.0, 0.0], &[-1.0, -2.0, -1.0, 0.0], &[0.0; 4]];
        assert_eq!(combined(&terms(false), &tensors, 4), [2.0, -2.0, 1.0, 0.0]);
        assert_eq!(combined(&terms(true), &tensors, 4), [2.0 / 0.75, -2.0, 2.0, 0.0]);
    }

    #[test]
    fn kept_at_random_means_divided_by_the_probability() {
        let stream = Stream::new(1, "a", "b");
        let keep = Keep::Random { stream, probability: 0.25 };
        let formula = sparse(vec![SparseTerm { slot: 0, weight: 1.0, keep, divisor: 0.25 }], None);
        let merged = combined(&formula, &[&vec![1.0; 10_000], &vec![0.0; 10_000]], 10_000);
        assert!(merged.iter().all(|&value| value == 0.0 || value == 4.0));
        let kept = merged.iter().filter(|&&value| value != 0.0).count();
        // Five standard deviations of the binomial distribution, 43 each.
        assert!((2285..2715).contains(&kept), "{kept}");
    }

    #[test]
    fn probabilities_follow_the_rank_in_the_row() {
        let mut probabilities = [0.0; 4];
        rank_row(&[3.0, -1.0, 1.0, 2.0], &[0.0; 4], 0.5, 0.3, &mut probabilities);
        let expected = [0.8, 0.4, 0.2, 0.6];
        for (probability, expected) in probabilities.iter().zip(expected) {
            assert!((probability - expected).abs() < 1e-12, "{probabilities:?}");
        }
        let mut single = [0.0];
        rank_row(&[3.0], &[0.0], 0.5, 0.3, &mut single);
        assert!((single[0] - 0.5).abs() < 1e-12);
    }
}
