//! How many evaluations it took.

use super::{Table, of_all, range, spread_points};
use crate::results::Results;
use crate::rows::{ProgressRow, SearchRow};
use crate::settings::Setting;

/// Evaluations at which the course of a search is told.
const TOLD_AT: [usize; 7] = [20, 50, 100, 150, 200, 300, 400];
/// Settings whose courses stand side by side.
const SIDE_BY_SIDE: [&str; 4] = ["three", "population-half", "population-double", "nonnegative"];

/// How many evaluations some things took.
pub(super) fn effort(results: &Results) -> String {
    let mut table = Table::new([
        "setting",
        "evaluations in all",
        "better than every baseline after",
        "never",
        "within half a point of the end after",
        "last improvement after",
    ]);
    for setting in results.settings() {
        let rows: Vec<&SearchRow> = results.of(setting).collect();
        let counts = |value: fn(&SearchRow) -> usize| rows.iter().map(|row| value(row)).collect::<Vec<_>>();
        let beats: Vec<usize> = rows.iter().filter_map(|row| row.beats_baselines).collect();
        table.row([
            format!("`{}`", setting.name),
            range(&counts(|row| row.evaluations)),
            range(&beats),
            of_all(rows.len() - beats.len(), rows.len()),
            range(&counts(|row| row.within_half_point)),
            range(&counts(|row| row.last_improvement)),
        ]);
    }
    table.text()
}

/// The best so far after some evaluations, on the items it was chosen by and on test items.
pub(super) fn course(results: &Results) -> String {
    let settings: Vec<&Setting> = SIDE_BY_SIDE.iter().filter_map(|name| Setting::named(name)).collect();
    let titles =
        settings.iter().flat_map(|setting| [format!("`{}`: search", setting.name), "test".to_owned()]);
    let mut table = Table::new(["evaluations".to_owned()].into_iter().chain(titles));
    for evaluations in TOLD_AT {
        let cells = settings.iter().flat_map(|setting| {
            let steps = at(results, setting, evaluations);
            let search: Vec<f64> = steps.iter().map(|row| row.best).collect();
            let test: Vec<f64> = steps.iter().filter_map(|row| row.best_test).collect();
            [spread_points(&search), spread_points(&test)]
        });
        table.row([evaluations.to_string()].into_iter().chain(cells));
    }
    table.text()
}

/// Each seed's last generation that was complete after so many evaluations.
pub(crate) fn at<'a>(results: &'a Results, setting: &Setting, evaluations: usize) -> Vec<&'a ProgressRow> {
    let seeds = results.of(setting).map(|row| row.seed);
    let last = |seed: u64| {
        let of_seed = |row: &&ProgressRow| row.setting == setting.name && row.seed == seed;
        results.progress.iter().filter(of_seed).rfind(|row| row.evaluations <= evaluations)
    };
    seeds.filter_map(last).collect()
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    #[test]
    fn a_course_is_told_by_the_last_whole_generation() {
        let results = fixture::results();
        let three = Setting::named("three").unwrap();
        let best = |evaluations| -> Vec<f64> {
            at(&results, three, evaluations).iter().map(|row| row.best).collect()
        };
        assert_eq!(best(19), [0.0; 0]);
        assert_eq!(best(43), [0.8, 0.8]);
        assert_eq!(best(400), [0.85, 0.85]);
    }

    #[test]
    fn searches_that_never_beat_the_baselines_are_counted() {
        let text = effort(&fixture::results());
        assert!(text.contains("| `three` | 100 (100 to 100) | 30 (30 to 30) | 1 of 2 |"), "{text}");
    }
}
