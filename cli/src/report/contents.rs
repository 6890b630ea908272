//! From a search and its result to what the report shows.

use std::collections::HashMap;
use std::path::Path;

use mergesearch_recipe::Recipe;
use mergesearch_report::{
    CheckpointContribution, Contribution, Fact, Generation, Judgement, Kind, Metric, Report as Contents,
    Roles, Score, Span, Timeline, Trial,
};
use mergesearch_search::judgement::{called, fitness_of, test_gain};
use mergesearch_search::results::Measurement;
use mergesearch_search::{Contributions, Direction, Row, Search, TrialId};

use super::Source;
use crate::judge::items_in;
use crate::show::{self, Part, Report};

/// Digits after the point of what the page holds: finer than any picture, and a page of a thousand trials stays small.
const SCORE_DIGITS: i32 = 6;
const WEIGHT_DIGITS: i32 = 4;

/// Collects what the report shows of a search called `name`.
pub(super) fn contents(name: &str, search: &Search, report: &Report, source: Source<'_>) -> Contents {
    let config = search.config();
    let rows: Vec<Row> = search.search_trials().filter_map(|id| search.row(id)).collect();
    let places: HashMap<&TrialId, usize> =
        rows.iter().enumerate().map(|(place, row)| (&row.trial, place)).collect();
    let place = |id: &Option<TrialId>| id.as_ref().and_then(|id| places.get(id).copied());
    let state = match source {
        Source::Local(state) => Some(state),
        Source::Cluster(_) => None,
    };
    let warnings = report
        .comparison
        .as_ref()
        .map(|comparison| comparison.verdict.warnings(state.is_some()))
        .unwrap_or_default();
    let roles = Roles {
        front: report.front.iter().filter_map(|row| places.get(&row.trial).copied()).collect(),
        best: place(&report.best),
        best_baseline: place(&search.best_baseline()),
        base: places.get(&TrialId::Base).copied(),
        best_single: place(&report.best_single),
        uniform: places.get(&TrialId::Uniform).copied(),
        greedy: place(&report.greedy_soup.clone().filter(|id| !matches!(id, TrialId::Single(_)))),
        final_mean: place(&report.final_mean.as_ref().map(|row| row.trial.clone())),
    };
    let baseline = roles.best_baseline.and_then(|place| rows.get(place));
    Contents {
        name: name.to_owned(),
        state: standing(report),
        warnings: report.warnings.iter().filter(|warning| !warnings.contains(warning)).cloned().collect(),
        judgement: report
            .comparison
            .as_ref()
            .map(|comparison| Judgement { sentence: comparison.sentence.clone(), warnings }),
        facts: facts(search, report),
        objectives: config
            .objectives
            .iter()
            .map(|objective| metric(&objective.name, objective.direction))
            .collect(),
        held_out: config.held_out.iter().map(|metric_| metric(&metric_.name, metric_.direction)).collect(),
        groups: rows.iter().map(|row| row.recipe.groups.len()).max().unwrap_or(1),
        checkpoints: config.checkpoints.iter().map(|checkpoint| checkpoint.name.to_string()).collect(),
        trials: rows.iter().map(|row| trial(search, row, baseline, state)).collect(),
        generations: generations(report, &rows),
        order_kept: report.comparison.as_ref().and_then(|comparison| comparison.verdict.order_kept),
        export_command: match source {
            Source::Local(state) => {
                let state = state.canonicalize().unwrap_or_else(|_| state.to_owned());
                format!("mergesearch export TRIAL --state {}", quoted(&state.to_string_lossy()))
            }
            Source::Cluster(options) => format!(
                "kubectl mergesearch status {name}{options} -o json | jq '.report | (.front + .baselines)[] | select(.trial == \"TRIAL\")'"
            ),
        },
        exports_all: matches!(source, Source::Local(_)),
        roles,
        timeline: report.timeline.as_ref().map(timeline),
        contribution: report.contribution.as_ref().map(|contributions| contribution(search, contributions)),
    }
}

/// A text as a shell takes it for one word.
pub(super) fn quoted(text: &str) -> String {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "/._-=:@".contains(character);
    if text.chars().all(is_plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

fn standing(report: &Report) -> String {
    let progress = &report.progress;
    let ended = progress.succeeded + progress.failed;
    let sentence = report
        .outcome
        .clone()
        .unwrap_or_else(|| format!("not finished: {ended} of {} trials", progress.planned));
    let mut letters = sentence.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn facts(search: &Search, report: &Report) -> Vec<Fact> {
    let progress = &report.progress;
    let fact = |name: &str, value: String| Fact { name: name.to_owned(), value };
    let failed = if progress.failed == 0 { String::new() } else { format!(" ({} failed)", progress.failed) };
    let mut facts = vec![
        fact("trials", format!("{}{failed}", progress.succeeded + progress.failed)),
        fact("generations", report.generations.len().to_string()),
        fact("checkpoints", search.config().checkpoints.len().to_string()),
        fact("front", progress.front_size.to_string()),
        fact("hypervolume", format!("{:.4}", progress.hypervolume)),
    ];
    if search.gpu_seconds() > 0.0 {
        facts.push(fact("GPU hours", format!("{:.2}", search.gpu_seconds() / 3600.0)));
    }
    facts
}

fn metric(name: &str, direction: Direction) -> Metric {
    Metric { name: name.to_owned(), minimize: direction == Direction::Minimize }
}

fn trial(search: &Search, row: &Row, baseline: Option<&Row>, state: Option<&Path>) -> Trial {
    let is_baseline = |row: &Row| baseline.is_some_and(|baseline| baseline.trial == row.trial);
    let gain = baseline
        .filter(|_| !row.test.is_empty() && !is_baseline(row))
        .and_then(|baseline| test_gain(search, &items_in(state), row, baseline));
    let fitness = |measurements: &[Measurement]| {
        fitness_of(search.config(), measurements).map(|(value, error)| score(value, error))
    };
    let scores = |measurements: &[Measurement]| {
        measurements.iter().map(|one| score(one.value, one.stderr)).collect::<Vec<_>>()
    };
    Trial {
        id: row.trial.to_string(),
        name: called(search, &row.trial),
        kind: kind(&row.trial),
        generation: match row.trial {
            TrialId::Candidate { restart, generation, .. } => Some(generation_name(restart, generation)),
            _ => None,
        },
        fitness: row.fitness.map(|fitness| rounded(fitness, SCORE_DIGITS)),
        search_fitness: fitness(&row.search),
        test_fitness: fitness(&row.test),
        search: scores(&row.search),
        test: scores(&row.test),
        held_out: scores(&row.held_out),
        weights: if row.trial == TrialId::Base {
            vec![0.0; search.config().checkpoints.len()]
        } else {
            mean_weights(&row.recipe)
        },
        parameters: parameters(&row.recipe),
        test_fitness_gain: gain.map(|gain| score(gain.value, gain.stderr)),
        failure: row.failure.clone(),
    }
}

fn kind(id: &TrialId) -> Kind {
    match id {
        TrialId::Single(_) | TrialId::Base => Kind::Single,
        TrialId::Uniform | TrialId::Own(_) | TrialId::Soup(_) => Kind::Soup,
        TrialId::Greedy(_) => Kind::Greedy,
        TrialId::Candidate { .. } => Kind::Candidate,
        TrialId::Mean { .. } => Kind::Mean,
        TrialId::Final(subject) | TrialId::Without { subject, .. } => kind(subject),
    }
}

/// The mean of each checkpoint's weight over the groups of tensors.
fn mean_weights(recipe: &Recipe) -> Vec<f64> {
    let groups = recipe.groups.len().max(1) as f64;
    (0..recipe.checkpoints.len())
        .map(|index| {
            let sum: f64 = recipe.groups.iter().filter_map(|group| group.weights.get(index)).sum();
            rounded(sum / groups, WEIGHT_DIGITS)
        })
        .collect()
}

/// The parameters of the first group, which stand for all.
fn parameters(recipe: &Recipe) -> String {
    let lambda = recipe.groups.first().and_then(|group| group.parameters.lambda);
    lambda.map(|lambda| format!("lambda {lambda:.3}")).unwrap_or_default()
}

/// Closed generations, each with the number of trials that had been issued by its last candidate.
fn generations(report: &Report, rows: &[Row]) -> Vec<Generation> {
    let mut last: HashMap<(u32, u32), usize> = HashMap::new();
    for (place, row) in rows.iter().enumerate() {
        if let TrialId::Candidate { restart, generation, .. } = row.trial {
            last.insert((restart, generation), place + 1);
        }
    }
    let closed = report.generations.iter().filter_map(|summary| {
        let trials = *last.get(&(summary.restart, summary.generation))?;
        Some(Generation {
            generation: generation_name(summary.restart, summary.generation),
            sigma: summary.sigma,
            hypervolume: rounded(summary.hypervolume, SCORE_DIGITS),
            trials,
        })
    });
    closed.collect()
}

fn contribution(search: &Search, contributions: &Contributions) -> Contribution {
    let checkpoints = contributions.checkpoints.iter().map(|one| CheckpointContribution {
        name: one.checkpoint.to_string(),
        weight: rounded(one.weights.iter().sum::<f64>() / one.weights.len().max(1) as f64, WEIGHT_DIGITS),
        gain: one.difference.map(|difference| score(difference.value, difference.stderr)),
    });
    Contribution { of: called(search, &contributions.subject), checkpoints: checkpoints.collect() }
}

fn timeline(timeline: &show::Timeline) -> Timeline {
    let spans = timeline.spans.iter().map(|span| Span {
        id: span.trial.to_string(),
        stage: match span.part {
            Part::Baselines => "baselines",
            Part::Searched => "searched merges",
            Part::Finals => "final scores",
        }
        .to_owned(),
        started: span.started,
        merged: span.merged,
        ended: span.ended,
    });
    Timeline {
        spans: spans.collect(),
        busy: timeline.busy,
        parallel_trials: timeline.parallel_trials,
        interruptions: timeline.interruptions,
    }
}

fn generation_name(restart: u32, generation: u32) -> String {
    if restart == 0 { generation.to_string() } else { format!("{generation} of restart {restart}") }
}

fn score(value: f64, error: Option<f64>) -> Score {
    Score { value: rounded(value, SCORE_DIGITS), error: error.map(|error| rounded(error, SCORE_DIGITS)) }
}

fn rounded(value: f64, digits: i32) -> f64 {
    let factor = 10_f64.powi(digits);
    let rounded = (value * factor).round() / factor;
    // Huge values have no digits to spare.
    if rounded.is_finite() { rounded } else { value }
}
