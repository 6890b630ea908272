//! Which rows of which members the rows of an output are.

use std::ops::Range;

/// All rows of one tensor, in runs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Rows {
    runs: Vec<Run>,
}

/// Rows that follow each other in the output and in all that they're made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Run {
    /// The rows of the output.
    pub(crate) rows: Range<u64>,
    /// The members and their first rows; of several the mean, of none zeros.
    pub(crate) sources: Vec<(usize, u64)>,
}

impl Rows {
    /// Adds the next row.
    pub(crate) fn push(&mut self, sources: Vec<(usize, u64)>) {
        let next = self.runs.last().map_or(0, |run| run.rows.end);
        if let Some(run) = self.runs.last_mut() {
            let length = run.rows.end - run.rows.start;
            let follows = run.sources.len() == sources.len()
                && run.sources.iter().zip(&sources).all(|(run, new)| (run.0, run.1 + length) == *new);
            if follows {
                run.rows.end += 1;
                return;
            }
        }
        self.runs.push(Run { rows: next..next + 1, sources });
    }

    /// Whether they are the member's own rows, all of them in order.
    pub(crate) fn are_all_of(&self, member: usize, held: u64) -> bool {
        self.runs == [Run { rows: 0..held, sources: vec![(member, 0)] }]
    }

    /// The runs of a stretch of elements, rows of `columns`: for each the elements of the output, and of each source the
    /// member and its first element.
    pub(crate) fn of_stretch(
        &self,
        first: u64,
        elements: u64,
        columns: u64,
    ) -> impl Iterator<Item = (Range<u64>, Vec<(usize, u64)>)> {
        let end = first + elements;
        let begin = self.runs.partition_point(|run| run.rows.end * columns <= first);
        self.runs[begin..].iter().take_while(move |run| run.rows.start * columns < end).map(move |run| {
            let (start, stop) = ((run.rows.start * columns).max(first), (run.rows.end * columns).min(end));
            let skipped = start - run.rows.start * columns;
            let sources = run.sources.iter().map(|&(member, row)| (member, row * columns + skipped));
            (start..stop, sources.collect())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_as_long_as_they_can_be_and_cut_anywhere() {
        let mut rows = Rows::default();
        for sources in [vec![(0, 0)], vec![(0, 1)], vec![(0, 2), (1, 5)], vec![], vec![]] {
            rows.push(sources);
        }
        assert_eq!(rows.runs.len(), 3);
        let cut: Vec<_> = rows.of_stretch(4, 5, 3).collect();
        assert_eq!(cut, [(4..6, vec![(0, 4)]), (6..9, vec![(0, 6), (1, 15)])]);
        assert_eq!(rows.of_stretch(9, 6, 3).collect::<Vec<_>>(), [(9..15, vec![])]);
    }

    #[test]
    fn rows_of_one_member_in_order_are_known() {
        let mut rows = Rows::default();
        rows.push(vec![(1, 0)]);
        rows.push(vec![(1, 1)]);
        assert!(rows.are_all_of(1, 2));
        assert!(!rows.are_all_of(1, 3) && !rows.are_all_of(0, 2));
    }
}
