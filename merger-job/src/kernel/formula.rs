//! How the elements of one tensor are combined, once everything about whole tensors is known.

use std::sync::Arc;

use rand_chacha::ChaCha8Rng;

use super::series::variance;
use super::{Chunk, Cut, Rows, Series, Sparse, TILE, Tile, key};

/// A source with its weight.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Term {
    pub(crate) slot: usize,
    pub(crate) weight: f64,
}

/// How the elements are combined; sums are taken in the order of the terms, sources of weight 0 are no terms, so that NaN
/// of a checkpoint that doesn't take part doesn't reach the result.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Formula {
    /// `w_0 x_0 + w_1 x_1 + ...`.
    Weighted(Vec<Term>),
    /// `base + lambda (w_0 (x_0 - base) + w_1 (x_1 - base) + ...)`.
    TaskVectors { base: usize, terms: Vec<Term>, lambda: f64 },
    /// Differences of which some are dropped, perhaps with an election of signs.
    Sparse(Sparse),
    /// Weights that differ from row to row.
    Rows(Rows),
    /// `(1 - w) a + w b` with `w = clamp(t / max(|a - b|, 1e-6), 0, 1)`.
    Nearswap { t: f64 },
    /// `a + (b - a)` where the importance `|b - a| divergence(row)` reaches the threshold, else `a`.
    Fusion {
        /// For each row.
        divergences: Arc<[f64]>,
        threshold: f64,
    },
    /// Of the elements of the cut by variance, the sum of differences that agree in sign, weighted.
    Sce { base: usize, terms: Vec<Term>, cut: Option<Cut> },
    /// What one checkpoint changed by more than its epsilon counts whole (times its factor, the weight), what several
    /// changed on average.
    Ram { base: usize, terms: Vec<Term>, epsilons: Vec<f64> },
    /// `base + lambda sum` of the weighted differences where at least `agreement` checkpoints matter: those with
    /// `|x_i - base| >= mask_lambda |merged - x_i|`, where `merged` is the sum without masks.
    Consensus { base: usize, terms: Vec<Term>, lambda: f64, mask_lambda: f64, agreement: u32 },
}

/// What a formula remembers from one tile to the next, within a run of chunks that follow each other.
#[derive(Debug)]
pub(crate) struct State {
    /// Equal elements that came before, for each cut with ties, in the formula's order.
    pub(crate) seen: Vec<u64>,
    /// For each term that drops at random.
    pub(super) generators: Vec<Option<ChaCha8Rng>>,
    /// For each term: its differences in the tile.
    pub(super) deltas: Vec<Tile>,
    /// For each term: probabilities of the chunk's elements, where they differ.
    pub(super) probabilities: Vec<Vec<f64>>,
    /// For each row of the chunk: the weights of the terms.
    pub(super) row_weights: Vec<Vec<f64>>,
}

impl State {
    /// For chunks that begin at the flat index `first`, `seen` equal elements after those that come before.
    pub(crate) fn new(formula: &Formula, seen: &[u64], first: u64) -> Self {
        let mut seen = seen.to_vec();
        seen.resize(formula.tied().count(), 0);
        let terms = formula.term_slots().len();
        let generators = match formula {
            Formula::Sparse(sparse) => sparse.generators(first),
            _ => Vec::new(),
        };
        let (deltas, probabilities) = (vec![[0.0; TILE]; terms], vec![Vec::new(); terms]);
        Self { seen, generators, deltas, probabilities, row_weights: Vec::new() }
    }
}

impl Formula {
    /// The slots of the terms, in order.
    pub(crate) fn term_slots(&self) -> Vec<usize> {
        match self {
            Self::Weighted(terms)
            | Self::TaskVectors { terms, .. }
            | Self::Sce { terms, .. }
            | Self::Ram { terms, .. }
            | Self::Consensus { terms, .. } => terms.iter().map(|term| term.slot).collect(),
            Self::Sparse(sparse) => sparse.terms.iter().map(|term| term.slot).collect(),
            Self::Rows(rows) => rows.terms.clone(),
            Self::Nearswap { .. } | Self::Fusion { .. } => vec![0, 1],
        }
    }

    /// The slot that differences are taken from.
    pub(crate) fn base(&self) -> Option<usize> {
        match self {
            Self::Sparse(sparse) => Some(sparse.base),
            Self::TaskVectors { base, .. }
            | Self::Sce { base, .. }
            | Self::Ram { base, .. }
            | Self::Consensus { base, .. } => Some(*base),
            Self::Rows(rows) => rows.base,
            Self::Weighted(_) | Self::Nearswap { .. } | Self::Fusion { .. } => None,
        }
    }

    /// The terms' differences in a tile, 0 for those that are dropped; of formulas that drop none nothing.
    #[inline(always)]
    pub(crate) fn kept(
        &self,
        sources: &[Tile],
        (start, count): (usize, usize),
        state: &mut State,
    ) -> Vec<Tile> {
        match self {
            Self::Sparse(sparse) => {
                sparse.keep(sources, (start, count), state);
                state.deltas.clone()
            }
            Self::Sce { base, terms, cut } => {
                let selected = selected(sources, *base, terms, *cut, count, state);
                let base = &sources[*base];
                let delta = |term: &Term| {
                    let values = &sources[term.slot];
                    std::array::from_fn(
                        |place| {
                            if selected[place] { values[place] - base[place] } else { 0.0 }
                        },
                    )
                };
                terms.iter().map(delta).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Whether chunks have to hold whole rows.
    pub(crate) fn needs_rows(&self) -> bool {
        match self {
            Self::Rows(_) => true,
            Self::Sparse(sparse) => sparse.needs_rows(),
            _ => false,
        }
    }

    /// The cuts that some of several equal elements belong to, in order.
    pub(crate) fn tied(&self) -> impl Iterator<Item = (Series, Cut)> + '_ {
        let of_terms = match self {
            Self::Sparse(sparse) => sparse.cuts().collect(),
            Self::Sce { base, terms, cut: Some(cut) } => {
                let slots = terms.iter().map(|term| term.slot).collect();
                vec![(Series::Variance { base: *base, slots }, *cut)]
            }
            _ => Vec::new(),
        };
        of_terms.into_iter().filter(|(_, cut)| cut.tied.is_some())
    }

    /// What has to be known of a chunk before its first tile.
    pub(crate) fn prepare(&self, chunk: &Chunk<'_>, state: &mut State) {
        match self {
            Self::Sparse(sparse) if sparse.needs_rows() => sparse.rank(chunk, state),
            Self::Rows(rows) => state.row_weights = rows.weights(chunk),
            _ => {}
        }
    }

    /// Combines one tile; `sources` are the slots' tiles, `start` counts from the chunk's first element.
    #[inline(always)]
    pub(super) fn tile(
        &self,
        chunk: &Chunk<'_>,
        sources: &[Tile],
        (start, count): (usize, usize),
        state: &mut State,
        out: &mut Tile,
    ) {
        match self {
            Self::Weighted(terms) => weighted(sources, terms, out),
            Self::TaskVectors { base, terms, lambda } => {
                task_vectors(&sources[*base], sources, terms, *lambda, out);
            }
            Self::Sparse(sparse) => sparse.tile(sources, (start, count), state, out),
            Self::Rows(rows) => rows.tile(chunk, sources, (start, count), &state.row_weights, out),
            Self::Nearswap { t } => {
                let (a, b) = (&sources[0], &sources[1]);
                for place in 0..TILE {
                    let distance = (a[place] - b[place]).abs();
                    let share = t / if distance < 1e-6 { 1e-6 } else { distance };
                    let share = if share > 1.0 { 1.0 } else { share };
                    out[place] = share * b[place] + (1.0 - share) * a[place];
                }
            }
            Self::Fusion { divergences, threshold } => {
                let (a, b) = (&sources[0], &sources[1]);
                for place in 0..count {
                    let row = (chunk.first as usize + start + place) / chunk.row.max(1);
                    let delta = b[place] - a[place];
                    let importance = f64::from((delta.abs() * divergences[row]) as f32);
                    out[place] = if importance >= *threshold { a[place] + delta } else { a[place] };
                }
            }
            Self::Sce { base, terms, cut } => sce(sources, *base, terms, *cut, count, state, out),
            Self::Ram { base, terms, epsilons } => ram(sources, *base, terms, epsilons, out),
            Self::Consensus { base, terms, lambda, mask_lambda, agreement } => {
                let base = &sources[*base];
                task_vectors(base, sources, terms, *lambda, out);
                let mut votes = [0_u32; TILE];
                for term in terms {
                    let values = &sources[term.slot];
                    for place in 0..TILE {
                        let ours = (values[place] - base[place]).abs();
                        let others = (out[place] - values[place]).abs();
                        votes[place] += u32::from(ours >= mask_lambda * others);
                    }
                }
                for place in 0..TILE {
                    out[place] = if votes[place] >= *agreement { out[place] } else { base[place] };
                }
            }
        }
    }
}

/// Elements whose sums are kept in registers.
const LANES: usize = 32;

#[inline(always)]
fn weighted(sources: &[Tile], terms: &[Term], out: &mut Tile) {
    let Some((first, rest)) = terms.split_first() else {
        *out = [0.0; TILE];
        return;
    };
    for (block, out) in out.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
        let lanes = |term: &Term| &sources[term.slot].as_chunks::<LANES>().0[block];
        let mut sum = [0.0; LANES];
        for (sum, value) in sum.iter_mut().zip(lanes(first)) {
            // The first term is taken as it is, so that -0 stays -0.
            *sum = first.weight * value;
        }
        for term in rest {
            for (sum, value) in sum.iter_mut().zip(lanes(term)) {
                *sum += term.weight * value;
            }
        }
        *out = sum;
    }
}

#[inline(always)]
fn task_vectors(base: &Tile, sources: &[Tile], terms: &[Term], lambda: f64, out: &mut Tile) {
    let Some((first, rest)) = terms.split_first() else {
        *out = *base;
        return;
    };
    let base = base.as_chunks::<LANES>().0;
    for (block, out) in out.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
        let (lanes, base) = (|term: &Term| &sources[term.slot].as_chunks::<LANES>().0[block], &base[block]);
        let mut sum = [0.0; LANES];
        for (lane, value) in lanes(first).iter().enumerate() {
            sum[lane] = first.weight * (value - base[lane]);
        }
        for term in rest {
            for (lane, value) in lanes(term).iter().enumerate() {
                sum[lane] += term.weight * (value - base[lane]);
            }
        }
        for lane in 0..LANES {
            out[lane] = base[lane] + lambda * sum[lane];
        }
    }
}

/// Which elements of a tile belong to the cut by variance.
#[inline(always)]
fn selected(
    sources: &[Tile],
    base: usize,
    terms: &[Term],
    cut: Option<Cut>,
    count: usize,
    state: &mut State,
) -> [bool; TILE] {
    let mut selected = [true; TILE];
    if let Some(cut) = cut {
        let mut variances = [0.0; TILE];
        variance(sources, &sources[base], terms.iter().map(|term| term.slot), &mut variances);
        let keys = std::array::from_fn(|place| key(variances[place]));
        cut.mark(&keys, count, state.seen.first_mut(), &mut selected);
    }
    selected
}

#[inline(always)]
fn sce(
    sources: &[Tile],
    base: usize,
    terms: &[Term],
    cut: Option<Cut>,
    count: usize,
    state: &mut State,
    out: &mut Tile,
) {
    let selected = selected(sources, base, terms, cut, count, state);
    let base = &sources[base];
    let mut mass = [0.0; TILE];
    for term in terms {
        for place in 0..TILE {
            mass[place] += sources[term.slot][place] - base[place];
        }
    }
    let (mut sum, mut weights) = ([0.0; TILE], [0.0; TILE]);
    for term in terms {
        for place in 0..TILE {
            let delta = sources[term.slot][place] - base[place];
            let agrees = if mass[place] >= 0.0 { delta > 0.0 } else { delta < 0.0 };
            let weight = if agrees { term.weight } else { 0.0 };
            sum[place] += weight * if agrees { delta } else { 0.0 };
            weights[place] += weight;
        }
    }
    for place in 0..TILE {
        let divisor = if weights[place] < 1e-6 { 1e-6 } else { weights[place] };
        out[place] = if selected[place] { base[place] + sum[place] / divisor } else { base[place] };
    }
}

#[inline(always)]
fn ram(sources: &[Tile], base: usize, terms: &[Term], epsilons: &[f64], out: &mut Tile) {
    let base = &sources[base];
    let (mut changes, mut alone, mut sum) = ([0.0; TILE], [0.0; TILE], [0.0; TILE]);
    for (term, &epsilon) in terms.iter().zip(epsilons) {
        for place in 0..TILE {
            let delta = sources[term.slot][place] - base[place];
            let moved = delta.abs() > epsilon;
            let delta = if moved { delta } else { 0.0 };
            changes[place] += f64::from(u8::from(moved));
            sum[place] += delta;
            alone[place] += term.weight * delta;
        }
    }
    for place in 0..TILE {
        let several = sum[place] / if changes[place] < 1.0 { 1.0 } else { changes[place] };
        out[place] = base[place] + if changes[place] > 1.0 { several } else { alone[place] };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::tests::combined;

    fn terms(weights: &[f64]) -> Vec<Term> {
        weights.iter().enumerate().map(|(slot, &weight)| Term { slot, weight }).collect()
    }

    #[test]
    fn sums_are_taken_in_order() {
        let big = 2f64.powi(53);
        let formula = Formula::Weighted(terms(&[1.0, 1.0, 1.0]));
        assert_eq!(combined(&formula, &[&[big], &[1.0], &[-big]], 1), [0.0]);
    }

    #[test]
    fn task_vectors_are_scaled_after_the_sum() {
        let formula = Formula::TaskVectors { base: 2, terms: terms(&[0.5, 0.25]), lambda: 2.0 };
        let merged = combined(&formula, &[&[3.0, 1.0], &[5.0, 1.0], &[1.0, 1.0]], 2);
        assert_eq!(merged, [1.0 + 2.0 * (1.0 + 1.0), 1.0]);
        let nothing = Formula::TaskVectors { base: 0, terms: vec![], lambda: 2.0 };
        assert_eq!(combined(&nothing, &[&[1.0, -0.0]], 2), [1.0, 0.0]);
    }

    #[test]
    fn the_single_source_of_weight_one_is_kept_bit_for_bit() {
        let merged = combined(&Formula::Weighted(terms(&[1.0])), &[&[-0.0, 1.5]], 2);
        assert_eq!(merged[0].to_bits(), (-0.0_f64).to_bits());
    }

    #[test]
    fn nearswap_takes_what_is_near_whole() {
        let merged = combined(&Formula::Nearswap { t: 0.5 }, &[&[1.0, 1.0, 1.0], &[1.25, 2.0, 1.0]], 3);
        assert_eq!(merged, [1.25, 1.5, 1.0]);
    }

    #[test]
    fn ram_adds_what_one_changed_and_averages_what_several_did() {
        let formula = Formula::Ram { base: 2, terms: terms(&[1.0, 3.0]), epsilons: vec![0.1, 0.1] };
        let merged = combined(&formula, &[&[2.0, 1.0, 2.0, 1.05], &[1.0, 2.0, 4.0, 1.0], &[1.0; 4]], 4);
        assert_eq!(merged, [2.0, 4.0, 3.0, 1.0]);
    }

    #[test]
    fn consensus_keeps_what_matters_to_enough_checkpoints() {
        let formula = Formula::Consensus {
            base: 2,
            terms: terms(&[1.0, 1.0]),
            lambda: 1.0,
            mask_lambda: 0.5,
            agreement: 2,
        };
        // Both moved by 1: each matters, as the others added 1. Then one moved alone.
        let merged = combined(&formula, &[&[2.0, 2.0], &[2.0, 1.0], &[1.0, 1.0]], 2);
        assert_eq!(merged, [3.0, 1.0]);
    }

    #[test]
    fn sce_erases_the_minority() {
        let formula = Formula::Sce { base: 2, terms: terms(&[0.25, 0.75]), cut: None };
        let merged = combined(&formula, &[&[3.0, 2.0, 1.0], &[2.0, 0.5, 1.0], &[1.0; 3]], 3);
        assert_eq!(merged, [1.0 + (0.25 * 2.0 + 0.75) / 1.0, 2.0, 1.0]);
    }
}
