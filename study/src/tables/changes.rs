//! What one change to the first setting does: seed by seed, on test items.

use super::{Table, mean_and_error, of_all, score, scores, spread_difference, spread_number, spread_points};
use crate::results::Results;
use crate::rows::{Merge, SearchRow};
use crate::settings::{Checkpoints, REFERENCE, Setting};

/// Settings that change the search or the pool, but not the objectives.
const CHANGED: [&str; 6] =
    ["nonnegative", "population-half", "population-double", "without-bad", "pool-8", "pool-4"];
/// Settings by the size of their pool.
const BY_SIZE: [&str; 4] = [REFERENCE, "without-bad", "pool-8", "pool-4"];

/// Differences in test score from the first setting.
pub(super) fn changes(results: &Results) -> String {
    let mut table = Table::new(["change", "searched merge", "better in", "final mean", "best baseline"]);
    for setting in CHANGED.iter().filter_map(|name| Setting::named(name)) {
        let searched = from_reference(results, setting, Merge::Searched);
        let better = searched.iter().filter(|difference| **difference > 0.0).count();
        table.row([
            format!("`{}`: {}", setting.name, setting.about),
            mean_and_error(&searched),
            of_all(better, searched.len()),
            mean_and_error(&from_reference(results, setting, Merge::FinalMean)),
            mean_and_error(&from_reference(results, setting, Merge::BestBaseline)),
        ]);
    }
    table.text()
}

/// Test score of a merge in a setting minus that in the first setting, for each seed that both have.
pub(super) fn from_reference(results: &Results, setting: &Setting, merge: Merge) -> Vec<f64> {
    let test = |search: &SearchRow| score(results, search, merge)?.test;
    let reference = |seed: u64| {
        let mut rows = results.searches.iter();
        test(rows.find(|row| row.setting == REFERENCE && row.seed == seed)?)
    };
    results.of(setting).filter_map(|row| Some(test(row)? - reference(row.seed)?)).collect()
}

/// Pools of several sizes, each with its own best baseline.
pub(super) fn pool_size(results: &Results) -> String {
    let mut table = Table::new([
        "setting",
        "checkpoints",
        "best single",
        "best baseline",
        "searched",
        "gain over the best baseline",
        "bad ones in the pool",
    ]);
    for setting in BY_SIZE.iter().filter_map(|name| Setting::named(name)) {
        let rows: Vec<&SearchRow> = results.of(setting).collect();
        let test = |merge: Merge| spread_points(&scores(results, setting, merge, |row| row.test));
        let sizes: Vec<f64> = rows.iter().map(|row| row.checkpoints as f64).collect();
        let gains: Vec<f64> = rows.iter().map(|row| row.gain).collect();
        let bad: Vec<f64> = rows.iter().map(|row| bad_in_pool(results, row) as f64).collect();
        table.row([
            format!("`{}`", setting.name),
            spread_number(&sizes, 0),
            test(Merge::BestSingle),
            test(Merge::BestBaseline),
            test(Merge::Searched),
            spread_difference(&gains),
            if matches!(setting.pool, Checkpoints::Drawn(_)) && !bad.is_empty() {
                bad.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
            } else {
                spread_number(&bad, 0)
            },
        ]);
    }
    table.text()
}

fn bad_in_pool(results: &Results, search: &SearchRow) -> usize {
    let rows = super::weights(results, search);
    rows.iter().filter(|row| crate::settings::BAD.contains(&row.checkpoint.as_str())).count()
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    #[test]
    fn settings_are_compared_seed_by_seed() {
        let results = fixture::results();
        let differences = from_reference(&results, Setting::named("without-bad").unwrap(), Merge::Searched);
        assert_eq!(differences.len(), 2);
        assert!((differences[0] + 0.0051).abs() < 1e-12 && (differences[1] + 0.0052).abs() < 1e-12);
        let text = changes(&results);
        assert!(text.contains("| -0.5 ± 0.0 | 0 of 2 | 0.0 ± 0.0 | 0.0 ± 0.0 |"), "{text}");
    }
}
