//! Sums over whole tensors: products of tensors, magnitudes, counts.

use crate::blocks::lanes::{LANES, Lanes, total};
use crate::blocks::{BLOCK, TreeSum};
use crate::kernel::{Chunk, Formula, State, TILE, Tile};
use crate::simd::{self, Kernel};

/// What is summed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Sums {
    /// The products of the slots' tensors with each other, or of their differences from a base, in the order of
    /// [`crate::sphere::Gram::pairs`].
    Products { base: Option<usize>, slots: Vec<usize> },
    /// For each term of a sparse formula the magnitudes of all differences, then of those that are kept.
    Magnitudes(Formula),
    /// For each term of `sce` the squares of the differences of selected elements.
    Squares(Formula),
    /// For each checkpoint of `ramplus_tl` how many elements it changed with others, then how many alone.
    Changes { base: usize, slots: Vec<usize>, epsilons: Vec<f64> },
}

impl Sums {
    /// How many sums there are.
    pub(crate) fn count(&self) -> usize {
        match self {
            Self::Products { slots, .. } => slots.len() * (slots.len() + 1) / 2,
            Self::Magnitudes(formula) => 2 * formula.term_slots().len(),
            Self::Squares(formula) => formula.term_slots().len(),
            Self::Changes { slots, .. } => 2 * slots.len(),
        }
    }

    /// The formula whose dropping of elements counts.
    pub(crate) fn formula(&self) -> Option<&Formula> {
        match self {
            Self::Magnitudes(formula) | Self::Squares(formula) => Some(formula),
            Self::Products { .. } | Self::Changes { .. } => None,
        }
    }

    /// Adds one tile, whose places past `count` hold what must not count.
    #[inline(always)]
    fn tile(
        &self,
        sources: &mut [Tile],
        (start, count): (usize, usize),
        state: Option<&mut State>,
        totals: &mut [Lanes],
    ) {
        match self {
            Self::Products { base, slots } => {
                if let Some(base) = base {
                    let base = sources[*base];
                    for &slot in slots {
                        subtract(&mut sources[slot], &base);
                    }
                }
                for &slot in slots {
                    sources[slot][count..].fill(0.0);
                }
                let mut totals = totals.iter_mut();
                for (place, &left) in slots.iter().enumerate() {
                    for &right in &slots[place..] {
                        if let Some(total) = totals.next() {
                            add_products(total, &sources[left], &sources[right]);
                        }
                    }
                }
            }
            Self::Magnitudes(formula) => {
                let Some(state) = state else { return };
                let slots = formula.term_slots();
                let base = formula.base().unwrap_or(0);
                let kept = formula.kept(sources, (start, count), state);
                for (place, slot) in slots.into_iter().enumerate() {
                    let mut all = sources[slot];
                    subtract(&mut all, &sources[base]);
                    add_magnitudes(&mut totals[2 * place], &mut all, count);
                    let mut kept = kept[place];
                    add_magnitudes(&mut totals[2 * place + 1], &mut kept, count);
                }
            }
            Self::Squares(formula) => {
                let Some(state) = state else { return };
                for (total, mut kept) in totals.iter_mut().zip(formula.kept(sources, (start, count), state)) {
                    kept[count..].fill(0.0);
                    add_products(total, &kept, &kept);
                }
            }
            Self::Changes { base, slots, epsilons } => {
                let base = sources[*base];
                let mut changes = [0.0; TILE];
                for (&slot, &epsilon) in slots.iter().zip(epsilons) {
                    subtract(&mut sources[slot], &base);
                    for place in 0..TILE {
                        let moved = sources[slot][place].abs() > epsilon && place < count;
                        sources[slot][place] = f64::from(u8::from(moved));
                        changes[place] += sources[slot][place];
                    }
                }
                for (place, &slot) in slots.iter().enumerate() {
                    let several: Tile = std::array::from_fn(|at| f64::from(u8::from(changes[at] > 1.0)));
                    let alone: Tile =
                        std::array::from_fn(|at| f64::from(u8::from((changes[at] - 1.0).abs() < 0.5)));
                    add_products(&mut totals[2 * place], &sources[slot], &several);
                    add_products(&mut totals[2 * place + 1], &sources[slot], &alone);
                }
            }
        }
    }
}

#[inline(always)]
fn subtract(values: &mut Tile, base: &Tile) {
    for place in 0..TILE {
        values[place] -= base[place];
    }
}

#[inline(always)]
fn add_products(total: &mut Lanes, left: &Tile, right: &Tile) {
    let mut sum = *total;
    for (left, right) in left.as_chunks::<LANES>().0.iter().zip(right.as_chunks::<LANES>().0) {
        for lane in 0..LANES {
            sum[lane] += left[lane] * right[lane];
        }
    }
    *total = sum;
}

#[inline(always)]
fn add_magnitudes(total: &mut Lanes, values: &mut Tile, count: usize) {
    values[count..].fill(0.0);
    let mut sum = *total;
    for values in values.as_chunks::<LANES>().0 {
        for lane in 0..LANES {
            sum[lane] += values[lane].abs();
        }
    }
    *total = sum;
}

/// The sums of a chunk by units, blocks or rows: of each unit all sums, one unit after the other.
pub(crate) fn sums(chunk: &Chunk<'_>, sums: &Sums, unit: usize, mut state: Option<&mut State>) -> Vec<f64> {
    if let (Some(formula), Some(state)) = (sums.formula(), state.as_deref_mut()) {
        formula.prepare(chunk, state);
    }
    simd::run(OfChunk { chunk, sums, unit, state })
}

struct OfChunk<'a, 'b> {
    chunk: &'a Chunk<'b>,
    sums: &'a Sums,
    unit: usize,
    state: Option<&'a mut State>,
}

impl Kernel for OfChunk<'_, '_> {
    type Output = Vec<f64>;

    #[inline(always)]
    fn run(mut self) -> Vec<f64> {
        let (chunk, unit) = (self.chunk, self.unit.max(1));
        let mut sources = chunk.tiles_of_slots();
        let mut lanes = vec![[0.0; LANES]; self.sums.count()];
        let mut found = Vec::with_capacity(lanes.len() * chunk.elements.div_ceil(unit));
        for begin in (0..chunk.elements).step_by(unit) {
            let end = (begin + unit).min(chunk.elements);
            lanes.fill([0.0; LANES]);
            for start in (begin..end).step_by(TILE) {
                let count = TILE.min(end - start);
                chunk.decode_all((start, count), &mut sources);
                self.sums.tile(&mut sources, (start, count), self.state.as_deref_mut(), &mut lanes);
            }
            found.extend(lanes.iter().map(total));
        }
        found
    }
}

/// Sums of whole tensors, put together from those of units in order.
#[derive(Debug)]
pub(crate) struct Totals(Vec<TreeSum>);

impl Totals {
    pub(crate) fn new(count: usize) -> Self {
        Self(vec![TreeSum::default(); count])
    }

    /// Adds the sums of the units that follow.
    pub(crate) fn push(&mut self, sums: &[f64]) {
        for unit in sums.chunks(self.0.len().max(1)) {
            for (total, sum) in self.0.iter_mut().zip(unit) {
                total.push(*sum);
            }
        }
    }

    pub(crate) fn values(self) -> Vec<f64> {
        self.0.into_iter().map(TreeSum::total).collect()
    }
}

/// The units of sums: blocks, or rows where chunks are cut by rows.
pub(crate) const fn unit(by_rows: bool, row: usize) -> usize {
    if by_rows { row } else { BLOCK }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::element::Float;
    use crate::kernel::tests::bytes;
    use crate::kernel::{Source, Term};

    fn of(tensors: &[&[f64]], what: &Sums) -> Vec<f64> {
        let all: Vec<Vec<u8>> = tensors.iter().map(|values| bytes(values)).collect();
        let sources: Vec<Source<'_>> = all.iter().map(|bytes| Source { float: Float::F64, bytes }).collect();
        let elements = tensors[0].len();
        let chunk = Chunk { sources: &sources, first: 0, elements, row: elements };
        let mut state = what.formula().map(|formula| State::new(formula, &[], 0));
        let mut totals = Totals::new(what.count());
        totals.push(&sums(&chunk, what, BLOCK, state.as_mut()));
        totals.values()
    }

    #[test]
    fn products_are_of_every_pair() {
        let what = Sums::Products { base: None, slots: vec![0, 1] };
        assert_eq!(of(&[&[1.0, 2.0], &[3.0, -1.0]], &what), [5.0, 1.0, 10.0]);
        let what = Sums::Products { base: Some(2), slots: vec![0, 1] };
        assert_eq!(of(&[&[2.0, 3.0], &[4.0, 0.0], &[1.0, 1.0]], &what), [5.0, 1.0, 10.0]);
    }

    #[test]
    fn long_tensors_are_summed_to_their_end() {
        let ones = vec![1.0; 3 * BLOCK + 300];
        let what = Sums::Products { base: None, slots: vec![0] };
        assert_eq!(of(&[&ones], &what), [(3 * BLOCK + 300) as f64]);
    }

    #[test]
    fn changes_are_counted_alone_and_with_others() {
        let what = Sums::Changes { base: 2, slots: vec![0, 1], epsilons: vec![0.5, 0.5] };
        let counts = of(&[&[2.0, 2.0, 1.0, 1.0], &[2.0, 1.0, 1.4, 9.0], &[1.0; 4]], &what);
        assert_eq!(counts, [1.0, 1.0, 1.0, 1.0]);
    }

    #[test]
    fn squares_are_those_of_the_differences() {
        let terms = vec![Term { slot: 0, weight: 1.0 }, Term { slot: 1, weight: 1.0 }];
        let what = Sums::Squares(Formula::Sce { base: 2, terms, cut: None });
        assert_eq!(of(&[&[2.0, 3.0], &[1.0, 0.0], &[1.0, 1.0]], &what), [5.0, 1.0]);
    }
}
