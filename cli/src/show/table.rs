//! The tables for people: objectives by search and by test scores, then what was held out.

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ContentArrangement, Table};
use mergesearch_search::judgement::{called, fitness_of};
use mergesearch_search::results::Measurement;
use mergesearch_search::{Direction, Row, Search, TrialId};

use super::{Report, contribution};

/// All that `show` prints.
pub(super) fn text(search: &Search, report: &Report) -> String {
    let baselines: Vec<&Row> = report.baselines.iter().filter(|row| is_shown(report, row)).collect();
    let mean = report.final_mean.iter().filter(|mean| report.front.iter().all(|row| row.trial != mean.trial));
    let best = report.best.iter().filter(|id| report.front.iter().all(|row| row.trial != **id));
    let best: Vec<Row> = best.filter_map(|id| search.row(id)).collect();
    let searched: Vec<&Row> =
        report.front.iter().filter(|row| !row.trial.is_baseline()).chain(&best).chain(mean).collect();

    let mut text = state(report);
    text.push_str("\nSearch scores (→ test scores), with standard errors. * is the best merge by search fitness, + on the front.\n\n");
    text.push_str(&objectives(search, report, &[("baselines", &baselines), ("searched merges", &searched)]));
    let scored: Vec<&Row> =
        baselines.iter().chain(&searched).copied().filter(|row| !row.held_out.is_empty()).collect();
    if !scored.is_empty() {
        text.push_str("\nHeld-out scores: what the search never saw.\n\n");
        text.push_str(&held_out(search, report, &scored));
    }
    if let Some(comparison) = &report.comparison {
        text.extend(["\n", &comparison.sentence, "\n"]);
        if let Some(share) = comparison.verdict.order_kept {
            let percent = format!("{:.0} %", share * 100.0);
            text.extend([
                &percent,
                " of the pairs of finalists keep their order from search to test.
",
            ]);
        }
    }
    if let Some(contributions) = &report.contribution {
        text.extend(["\n", &contribution::text(search.config(), contributions)]);
    }
    for warning in &report.warnings {
        text.extend(["warning: ", warning, "\n"]);
    }
    for published in &report.published {
        text.extend(["published ", &published.trial.to_string(), " to ", &published.uri, "\n"]);
    }
    text
}

fn state(report: &Report) -> String {
    let progress = &report.progress;
    let ended = progress.succeeded + progress.failed;
    let failed = if progress.failed == 0 { String::new() } else { format!(", {} failed", progress.failed) };
    let outcome = report
        .outcome
        .clone()
        .unwrap_or_else(|| format!("not finished: {ended} of {} trials", progress.planned));
    format!(
        "{outcome}\n{ended} trials{failed}, {} generations, front of {}, hypervolume {:.4}\n",
        report.generations.len(),
        progress.front_size,
        progress.hypervolume
    )
}

/// The other single checkpoints and the greedy soup's steps are in the JSON.
fn is_shown(report: &Report, row: &Row) -> bool {
    match row.trial {
        TrialId::Single(_) => report.best_single.as_ref() == Some(&row.trial) || !row.test.is_empty(),
        TrialId::Greedy(_) => report.greedy_soup.as_ref() == Some(&row.trial),
        _ => true,
    }
}

fn objectives(search: &Search, report: &Report, sections: &[(&str, &[&Row])]) -> String {
    let config = search.config();
    let mut header = vec![String::new(), "fitness".to_owned()];
    header.extend(
        config.objectives.iter().map(|objective| format!("{}{}", objective.name, arrow(objective.direction))),
    );
    header.push("sum |w|".to_owned());
    let mut table = plain(header);
    for (title, rows) in sections {
        if rows.is_empty() {
            continue;
        }
        table.add_row([format!("{title}:")]);
        for row in *rows {
            let mut cells = vec![label(search, report, row)];
            let fitness = |scores: &[Measurement]| {
                fitness_of(config, scores).map(|(value, stderr)| Measurement { value, stderr, items: None })
            };
            cells.push(pair(fitness(&row.search), fitness(&row.test)));
            cells.extend(
                (0..config.objectives.len())
                    .map(|index| pair(row.search.get(index).copied(), row.test.get(index).copied())),
            );
            cells.push(format!("{:.2}", row.absolute_weights));
            table.add_row(cells);
        }
    }
    finish(&table)
}

fn held_out(search: &Search, report: &Report, rows: &[&Row]) -> String {
    let metrics = &search.config().held_out;
    let mut header = vec![String::new()];
    header.extend(metrics.iter().map(|metric| format!("{}{}", metric.name, arrow(metric.direction))));
    let mut table = plain(header);
    for row in rows {
        let scores = row.held_out.iter().map(|score| measured(*score));
        table.add_row(std::iter::once(label(search, report, row)).chain(scores));
    }
    finish(&table)
}

/// A trial and the baselines as a Markdown table: test and held-out scores where there are any, else search scores.
pub(super) fn markdown(search: &Search, report: &Report, id: &TrialId) -> String {
    let own = search.row(id);
    let baselines = report.baselines.iter().filter(|row| is_shown(report, row) && row.trial != *id);
    let rows: Vec<&Row> = own.iter().chain(baselines).filter(|row| !row.search.is_empty()).collect();
    let mut header = vec!["Merge".to_owned()];
    for objective in &search.config().objectives {
        header.push(format!("{} (search){}", objective.name, arrow(objective.direction)));
        header.push(format!("{} (test)", objective.name));
    }
    header.extend(
        search
            .config()
            .held_out
            .iter()
            .map(|metric| format!("{} (held out){}", metric.name, arrow(metric.direction))),
    );
    let mut text = format!("| {} |\n|{}\n", header.join(" | "), " --- |".repeat(header.len()));
    for row in rows {
        let score = |scores: &[Measurement], index: usize| {
            scores.get(index).map_or_else(String::new, |score| measured(*score))
        };
        let objectives = (0..search.config().objectives.len())
            .flat_map(|index| [score(&row.search, index), score(&row.test, index)]);
        let held_out = (0..search.config().held_out.len()).map(|index| score(&row.held_out, index));
        let cells: Vec<String> =
            std::iter::once(called(search, &row.trial)).chain(objectives).chain(held_out).collect();
        text.extend(["| ", &cells.join(" | "), " |\n"]);
    }
    if let Some(comparison) = report.comparison.as_ref().filter(|comparison| comparison.verdict.best == *id) {
        text.extend(["\n", &comparison.sentence, "\n"]);
    }
    text
}

fn label(search: &Search, report: &Report, row: &Row) -> String {
    let best = if report.best.as_ref() == Some(&row.trial) { "*" } else { " " };
    let front = if report.front.iter().any(|member| member.trial == row.trial) { "+" } else { " " };
    let name = if row.trial.is_baseline() { called(search, &row.trial) } else { row.trial.to_string() };
    let failed = if row.failure.is_some() { " (failed)" } else { "" };
    format!(" {best}{front} {name}{failed}")
}

/// A direction as a word for tables.
const fn arrow(direction: Direction) -> &'static str {
    match direction {
        Direction::Maximize => "",
        Direction::Minimize => " (less is better)",
    }
}

/// Search score, and the test score where there is one: `0.912 → 0.903 ± 0.004`.
fn pair(search: Option<Measurement>, test: Option<Measurement>) -> String {
    match (search, test) {
        (Some(search), Some(test)) => format!("{} → {}", value(search.value), measured(test)),
        (Some(search), None) => measured(search),
        (None, _) => "-".to_owned(),
    }
}

fn measured(score: Measurement) -> String {
    let error = score.stderr.map_or_else(String::new, |error| format!(" ± {}", value(error)));
    format!("{}{error}", value(score.value))
}

fn value(value: f64) -> String {
    if value.abs() < 100.0 { format!("{value:.3}") } else { format!("{value:.1}") }
}

/// Rows in aligned columns, without a header.
pub(crate) fn columns<const N: usize>(rows: impl IntoIterator<Item = [String; N]>) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled).add_rows(rows);
    if table.is_empty() { String::new() } else { finish(&table) }
}

/// An empty table whose columns but the first are numbers.
pub(super) fn plain(header: Vec<String>) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled).set_header(header);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// The lines of a table.
pub(super) fn finish(table: &Table) -> String {
    let lines = table.lines().map(|line| line.trim_end().to_owned() + "\n");
    lines.collect()
}
