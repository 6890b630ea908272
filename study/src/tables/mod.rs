//! The tables of the page, one module for each question. Every number comes from the results.

mod changes;
mod claims;
mod comparison;
mod course;
#[cfg(test)]
mod fixture;
mod weights;

pub(crate) use self::course::at;
pub(crate) use self::weights::checkpoints;
use crate::results::Results;
use crate::rows::{Merge, ScoreRow, SearchRow, WeightRow};
use crate::settings::Setting;
use crate::statistics::Spread;

/// The generated parts of the page by name, in the page's order.
pub fn parts(results: &Results) -> Vec<(&'static str, String)> {
    vec![
        ("claims", claims::claims(results)),
        ("settings", comparison::settings()),
        ("scores", comparison::test_scores(results)),
        ("gains", comparison::gains(results)),
        ("objectives", comparison::objectives(results)),
        ("held-out", comparison::held_out(results)),
        ("search-to-test", comparison::search_to_test(results)),
        ("effort", course::effort(results)),
        ("course", course::course(results)),
        ("weights", weights::by_checkpoint(results)),
        ("weights-by-setting", weights::by_setting(results)),
        ("removals", weights::removals(results)),
        ("changes", changes::changes(results)),
        ("pool-size", changes::pool_size(results)),
    ]
}

/// A Markdown table.
struct Table {
    lines: Vec<String>,
}

impl Table {
    fn new<Title: AsRef<str>>(titles: impl IntoIterator<Item = Title>) -> Self {
        let mut table = Self { lines: Vec::new() };
        let titles: Vec<String> = titles.into_iter().map(|title| title.as_ref().to_owned()).collect();
        let rule = "---|".repeat(titles.len());
        table.row(titles);
        table.lines.push(format!("|{rule}"));
        table
    }

    fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let cells: Vec<String> = cells.into_iter().collect();
        self.lines.push(format!("| {} |", cells.join(" | ")));
    }

    fn text(self) -> String {
        self.lines.join("\n") + "\n"
    }
}

/// What stands where nothing is known.
const NOTHING: &str = "-";

/// A fraction in points.
fn points(value: f64) -> String {
    let text = format!("{:.1}", 100.0 * value);
    if text == "-0.0" { "0.0".to_owned() } else { text }
}

/// A difference in points, with its sign.
fn difference(value: f64) -> String {
    let text = points(value);
    if text.starts_with('-') || text == "0.0" { text } else { format!("+{text}") }
}

/// Fractions over seeds in points: mean and standard deviation; one number where they are all equal.
fn spread_points(values: &[f64]) -> String {
    spread(values, points, points)
}

/// Differences over seeds in points.
fn spread_difference(values: &[f64]) -> String {
    spread(values, difference, points)
}

/// Numbers over seeds with so many decimals.
fn spread_number(values: &[f64], decimals: usize) -> String {
    let number = |value: f64| format!("{value:.decimals$}");
    spread(values, number, number)
}

fn spread(values: &[f64], mean: impl Fn(f64) -> String, deviation: impl Fn(f64) -> String) -> String {
    match Spread::of(values) {
        None => NOTHING.to_owned(),
        Some(Spread { mean: value, deviation: Some(error), .. }) if error > 0.0 => {
            format!("{} ± {}", mean(value), deviation(error))
        }
        Some(Spread { mean: value, .. }) => mean(value),
    }
}

/// Mean of differences over seeds in points, and the standard error of that mean.
fn mean_and_error(values: &[f64]) -> String {
    match Spread::of(values) {
        None => NOTHING.to_owned(),
        Some(spread) => match spread.error() {
            Some(error) => format!("{} ± {}", difference(spread.mean), points(error)),
            None => difference(spread.mean),
        },
    }
}

/// Counts over seeds: the median, and the smallest and largest.
fn range(values: &[usize]) -> String {
    let numbers: Vec<f64> = values.iter().map(|value| *value as f64).collect();
    match (crate::statistics::median(&numbers), values.iter().min(), values.iter().max()) {
        (Some(median), Some(least), Some(most)) => format!("{median} ({least} to {most})"),
        _ => NOTHING.to_owned(),
    }
}

/// `4 of 5`.
fn of_all(count: usize, all: usize) -> String {
    format!("{count} of {all}")
}

/// A value of one merge in every search of a setting, by seed; searches without it are left out.
pub(crate) fn scores(
    results: &Results,
    setting: &Setting,
    merge: Merge,
    value: impl Fn(&ScoreRow) -> Option<f64>,
) -> Vec<f64> {
    let rows = results.scores.iter().filter(|row| row.setting == setting.name && row.merge == merge);
    rows.filter_map(value).collect()
}

/// The rows of one search's merges.
fn score<'a>(results: &'a Results, search: &SearchRow, merge: Merge) -> Option<&'a ScoreRow> {
    let mut rows = results.scores.iter();
    rows.find(|row| row.setting == search.setting && row.seed == search.seed && row.merge == merge)
}

/// The checkpoints of one search.
fn weights<'a>(results: &'a Results, search: &SearchRow) -> Vec<&'a WeightRow> {
    let rows = results.weights.iter();
    rows.filter(|row| row.setting == search.setting && row.seed == search.seed).collect()
}

/// Whether a difference is more than two standard errors above 0.
fn is_clear(value: f64, error: Option<f64>) -> bool {
    error.is_some_and(|error| value > 2.0 * error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_told_with_their_spread_and_sign() {
        assert_eq!(spread_points(&[0.853, 0.863]), "85.8 ± 0.7");
        assert_eq!(spread_points(&[0.822, 0.822]), "82.2");
        assert_eq!(spread_difference(&[0.03]), "+3.0");
        assert_eq!(spread_difference(&[-0.03]), "-3.0");
        assert_eq!(difference(-0.000_01), "0.0");
        assert_eq!(mean_and_error(&[0.01, 0.03]), "+2.0 ± 1.0");
        assert_eq!(range(&[40, 100, 60]), "60 (40 to 100)");
        assert_eq!(spread_points(&[]), "-");
    }

    #[test]
    fn a_table_is_markdown() {
        let mut table = Table::new(["a", "b"]);
        table.row(["1".to_owned(), "2".to_owned()]);
        assert_eq!(table.text(), "| a | b |\n|---|---|\n| 1 | 2 |\n");
    }
}
