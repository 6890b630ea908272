//! What was searched, and how the searched merge compares with the baselines.

use super::{
    NOTHING, Table, is_clear, of_all, points, scores, spread_difference, spread_number, spread_points,
};
use crate::results::Results;
use crate::rows::{Merge, ScoreRow, SearchRow};
use crate::settings::{REFERENCE, SETTINGS, Setting};
use crate::statistics::Spread;

/// The merges of a table, without the best baseline, which is one of the others most of the time.
const MERGES: [Merge; 5] =
    [Merge::BestSingle, Merge::Uniform, Merge::Greedy, Merge::Searched, Merge::FinalMean];

/// What the settings are.
pub(super) fn settings() -> String {
    let mut table = Table::new(["setting", "what it is"]);
    for setting in SETTINGS {
        table.row([format!("`{}`", setting.name), setting.about.to_owned()]);
    }
    table.text()
}

/// Mean of the objectives on test items.
pub(super) fn test_scores(results: &Results) -> String {
    let mut table = Table::new(["setting"].into_iter().chain(MERGES.map(Merge::title)));
    for setting in results.settings() {
        let cells = MERGES.map(|merge| spread_points(&scores(results, setting, merge, |row| row.test)));
        table.row([format!("`{}`", setting.name)].into_iter().chain(cells));
    }
    table.text()
}

/// Mean of the held-out metrics, and what a search changed in it.
pub(super) fn held_out(results: &Results) -> String {
    let mut table = Table::new(
        ["setting"].into_iter().chain(MERGES.map(Merge::title)).chain(["searched - best baseline"]),
    );
    for setting in results.settings() {
        let cells = MERGES.map(|merge| spread_points(&scores(results, setting, merge, |row| row.held_out)));
        let gains: Vec<f64> = results.of(setting).filter_map(|row| row.held_out_gain).collect();
        let cells = [format!("`{}`", setting.name)].into_iter().chain(cells);
        table.row(cells.chain([spread_difference(&gains)]));
    }
    table.text()
}

/// How much better the searched merge is than the best baseline, paired item by item, on test items.
pub(super) fn gains(results: &Results) -> String {
    let mut table = Table::new([
        "setting",
        "gain over the best baseline",
        "by seed",
        "error of one gain",
        "clearly above",
        "clearly below",
        "best baseline",
    ]);
    for setting in results.settings() {
        let rows: Vec<&SearchRow> = results.of(setting).collect();
        let gains: Vec<f64> = rows.iter().map(|row| row.gain).collect();
        let errors: Vec<f64> = rows.iter().filter_map(|row| row.gain_error).collect();
        let above = rows.iter().filter(|row| is_clear(row.gain, row.gain_error)).count();
        let below = rows.iter().filter(|row| is_clear(-row.gain, row.gain_error)).count();
        table.row([
            format!("`{}`", setting.name),
            spread_difference(&gains),
            gains.iter().map(|gain| super::difference(*gain)).collect::<Vec<_>>().join(", "),
            Spread::of(&errors).map_or_else(|| NOTHING.to_owned(), |spread| points(spread.mean)),
            of_all(above, rows.len()),
            of_all(below, rows.len()),
            baselines(results, setting),
        ]);
    }
    table.text()
}

/// What the best baseline was, each kind with how often.
fn baselines(results: &Results, setting: &Setting) -> String {
    let kind = |row: &ScoreRow| match row.trial.split_once('-') {
        Some(("greedy", _)) => "greedy soup".to_owned(),
        Some(("soup", size)) => format!("soup of the best {size}"),
        Some(("single", name)) => name.to_owned(),
        _ => row.trial.clone(),
    };
    let rows = results.scores.iter().filter(|row| row.setting == setting.name);
    let kinds: Vec<String> = rows.filter(|row| row.merge == Merge::BestBaseline).map(kind).collect();
    let mut told: Vec<String> = Vec::new();
    for name in &kinds {
        let count = kinds.iter().filter(|other| *other == name).count();
        let text = if count == kinds.len() { name.clone() } else { format!("{name} ({count})") };
        if !told.contains(&text) {
            told.push(text);
        }
    }
    told.join(", ")
}

/// Each objective of the first setting on test items.
pub(super) fn objectives(results: &Results) -> String {
    let mut table = Table::new(["merge", "descending", "reverse-increment", "addition", "mean"]);
    let Some(setting) = Setting::named(REFERENCE) else { return table.text() };
    for merge in MERGES {
        let cell =
            |value: fn(&ScoreRow) -> Option<f64>| spread_points(&scores(results, setting, merge, value));
        table.row([
            merge.title().to_owned(),
            cell(|row| row.test_descending),
            cell(|row| row.test_reverse_increment),
            cell(|row| row.test_addition),
            cell(|row| row.test),
        ]);
    }
    table.text()
}

/// What choosing by search scores costs: the chosen merge on search and on test items.
pub(super) fn search_to_test(results: &Results) -> String {
    let mut table = Table::new([
        "setting",
        "searched: search",
        "test",
        "lost",
        "final mean: search",
        "test",
        "lost",
        "pairs of finalists that keep their order",
    ]);
    for setting in results.settings() {
        let triple = |merge: Merge| {
            let search = spread_points(&scores(results, setting, merge, |row| row.search));
            let test = spread_points(&scores(results, setting, merge, |row| row.test));
            let lost = spread_points(&scores(results, setting, merge, |row| Some(row.search? - row.test?)));
            [search, test, lost]
        };
        let kept: Vec<f64> = results.of(setting).filter_map(|row| row.order_kept).collect();
        let cells = [format!("`{}`", setting.name)].into_iter().chain(triple(Merge::Searched));
        table.row(cells.chain(triple(Merge::FinalMean)).chain([spread_number(&kept, 2)]));
    }
    table.text()
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    #[test]
    fn gains_are_counted_when_they_are_beyond_two_errors() {
        let text = gains(&fixture::results());
        let row = text.lines().find(|line| line.contains("`three`")).unwrap();
        // 4 and 2 points with an error of 1: only the first is more than two errors above.
        assert_eq!(row, "| `three` | +3.0 ± 1.4 | +4.0, +2.0 | 1.0 | 1 of 2 | 0 of 2 | greedy soup |");
    }

    #[test]
    fn baselines_have_no_spread() {
        let text = test_scores(&fixture::results());
        assert!(text.contains("| `three` | 70.0 | 50.0 | 80.0 | 83.0 ± 1.4 | 83.0 ± 1.4 |"), "{text}");
    }
}
