//! The verdict: how much better the best merge is than the best baseline, on items that steered neither.
//!
//! Both are chosen by search fitness and reported by test scores: choosing by test scores would report luck. The
//! difference is paired item by item where the evaluator keeps scores of items.

mod contribution;
mod items;

use std::path::Path;

use mergesearch_search::results::{
    Difference, ItemScores, MetricName, difference_from_errors, paired_difference, rank_agreement,
};
use mergesearch_search::{Direction, Row, Search, SearchConfig, Stage, TrialId, fitness_weights};
use serde::Serialize;

pub(crate) use self::contribution::contributions;
use self::items::item_scores;
use crate::state::trial_folder;

/// What a search was worth.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Verdict {
    /// The searched merge with the best search fitness.
    pub(crate) best: TrialId,
    /// The baseline with the best search fitness.
    pub(crate) baseline: TrialId,
    /// Fitness of `best` minus that of `baseline`, on test items.
    pub(crate) test: Gain,
    /// The same for the mean of the held-out metrics; `None` without any.
    pub(crate) held_out: Option<Gain>,
    /// Whether all metrics are fractions, so that differences are told in points (hundredths).
    pub(crate) points: bool,
    /// The share of pairs of finalists whose order by fitness is the same in search and in test.
    pub(crate) order_kept: Option<f64>,
}

/// A difference with its error. Positive is better, whatever the metric's direction.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Gain {
    /// In the fitness's unit.
    pub(crate) value: f64,
    /// Its standard error, when known.
    pub(crate) stderr: Option<f64>,
    /// Pairs of items it is made of; `None` when it comes from the metrics' own errors.
    pub(crate) paired_items: Option<u64>,
}

impl From<Difference> for Gain {
    fn from(Difference { value, stderr, paired_items }: Difference) -> Self {
        Self { value, stderr, paired_items }
    }
}

/// What a trial's test scores are worth beside another's.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Gains {
    /// Of the fitness.
    pub(crate) fitness: Gain,
    /// Of each objective, in its own unit.
    pub(crate) objectives: Vec<Gain>,
}

impl Gains {
    /// `ours` minus `theirs` on test items; `None` when one of them has no test scores. `state` as in [`Verdict::of`].
    pub(crate) fn of(search: &Search, state: Option<&Path>, ours: &Row, theirs: &Row) -> Option<Self> {
        let config = search.config();
        let parts = test_parts(config)?;
        let signed = config.objectives.iter().zip(&parts).map(|(objective, part)| {
            let part = Part { factor: objective.direction.sign(), metric: part.metric, index: part.index };
            compare(state, Stage::Test, &[part], ours, theirs)
        });
        Some(Self {
            fitness: compare(state, Stage::Test, &parts, ours, theirs)?,
            objectives: signed.collect::<Option<_>>()?,
        })
    }
}

/// A metric that counts in a difference: the factor it enters with, its name, and its place in a row's scores.
struct Part<'a> {
    factor: f64,
    metric: &'a MetricName,
    index: usize,
}

impl Verdict {
    /// Compares the best with the best baseline; `None` before both are scored on test items. `state` is the folder of the
    /// evaluators' files, when they are here.
    pub(crate) fn of(search: &Search, state: Option<&Path>) -> Option<Self> {
        let (best, baseline) = (search.best()?, search.best_baseline()?);
        let (ours, theirs) = (search.row(&best)?, search.row(&baseline)?);
        let config = search.config();
        let objectives = test_parts(config)?;
        let watched: Vec<Part<'_>> = config
            .held_out
            .iter()
            .enumerate()
            .map(|(index, held_out)| Part {
                factor: held_out.direction.sign() / config.held_out.len() as f64,
                metric: &held_out.metric,
                index,
            })
            .collect();
        let compared = |stage, parts: &[Part<'_>]| compare(state, stage, parts, &ours, &theirs);
        let finalists: Vec<Row> = search.finalists().iter().filter_map(|id| search.row(id)).collect();
        Some(Self {
            test: compared(Stage::Test, &objectives)?,
            held_out: compared(Stage::HeldOut, &watched),
            points: are_fractions(config, &finalists),
            order_kept: order_kept(config, &finalists),
            best,
            baseline,
        })
    }

    /// The one sentence. `name` says what a baseline is called.
    pub(crate) fn sentence(&self, name: impl Fn(&TrialId) -> String) -> String {
        let unit = if self.points { " points" } else { "" };
        let items = match self.test.paired_items {
            Some(items) => format!(" on {} unseen items", thousands(items)),
            None => " on unseen items".to_owned(),
        };
        let held_out = self
            .held_out
            .as_ref()
            .map_or_else(String::new, |gain| format!("; held-out {}", self.shown(gain)));
        format!(
            "{}: {}{unit} over the best baseline ({}){items}{held_out}",
            self.best,
            self.shown(&self.test),
            name(&self.baseline)
        )
    }

    fn shown(&self, gain: &Gain) -> String {
        let (factor, digits) = if self.points { (100.0, 1) } else { (1.0, 4) };
        let value = gain.value * factor;
        let error = gain.stderr.map_or_else(String::new, |error| format!(" ± {:.digits$}", error * factor));
        format!("{value:+.digits$}{error}")
    }

    /// What to be careful about. `with_files` says whether the evaluators' files were looked at.
    pub(crate) fn warnings(&self, with_files: bool) -> Vec<String> {
        let mut warnings = Vec::new();
        match self.test.stderr {
            None => warnings.push(
                "the evaluator gives no standard errors, so nobody can say what of the gain is luck"
                    .to_owned(),
            ),
            Some(error) if error > self.test.value.abs() / 2.0 => warnings.push(
                "the error is larger than half the gain: more test items would tell whether it is one"
                    .to_owned(),
            ),
            Some(_) => {}
        }
        if self.test.paired_items.is_none() && with_files {
            warnings.push(
                "the difference comes from the metrics' own errors: with scores of items (samples_*.jsonl) it would be \
                 paired and sharper"
                    .to_owned(),
            );
        } else if self.test.paired_items.is_none() {
            warnings.push(
                "the difference comes from the metrics' own errors: scores of items, which would make it paired and \
                 sharper, are not in the journal"
                    .to_owned(),
            );
        }
        warnings
    }
}

/// What the fitness on test items is made of.
fn test_parts(config: &SearchConfig) -> Option<Vec<Part<'_>>> {
    let factors = fitness_weights(&config.objectives);
    let objectives = config.objectives.iter().zip(factors).enumerate();
    objectives
        .map(|(index, (objective, factor))| {
            Some(Part { factor, metric: objective.metric.get(&Stage::Test)?, index })
        })
        .collect()
}

/// Scores of the items of each part, as a trial's evaluator kept them in a stage; `None` when it kept none.
fn items_of(files: &Path, trial: &TrialId, stage: Stage, parts: &[Part<'_>]) -> Option<Vec<ItemScores>> {
    let folder = trial_folder(files, trial).join(stage.as_str());
    parts.iter().map(|part| item_scores(&folder, part.metric)).collect()
}

/// The difference paired by items; `None` when the trials were not scored on the same ones.
fn paired(parts: &[Part<'_>], ours: &[ItemScores], theirs: &[ItemScores]) -> Option<Difference> {
    let pairs = parts.iter().zip(ours.iter().zip(theirs));
    let pairs: Vec<_> = pairs.map(|(part, (ours, theirs))| (part.factor, ours, theirs)).collect();
    paired_difference(&pairs).ok()
}

/// Paired by items when both trials have the same ones, else from the metrics' errors; `None` without scores.
fn compare(files: Option<&Path>, stage: Stage, parts: &[Part<'_>], ours: &Row, theirs: &Row) -> Option<Gain> {
    if parts.is_empty() {
        return None;
    }
    let items = |row: &Row| items_of(files?, &TrialId::Final(Box::new(row.trial.clone())), stage, parts);
    if let (Some(our_items), Some(their_items)) = (items(ours), items(theirs))
        && let Some(difference) = paired(parts, &our_items, &their_items)
    {
        return Some(difference.into());
    }
    let scores = |row: &Row, index: usize| match stage {
        Stage::Search => row.search.get(index).copied(),
        Stage::Test => row.test.get(index).copied(),
        Stage::HeldOut => row.held_out.get(index).copied(),
    };
    let pairs = parts
        .iter()
        .map(|part| Some((part.factor, scores(ours, part.index)?, scores(theirs, part.index)?)))
        .collect::<Option<Vec<_>>>()?;
    Some(difference_from_errors(&pairs).into())
}

/// Whether every score of every finalist is a fraction that enters the fitness unscaled.
fn are_fractions(config: &SearchConfig, rows: &[Row]) -> bool {
    #[expect(clippy::float_cmp, reason = "exactly what was written")]
    let unscaled = config.objectives.iter().all(|objective| objective.scale == 1.0);
    let mut values =
        rows.iter().flat_map(|row| row.test.iter().chain(&row.held_out)).map(|score| score.value);
    unscaled && values.all(|value| (0.0..=1.0).contains(&value))
}

fn order_kept(config: &SearchConfig, rows: &[Row]) -> Option<f64> {
    let pairs: Vec<(f64, f64)> = rows
        .iter()
        .filter_map(|row| Some((fitness_of(config, &row.search)?.0, fitness_of(config, &row.test)?.0)))
        .collect();
    let (search, test): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
    rank_agreement(&search, &test)
}

/// The weighted mean of objectives' scores with its standard error; `None` without scores.
pub(crate) fn fitness_of(
    config: &SearchConfig,
    scores: &[mergesearch_search::results::Measurement],
) -> Option<(f64, Option<f64>)> {
    if scores.is_empty() {
        return None;
    }
    let factors = fitness_weights(&config.objectives);
    let value = factors.iter().zip(scores).map(|(factor, score)| factor * score.value).sum();
    let variance: Option<f64> =
        factors.iter().zip(scores).map(|(factor, score)| Some((factor * score.stderr?).powi(2))).sum();
    Some((value, variance.map(f64::sqrt)))
}

/// A number with its thousands apart.
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A direction as a word for tables.
pub(crate) const fn arrow(direction: Direction) -> &'static str {
    match direction {
        Direction::Maximize => "",
        Direction::Minimize => " (less is better)",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(points: bool, test: Gain, held_out: Option<Gain>) -> Verdict {
        let best = TrialId::Candidate { restart: 0, generation: 4, index: 12 };
        Verdict { best, baseline: TrialId::Greedy(3), test, held_out, points, order_kept: None }
    }

    #[test]
    fn the_sentence_tells_gain_error_and_items() {
        let gain = |value, stderr, paired_items| Gain { value, stderr, paired_items };
        let name = |_: &TrialId| "greedy soup".to_owned();
        let in_points =
            verdict(true, gain(0.0741, Some(0.0049), Some(4500)), Some(gain(-0.003, Some(0.0041), None)));
        assert_eq!(
            in_points.sentence(name),
            "g0004-c012: +7.4 ± 0.5 points over the best baseline (greedy soup) on 4,500 unseen items; held-out -0.3 ± 0.4"
        );
        assert_eq!(in_points.warnings(true), [""; 0]);
        let plain = verdict(false, gain(0.25, None, None), None);
        assert_eq!(
            plain.sentence(name),
            "g0004-c012: +0.2500 over the best baseline (greedy soup) on unseen items"
        );
        let unsure = verdict(true, gain(0.01, Some(0.006), Some(10)), None);
        assert!(unsure.warnings(true)[0].starts_with("the error is larger than half the gain"));
    }

    #[test]
    fn thousands_are_grouped() {
        for (number, expected) in [(0, "0"), (999, "999"), (4500, "4,500"), (1_234_567, "1,234,567")] {
            assert_eq!(thousands(number), expected);
        }
    }
}
