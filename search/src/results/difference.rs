//! How much better one trial is than another, with an honest error, and how far two scores agree about the order.

use serde::{Deserialize, Serialize};

use super::{ItemScores, Measurement};

/// A difference of fitness, in the fitness's unit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    /// The first trial's fitness minus the second's: the weighted mean of the objectives.
    pub value: f64,
    /// Its standard error; `None` when too little is known.
    pub stderr: Option<f64>,
    /// How many pairs of items it is made of; `None` when it is made of the metrics' own errors.
    pub paired_items: Option<u64>,
}

/// Two trials were not scored on the same items. Leaving items out would compare what was easy to answer.
#[derive(Debug, Clone, Copy, thiserror::Error, PartialEq, Eq)]
#[error("the trials share {shared} items, of {first} and {second}; expected the same items")]
pub struct UnmatchedItems {
    /// Items of both.
    pub shared: usize,
    /// Items of the first trial.
    pub first: usize,
    /// Items of the second trial.
    pub second: usize,
}

/// The difference of two trials scored on the same items, paired item by item: the error of the items' difficulty,
/// which both share, cancels.
///
/// For each objective: the factor with which a difference in its value enters the fitness, then the scores of both
/// trials. The standard error is the square root of the sum over objectives of `v^2 var(d) / n`, with the sample
/// variance of the items' differences `d`; none is known where an objective has a single item. Objectives on the same
/// items are taken for independent.
pub fn paired_difference(
    objectives: &[(f64, &ItemScores, &ItemScores)],
) -> Result<Difference, UnmatchedItems> {
    let mut value = 0.0;
    let mut variance = Some(0.0);
    let mut paired_items = 0;
    for (factor, ours, theirs) in objectives {
        let differences: Vec<f64> = ours.differences(theirs).collect();
        let shared = differences.len();
        if shared != ours.len() || shared != theirs.len() || shared == 0 {
            return Err(UnmatchedItems { shared, first: ours.len(), second: theirs.len() });
        }
        let count = shared as f64;
        let mean = differences.iter().sum::<f64>() / count;
        let squares: f64 =
            differences.iter().map(|difference| (difference - mean) * (difference - mean)).sum();
        value += factor * mean;
        let added = (shared > 1).then(|| factor * factor * squares / (count - 1.0) / count);
        variance = variance.zip(added).map(|(sum, added)| sum + added);
        paired_items += shared as u64;
    }
    Ok(Difference { value, stderr: variance.map(f64::sqrt), paired_items: Some(paired_items) })
}

/// The difference from the metrics' own errors, for evaluators without scores of items: as if both trials had been
/// scored on different items, so its error is too large when they were not. The factors are those of
/// [`paired_difference`].
pub fn difference_from_errors(objectives: &[(f64, Measurement, Measurement)]) -> Difference {
    let value = objectives.iter().map(|(factor, ours, theirs)| factor * (ours.value - theirs.value)).sum();
    let variances = objectives.iter().map(|(factor, ours, theirs)| {
        let (first, second) = ours.stderr.zip(theirs.stderr)?;
        Some(factor * factor * (first * first + second * second))
    });
    let variance: Option<f64> = variances.sum();
    Difference { value, stderr: variance.map(f64::sqrt), paired_items: None }
}

/// The share of pairs whose order is the same in both lists, such as trials by search score and by test score.
///
/// A pair that is tied in one list only counts half, one that is tied in both counts whole. `None` for fewer than two
/// entries, lists of different length, or a NaN in them.
pub fn rank_agreement(first: &[f64], second: &[f64]) -> Option<f64> {
    if first.len() != second.len() {
        return None;
    }
    let entries: Vec<(f64, f64)> = first.iter().copied().zip(second.iter().copied()).collect();
    let mut kept = 0.0;
    let mut pairs = 0.0;
    for (index, left) in entries.iter().enumerate() {
        for right in &entries[index + 1..] {
            let orders = (left.0.partial_cmp(&right.0)?, left.1.partial_cmp(&right.1)?);
            kept += match orders {
                (first, second) if first == second => 1.0,
                (first, second) if first.is_eq() || second.is_eq() => 0.5,
                _ => 0.0,
            };
            pairs += 1.0;
        }
    }
    (pairs > 0.0).then(|| kept / pairs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::MetricName;

    fn items(scores: &[f64]) -> ItemScores {
        let lines = scores
            .iter()
            .enumerate()
            .map(|(id, score)| format!("{{\"doc_id\": {id}, \"acc\": {score:?}}}\n"));
        ItemScores::parse(&lines.collect::<String>(), &MetricName::try_from("t/acc").unwrap()).unwrap()
    }

    fn measured(value: f64, stderr: Option<f64>) -> Measurement {
        Measurement { value, stderr, items: None }
    }

    #[test]
    fn paired_differences_follow_the_formula() {
        // Differences 1, 0, 1, -1: mean 1/4, sample variance 11/12. And 0.5, 0.5: mean 1/2, no variance.
        let (ours, theirs) = (items(&[1.0, 1.0, 1.0, 0.0]), items(&[0.0, 1.0, 0.0, 1.0]));
        let (other_ours, other_theirs) = (items(&[0.75, 1.0]), items(&[0.25, 0.5]));
        let difference =
            paired_difference(&[(0.5, &ours, &theirs), (-2.0, &other_ours, &other_theirs)]).unwrap();
        assert!((difference.value - (0.125 - 1.0)).abs() < 1e-15);
        let expected = (0.25_f64 * (11.0 / 12.0) / 4.0).sqrt();
        assert!((difference.stderr.unwrap() - expected).abs() < 1e-15);
        assert_eq!(difference.paired_items, Some(6));
    }

    #[test]
    fn pairing_takes_the_items_difficulty_out() {
        let hard_and_easy: Vec<f64> = (0..100).map(|item| f64::from(item % 2)).collect();
        let slightly_better: Vec<f64> = hard_and_easy.iter().map(|score| score + 0.01).collect();
        let difference =
            paired_difference(&[(1.0, &items(&slightly_better), &items(&hard_and_easy))]).unwrap();
        assert!((difference.value - 0.01).abs() < 1e-12);
        assert!(difference.stderr.unwrap() < 1e-12);
    }

    #[test]
    fn one_item_has_no_known_error_and_other_items_no_difference() {
        let single = paired_difference(&[(1.0, &items(&[1.0]), &items(&[0.0]))]).unwrap();
        assert_eq!((single.value, single.stderr), (1.0, None));
        let unmatched = paired_difference(&[(1.0, &items(&[1.0, 0.0]), &items(&[1.0]))]).unwrap_err();
        assert_eq!(unmatched.to_string(), "the trials share 1 items, of 2 and 1; expected the same items");
    }

    #[test]
    fn errors_add_up_when_there_are_no_items() {
        let both = (measured(0.75, Some(0.03)), measured(0.5, Some(0.04)));
        let difference = difference_from_errors(&[(2.0, both.0, both.1)]);
        assert!((difference.value - 0.5).abs() < 1e-15);
        assert!((difference.stderr.unwrap() - 0.1).abs() < 1e-15);
        assert_eq!(difference.paired_items, None);
        let unknown = difference_from_errors(&[(2.0, both.0, both.1), (1.0, measured(1.0, None), both.1)]);
        assert_eq!(unknown.stderr, None);
    }

    #[test]
    fn agreement_is_the_share_of_pairs_in_the_same_order() {
        assert_eq!(rank_agreement(&[1.0, 2.0, 3.0], &[10.0, 20.0, 30.0]), Some(1.0));
        assert_eq!(rank_agreement(&[1.0, 2.0, 3.0], &[3.0, 2.0, 1.0]), Some(0.0));
        assert_eq!(rank_agreement(&[1.0, 2.0, 3.0], &[1.0, 3.0, 2.0]), Some(2.0 / 3.0));
        assert_eq!(rank_agreement(&[1.0, 1.0], &[1.0, 2.0]), Some(0.5));
        assert_eq!(rank_agreement(&[1.0, 1.0], &[2.0, 2.0]), Some(1.0));
        assert_eq!(rank_agreement(&[1.0], &[1.0]), None);
        assert_eq!(rank_agreement(&[1.0, 2.0], &[1.0]), None);
        assert_eq!(rank_agreement(&[1.0, f64::NAN], &[1.0, 2.0]), None);
    }
}
