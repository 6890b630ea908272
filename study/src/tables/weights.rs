//! Which checkpoints the searched merges use.

use super::{NOTHING, Table, is_clear, mean_and_error, of_all, points, spread_number, weights};
use crate::results::Results;
use crate::rows::{SearchRow, WeightRow};
use crate::settings::{BAD, REFERENCE, Setting};
use crate::statistics::{Spread, rank_correlation};

/// Weights of a smaller size hardly count.
pub(super) const NEGLIGIBLE: f64 = 0.01;

/// The checkpoints of the first setting, best own score first.
pub(super) fn by_checkpoint(results: &Results) -> String {
    let mut table = Table::new([
        "checkpoint",
        "own score",
        "weight in the searched merge",
        "weight in the final mean",
        "above 0",
        "test score without it",
    ]);
    let Some(setting) = Setting::named(REFERENCE) else { return table.text() };
    for (checkpoint, own, rows) in checkpoints(results, setting) {
        let values = |value: fn(&WeightRow) -> Option<f64>| -> Vec<f64> {
            rows.iter().filter_map(|row| value(row)).collect()
        };
        let positive = rows.iter().filter(|row| row.weight > 0.0).count();
        let mark = if BAD.contains(&checkpoint) { " (bad)" } else { "" };
        table.row([
            format!("{checkpoint}{mark}"),
            points(own),
            spread_number(&values(|row| Some(row.weight)), 3),
            spread_number(&values(|row| row.mean_weight), 3),
            of_all(positive, rows.len()),
            mean_and_error(&values(|row| row.removal)),
        ]);
    }
    table.text()
}

/// The checkpoints of a setting with their own score and their rows by seed, best own score first.
pub(crate) fn checkpoints<'a>(
    results: &'a Results,
    setting: &Setting,
) -> Vec<(&'a str, f64, Vec<&'a WeightRow>)> {
    let mut found: Vec<(&str, f64, Vec<&WeightRow>)> = Vec::new();
    for row in results.weights.iter().filter(|row| row.setting == setting.name) {
        match found.iter_mut().find(|(name, _, _)| *name == row.checkpoint) {
            Some((_, _, rows)) => rows.push(row),
            None => found.push((&row.checkpoint, row.own.unwrap_or(0.0), vec![row])),
        }
    }
    found.sort_by(|one, other| other.1.total_cmp(&one.1));
    found
}

/// What the weights of each setting are like.
pub(super) fn by_setting(results: &Results) -> String {
    let mut table = Table::new([
        "setting",
        "checkpoints",
        "of size 0.01 or more",
        "below -0.01",
        "sum of sizes",
        "same sign in all searches",
        "sum of sizes of the bad ones",
        "rank correlation of own score and weight",
    ]);
    for setting in results.settings() {
        let searches: Vec<&SearchRow> = results.of(setting).collect();
        let over = |value: &dyn Fn(&[&WeightRow]) -> Option<f64>| -> Vec<f64> {
            searches.iter().filter_map(|search| value(&weights(results, search))).collect()
        };
        let count = |keep: fn(&WeightRow) -> bool| {
            over(&move |rows| Some(rows.iter().filter(|row| keep(row)).count() as f64))
        };
        let drawn = searches.iter().map(|search| search.checkpoints as f64).collect::<Vec<_>>();
        table.row([
            format!("`{}`", setting.name),
            spread_number(&drawn, 0),
            spread_number(&count(|row| row.weight.abs() >= NEGLIGIBLE), 1),
            spread_number(&count(|row| row.weight <= -NEGLIGIBLE), 1),
            spread_number(&over(&|rows| Some(rows.iter().map(|row| row.weight.abs()).sum())), 2),
            same_sign(results, setting, searches.len()),
            spread_number(&over(&|rows| bad_weight(rows)), 2),
            spread_number(&over(&|rows| own_and_weight(rows)), 2),
        ]);
    }
    table.text()
}

/// Checkpoints whose weight has the same sign and is not negligible in every search; nothing where pools differ by seed.
fn same_sign(results: &Results, setting: &Setting, seeds: usize) -> String {
    let checkpoints = checkpoints(results, setting);
    if seeds < 2 || checkpoints.iter().any(|(_, _, rows)| rows.len() != seeds) {
        return NOTHING.to_owned();
    }
    let same = |rows: &[&WeightRow]| {
        rows.iter().all(|row| row.weight >= NEGLIGIBLE) || rows.iter().all(|row| row.weight <= -NEGLIGIBLE)
    };
    of_all(checkpoints.iter().filter(|(_, _, rows)| same(rows)).count(), checkpoints.len())
}

/// Sum of the sizes of the bad checkpoints' weights; `None` without any.
pub(super) fn bad_weight(rows: &[&WeightRow]) -> Option<f64> {
    let bad: Vec<f64> = rows
        .iter()
        .filter(|row| BAD.contains(&row.checkpoint.as_str()))
        .map(|row| row.weight.abs())
        .collect();
    (!bad.is_empty()).then(|| bad.iter().sum())
}

/// The rank correlation of own score and weight.
pub(super) fn own_and_weight(rows: &[&WeightRow]) -> Option<f64> {
    let (own, weight): (Vec<f64>, Vec<f64>) =
        rows.iter().filter_map(|row| Some((row.own?, row.weight))).unzip();
    rank_correlation(&own, &weight)
}

/// The rank correlation of own score and what is lost without the checkpoint.
fn own_and_loss(rows: &[&WeightRow]) -> Option<f64> {
    let (own, loss): (Vec<f64>, Vec<f64>) =
        rows.iter().filter_map(|row| Some((row.own?, -row.removal?))).unzip();
    rank_correlation(&own, &loss)
}

/// What taking single checkpoints out of the searched merge does on test items.
pub(super) fn removals(results: &Results) -> String {
    let mut table = Table::new([
        "setting",
        "taken out",
        "clearly worse without it",
        "clearly better without it",
        "no clear change",
        "the bad ones: change in points",
        "rank correlation of own score and loss",
    ]);
    for setting in results.settings().filter(|setting| setting.taken_apart) {
        let searches: Vec<Vec<&WeightRow>> =
            results.of(setting).map(|search| weights(results, search)).collect();
        let removed = searches.iter().flatten().filter_map(|row| Some((row, row.removal?)));
        let removed: Vec<_> = removed.collect();
        let worse = removed.iter().filter(|(row, change)| is_clear(-change, row.removal_error)).count();
        let better = removed.iter().filter(|(row, change)| is_clear(*change, row.removal_error)).count();
        let bad = BAD.map(|name| {
            let changes: Vec<f64> =
                removed.iter().filter(|(row, _)| row.checkpoint == name).map(|(_, change)| *change).collect();
            format!("{name} {}", mean_and_error(&changes))
        });
        let correlations: Vec<f64> = searches.iter().filter_map(|rows| own_and_loss(rows)).collect();
        table.row([
            format!("`{}`", setting.name),
            removed.len().to_string(),
            worse.to_string(),
            better.to_string(),
            (removed.len() - worse - better).to_string(),
            bad.join(", "),
            spread_number(&correlations, 2),
        ]);
    }
    table.text()
}

/// How many checkpoints have a weight that is not negligible, and how many there are: means over the searches of a setting.
pub(super) fn used(results: &Results, setting: &Setting) -> Option<(f64, f64)> {
    let counts: Vec<f64> = results
        .of(setting)
        .map(|search| {
            weights(results, search).iter().filter(|row| row.weight.abs() >= NEGLIGIBLE).count() as f64
        })
        .collect();
    let all: Vec<f64> = results.of(setting).map(|search| search.checkpoints as f64).collect();
    Some((Spread::of(&counts)?.mean, Spread::of(&all)?.mean))
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    #[test]
    fn checkpoints_stand_by_their_own_score_and_the_bad_are_marked() {
        let text = by_checkpoint(&fixture::results());
        let lines: Vec<&str> = text.lines().skip(2).collect();
        assert_eq!(lines[0], "| pref-2 | 70.0 | 0.600 | 0.600 | 2 of 2 | -20.0 ± 0.0 |");
        assert!(lines[3].starts_with("| sft-8-random-labels (bad) | 0.0 | 0.000 ± 0.141 | "), "{}", lines[3]);
    }

    #[test]
    fn negligible_weights_and_changing_signs_are_told() {
        let text = by_setting(&fixture::results());
        let row = text.lines().find(|line| line.contains("`three`")).unwrap();
        // Three weights of size 0.01 or more; the random labels' one is -0.1 once and 0.1 once.
        assert!(row.starts_with("| `three` | 4 | 3.0 | 0.5 ± 0.7 | 1.20 | 2 of 4 | 0.10 |"), "{row}");
    }

    #[test]
    fn a_removal_is_clear_beyond_two_errors() {
        let text = removals(&fixture::results());
        let row = text.lines().find(|line| line.contains("`three`")).unwrap();
        assert!(row.starts_with("| `three` | 8 | 4 | 2 | 2 |"), "{row}");
    }
}
