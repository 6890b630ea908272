//! Exact borders between the largest numbers of a tensor and the rest, in bounded memory: two passes that count, each
//! with half of the bits that numbers are ranked by.

use std::sync::{Mutex, PoisonError};

use crate::kernel::{Chunk, Cut, Series, TILE, Tied};
use crate::simd::{self, Kernel};

/// Bits of a key below those that the first pass counts by.
const LOW_BITS: u32 = 15;
/// Counters of the first pass: one for each upper half of a key of 31 bits.
const HIGH: usize = 1 << 16;
/// Counters of the second pass: one for each lower half.
const LOW: usize = 1 << LOW_BITS;

/// Bytes of counters for each series that one thread counts.
pub(crate) const BYTES_PER_SERIES: u64 = (HIGH * size_of::<u64>()) as u64;

/// Which places in the order of a series, from the largest on, are asked for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ranks {
    pub(crate) series: Series,
    pub(crate) ranks: Vec<Rank>,
}

/// A border in the order.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Rank {
    /// After so many elements.
    First(u64),
    /// After this fraction, rounded down, of the elements that aren't 0; numbers below 1e-40 count as 0.
    OfNonZero(f64),
}

impl Rank {
    fn count(self, counts: &[u64]) -> u64 {
        match self {
            Self::First(count) => count,
            // The lowest bin has 0 and the smallest of the subnormal numbers.
            Self::OfNonZero(fraction) => (fraction * counts.iter().skip(1).sum::<u64>() as f64) as u64,
        }
    }
}

/// One pass of counting. Threads count each for themselves.
#[derive(Debug)]
pub(crate) struct Census {
    series: Vec<Counted>,
    /// Counters of one thread at rest, each series' one after the other.
    resting: Mutex<Vec<Vec<u64>>>,
}

/// A series with the upper halves whose lower halves are counted; the first pass has none and counts upper halves.
#[derive(Debug)]
struct Counted {
    series: Series,
    prefixes: Option<Vec<u32>>,
}

impl Counted {
    fn counters(&self) -> usize {
        self.prefixes.as_ref().map_or(HIGH, |prefixes| prefixes.len() * LOW)
    }
}

impl Census {
    /// The first pass.
    pub(crate) fn first(asked: &[Ranks]) -> Self {
        let series = asked.iter().map(|asked| Counted { series: asked.series.clone(), prefixes: None });
        Self { series: series.collect(), resting: Mutex::default() }
    }

    /// Counts a chunk.
    pub(crate) fn count(&self, chunk: &Chunk<'_>) {
        let resting = self.resting.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut counters =
            resting.unwrap_or_else(|| vec![0; self.series.iter().map(Counted::counters).sum()]);
        simd::run(Count { chunk, series: &self.series, counters: &mut counters });
        self.resting.lock().unwrap_or_else(PoisonError::into_inner).push(counters);
    }

    /// The counts of all threads, by series.
    fn totals(&mut self) -> Vec<Vec<u64>> {
        let all = std::mem::take(self.resting.get_mut().unwrap_or_else(PoisonError::into_inner));
        let mut totals: Vec<Vec<u64>> =
            self.series.iter().map(|counted| vec![0; counted.counters()]).collect();
        for counters in all {
            let mut rest = &counters[..];
            for total in &mut totals {
                let (ours, others) = rest.split_at(total.len());
                total.iter_mut().zip(ours).for_each(|(total, count)| *total += count);
                rest = others;
            }
        }
        totals
    }

    /// After the first pass: the second, and what it needs of the first.
    pub(crate) fn second(mut self, asked: &[Ranks]) -> (Self, Borders) {
        let totals = self.totals();
        let mut series = Vec::new();
        let mut borders = Vec::new();
        for ((counted, counts), asked) in self.series.into_iter().zip(&totals).zip(asked) {
            let found: Vec<Border> = asked.ranks.iter().map(|&rank| Border::of(counts, rank)).collect();
            let mut prefixes: Vec<u32> =
                found.iter().filter_map(|border| border.bin).map(|(bin, _)| bin as u32).collect();
            prefixes.sort_unstable();
            prefixes.dedup();
            borders.push(found);
            series.push(Counted { series: counted.series, prefixes: Some(prefixes) });
        }
        (Self { series, resting: Mutex::default() }, Borders(borders))
    }

    /// After the second pass: for each series and rank the cut that holds as many elements.
    pub(crate) fn cuts(mut self, borders: &Borders) -> Vec<Vec<Cut>> {
        let totals = self.totals();
        let series = self.series.iter().zip(&totals).zip(&borders.0);
        series
            .map(|((counted, counts), borders)| {
                let prefixes = counted.prefixes.as_deref().unwrap_or_default();
                let cut = |border: &Border| {
                    let Some((bin, above)) = border.bin else { return whole(border.rank) };
                    let place = prefixes.iter().position(|&prefix| prefix as usize == bin).unwrap_or(0);
                    let counts = &counts[place * LOW..(place + 1) * LOW];
                    cut_within(bin as u32, counts, border.rank - above)
                };
                borders.iter().map(cut).collect()
            })
            .collect()
    }
}

/// What the first pass found, for each series and rank.
#[derive(Debug)]
pub(crate) struct Borders(Vec<Vec<Border>>);

/// After how many elements a border is, the bin that it lies in, and the elements above that bin.
#[derive(Debug)]
struct Border {
    rank: u64,
    bin: Option<(usize, u64)>,
}

impl Border {
    fn of(counts: &[u64], rank: Rank) -> Self {
        let rank = rank.count(counts);
        Self { rank, bin: bin_of(counts, rank) }
    }
}

/// The cut where no bin has the border: nothing is asked for, or more than there is.
const fn whole(rank: u64) -> Cut {
    if rank == 0 { Cut::NOTHING } else { Cut::EVERYTHING }
}

/// The bin, from the highest on, in which the element of that rank lies (from 1), and how many lie above it.
fn bin_of(counts: &[u64], rank: u64) -> Option<(usize, u64)> {
    let mut above = 0;
    for (bin, &count) in counts.iter().enumerate().rev() {
        if rank > above && rank <= above + count {
            return Some((bin, above));
        }
        above += count;
    }
    None
}

/// The cut of so many elements within a bin of the first pass.
fn cut_within(prefix: u32, counts: &[u64], rank: u64) -> Cut {
    let Some((bin, above)) = bin_of(counts, rank) else { return whole(rank) };
    let key = prefix << LOW_BITS | bin as u32;
    let first = rank - above;
    if first == counts[bin] {
        Cut { at_least: key, tied: None }
    } else {
        Cut { at_least: key + 1, tied: Some(Tied { key, first }) }
    }
}

struct Count<'a, 'b> {
    chunk: &'a Chunk<'b>,
    series: &'a [Counted],
    counters: &'a mut [u64],
}

impl Kernel for Count<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { chunk, series, counters } = self;
        let mut sources = chunk.tiles_of_slots();
        let mut keys = [0; TILE];
        for (start, count) in chunk.tiles() {
            chunk.decode_all((start, count), &mut sources);
            let mut rest = &mut *counters;
            for counted in series {
                let (ours, others) = rest.split_at_mut(counted.counters());
                counted.series.keys(chunk, &sources, (start, count), &mut keys);
                match &counted.prefixes {
                    None => {
                        for key in &keys[..count] {
                            ours[(key >> LOW_BITS) as usize] += 1;
                        }
                    }
                    Some(prefixes) => {
                        for (prefix, ours) in prefixes.iter().zip(ours.chunks_mut(LOW)) {
                            for key in &keys[..count] {
                                if key >> LOW_BITS == *prefix {
                                    ours[(key & (LOW as u32 - 1)) as usize] += 1;
                                }
                            }
                        }
                    }
                }
                rest = others;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::element::Float;
    use crate::kernel::tests::bytes;
    use crate::kernel::{Source, key};

    /// The cuts of the differences from 0, counted in chunks of three elements.
    fn cuts(values: &[f64], ranks: &[Rank]) -> Vec<Cut> {
        let series = Series::Difference { base: 1, slot: 0 };
        let asked = [Ranks { series, ranks: ranks.to_vec() }];
        let count = |census: &Census| {
            for (place, values) in values.chunks(3).enumerate() {
                let (ours, base) = (bytes(values), bytes(&[0.0; 3]));
                let source = |bytes| Source { float: Float::F64, bytes };
                let sources = [source(&ours), source(&base)];
                let first = 3 * place as u64;
                census.count(&Chunk { sources: &sources, first, elements: values.len(), row: 1 });
            }
        };
        let census = Census::first(&asked);
        count(&census);
        let (census, borders) = census.second(&asked);
        count(&census);
        census.cuts(&borders).remove(0)
    }

    #[test]
    fn ties_are_counted() {
        let found = cuts(&[1.0, -2.0, 2.0, 3.0, 2.0], &[0, 1, 2, 4, 5].map(Rank::First));
        let tied = |first| Cut { at_least: key(2.0) + 1, tied: Some(Tied { key: key(2.0), first }) };
        let clean = |value| Cut { at_least: key(value), tied: None };
        assert_eq!(found, [Cut::NOTHING, clean(3.0), tied(1), clean(2.0), clean(1.0)]);
    }

    #[test]
    fn zeros_are_left_out_of_fractions() {
        let found = cuts(&[0.0, 4.0, 1.0, 0.0, 2.0, 3.0, 0.0], &[0.5, 0.2].map(Rank::OfNonZero));
        assert_eq!(found, [Cut { at_least: key(3.0), tied: None }, Cut::NOTHING]);
    }

    proptest! {
        #[test]
        fn a_cut_holds_exactly_the_largest(
            values in prop::collection::vec(prop_oneof![-2.0..2.0, Just(0.5), Just(-0.5), Just(0.0)], 1..60),
            share in 0.0..=1.0,
        ) {
            let rank = (share * values.len() as f64) as u64;
            let cut = cuts(&values, &[Rank::First(rank)])[0];
            let (mut seen, mut marked) = (0, [false; TILE]);
            let keys = std::array::from_fn(|place| values.get(place).map_or(0, |&value| key(value)));
            cut.mark(&keys, values.len(), Some(&mut seen), &mut marked);
            let taken: Vec<usize> = (0..values.len()).filter(|&place| marked[place]).collect();
            let mut order: Vec<usize> = (0..values.len()).collect();
            // Stable: equal ones stay in their order.
            order.sort_by_key(|&place| std::cmp::Reverse(key(values[place])));
            order.truncate(rank as usize);
            order.sort_unstable();
            prop_assert_eq!(taken, order);
        }
    }
}
