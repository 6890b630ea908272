//! The verdict: how much better the best merge is than the best baseline, on items that steered neither.
//!
//! Both are chosen by search fitness and reported by test scores: choosing by test scores would report luck. The
//! difference is paired item by item where the evaluator keeps scores of items and the caller has them.

mod contribution;
mod sentence;

use serde::Serialize;

use crate::config::SearchConfig;
use crate::fitness::fitness_weights;
use crate::results::{
    Difference, ItemScores, Measurement, MetricName, difference_from_errors, paired_difference,
    rank_agreement,
};
use crate::search::{Row, Search};
use crate::trial::{Stage, TrialId};

pub use self::contribution::contributions;
pub use self::sentence::called;

/// Finds the scores of single items that a trial's evaluator kept in a stage; `None` when there are none. The trial is the one
/// that was evaluated, `final-g0004-c012` for the test scores of `g0004-c012`.
pub type ItemSource<'a> = &'a dyn Fn(&TrialId, Stage, &MetricName) -> Option<ItemScores>;

/// What a search was worth.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// The searched merge with the best search fitness.
    pub best: TrialId,
    /// The baseline with the best search fitness.
    pub baseline: TrialId,
    /// How many test items the best merge was scored on, all objectives together; `None` when nobody says.
    pub items: Option<u64>,
    /// Fitness of `best` minus that of `baseline`, on test items.
    pub test: Gain,
    /// The same for the mean of the held-out metrics; `None` without any.
    pub held_out: Option<Gain>,
    /// Whether all metrics are fractions, so that differences are told in points (hundredths).
    pub points: bool,
    /// The share of pairs of finalists whose order by fitness is the same in search and in test.
    pub order_kept: Option<f64>,
}

/// A difference with its error. Positive is better, whatever the metric's direction.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Gain {
    /// In the fitness's unit.
    pub value: f64,
    /// Its standard error, when known.
    pub stderr: Option<f64>,
    /// Pairs of items it is made of; `None` when it comes from the metrics' own errors.
    pub paired_items: Option<u64>,
}

impl From<Difference> for Gain {
    fn from(Difference { value, stderr, paired_items }: Difference) -> Self {
        Self { value, stderr, paired_items }
    }
}

/// Test fitness of `ours` minus that of `theirs`; `None` when one of them has no test scores.
pub fn test_gain(search: &Search, items: ItemSource<'_>, ours: &Row, theirs: &Row) -> Option<Gain> {
    compare(search, items, Stage::Test, &test_parts(search.config())?, ours, theirs)
}

/// A metric that counts in a difference: the factor it enters with, its name, and its place in a row's scores.
struct Part<'a> {
    factor: f64,
    metric: &'a MetricName,
    index: usize,
}

impl Verdict {
    /// Compares the best with the best baseline; `None` before both are scored on test items.
    pub fn of(search: &Search, items: ItemSource<'_>) -> Option<Self> {
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
        let compared = |stage, parts: &[Part<'_>]| compare(search, items, stage, parts, &ours, &theirs);
        let finalists: Vec<Row> = search.finalists().iter().filter_map(|id| search.row(id)).collect();
        // While a search goes on under a larger budget it has no finalists, but both of these are scored.
        let scored: Vec<Row> = finalists.iter().cloned().chain([ours.clone(), theirs.clone()]).collect();
        let test = compared(Stage::Test, &objectives)?;
        Some(Self {
            items: test.paired_items.or_else(|| ours.test.iter().map(|score| score.items).sum()),
            test,
            held_out: compared(Stage::HeldOut, &watched),
            points: are_fractions(config, &scored),
            order_kept: order_kept(config, &finalists),
            best,
            baseline,
        })
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

/// Scores of the items of each part; `None` when those of one are not kept.
fn items_of(
    items: ItemSource<'_>,
    trial: &TrialId,
    stage: Stage,
    parts: &[Part<'_>],
) -> Option<Vec<ItemScores>> {
    parts.iter().map(|part| items(trial, stage, part.metric)).collect()
}

/// The difference paired by items; `None` when the trials were not scored on the same ones.
fn paired(parts: &[Part<'_>], ours: &[ItemScores], theirs: &[ItemScores]) -> Option<Difference> {
    let pairs = parts.iter().zip(ours.iter().zip(theirs));
    let pairs: Vec<_> = pairs.map(|(part, (ours, theirs))| (part.factor, ours, theirs)).collect();
    paired_difference(&pairs).ok()
}

/// Paired by items when both trials have the same ones, else from the metrics' errors; `None` without scores.
fn compare(
    search: &Search,
    items: ItemSource<'_>,
    stage: Stage,
    parts: &[Part<'_>],
    ours: &Row,
    theirs: &Row,
) -> Option<Gain> {
    if parts.is_empty() {
        return None;
    }
    let of = |row: &Row| items_of(items, &search.final_of(&row.trial), stage, parts);
    if let (Some(our_items), Some(their_items)) = (of(ours), of(theirs))
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
pub fn fitness_of(config: &SearchConfig, scores: &[Measurement]) -> Option<(f64, Option<f64>)> {
    if scores.is_empty() {
        return None;
    }
    let factors = fitness_weights(&config.objectives);
    let value = factors.iter().zip(scores).map(|(factor, score)| factor * score.value).sum();
    let variance: Option<f64> =
        factors.iter().zip(scores).map(|(factor, score)| Some((factor * score.stderr?).powi(2))).sum();
    Some((value, variance.map(f64::sqrt)))
}
