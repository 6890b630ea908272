//! The few statistics that tables need: mean, spread, and rank correlation.

/// Mean and sample standard deviation of some values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// The mean.
    pub mean: f64,
    /// The sample standard deviation; `None` for a single value.
    pub deviation: Option<f64>,
    /// How many values.
    pub count: usize,
}

impl Spread {
    /// Of these values; `None` when there is none.
    pub fn of(values: &[f64]) -> Option<Self> {
        let count = values.len();
        if count == 0 {
            return None;
        }
        // The mean of equal numbers is often one bit off, and then there would be a spread.
        if values.iter().all(|value| value.to_bits() == values[0].to_bits()) {
            return Some(Self { mean: values[0], deviation: (count > 1).then_some(0.0), count });
        }
        let mean = values.iter().sum::<f64>() / count as f64;
        let squares: f64 = values.iter().map(|value| (value - mean) * (value - mean)).sum();
        let deviation = (count > 1).then(|| (squares / (count - 1) as f64).sqrt());
        Some(Self { mean, deviation, count })
    }

    /// The standard error of the mean; `None` for a single value.
    pub fn error(&self) -> Option<f64> {
        self.deviation.map(|deviation| deviation / (self.count as f64).sqrt())
    }

    /// How many standard errors the mean lies from 0; `None` without an error.
    pub fn errors_from_zero(&self) -> Option<f64> {
        self.error().filter(|error| *error > 0.0).map(|error| self.mean / error)
    }
}

/// The middle value, or the mean of the two in the middle; `None` without values.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    let lower = *sorted.get((sorted.len() - 1) / 2)?;
    Some(f64::midpoint(lower, upper))
}

/// Spearman's rank correlation: the correlation of ranks, where tied values share the mean of their ranks. `None` for lists of
/// different length, fewer than three pairs, or a list whose values are all equal.
pub fn rank_correlation(first: &[f64], second: &[f64]) -> Option<f64> {
    if first.len() != second.len() || first.len() < 3 {
        return None;
    }
    let (first, second) = (ranks(first), ranks(second));
    let middle = (first.len() as f64 - 1.0) / 2.0;
    let sum = |one: &[f64], other: &[f64]| -> f64 {
        one.iter().zip(other).map(|(one, other)| (one - middle) * (other - middle)).sum()
    };
    let scale = (sum(&first, &first) * sum(&second, &second)).sqrt();
    (scale > 0.0).then(|| sum(&first, &second) / scale)
}

/// Ranks from 0.
fn ranks(values: &[f64]) -> Vec<f64> {
    let below = |value: f64| values.iter().filter(|other| **other < value).count() as f64;
    let above = |value: f64| values.iter().filter(|other| **other > value).count() as f64;
    // With n values, b below and a above, the n - b - a equal ones share the mean of ranks b to n - a - 1.
    let last = values.len() as f64 - 1.0;
    values.iter().map(|&value| (below(value) + last - above(value)) / 2.0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_spread_and_error_follow_their_formulas() {
        let spread = Spread::of(&[2.0, 4.0, 4.0, 6.0]).unwrap();
        assert_eq!((spread.mean, spread.count), (4.0, 4));
        assert!((spread.deviation.unwrap() - (8.0_f64 / 3.0).sqrt()).abs() < 1e-15);
        assert!((spread.error().unwrap() - (2.0_f64 / 3.0).sqrt()).abs() < 1e-15);
        assert!((spread.errors_from_zero().unwrap() - 4.0 / (2.0_f64 / 3.0).sqrt()).abs() < 1e-12);
        assert_eq!(Spread::of(&[1.0]).unwrap().deviation, None);
        assert_eq!(Spread::of(&[1.0, 1.0]).unwrap().errors_from_zero(), None);
        assert_eq!(Spread::of(&[]), None);
    }

    #[test]
    fn the_median_lies_in_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn rank_correlation_knows_order_only_and_shares_ranks_of_ties() {
        let values = [1.0, 2.0, 3.0, 4.0, 5.0];
        assert_eq!(rank_correlation(&values, &[1.0, 8.0, 27.0, 64.0, 125.0]), Some(1.0));
        assert_eq!(rank_correlation(&values, &[5.0, 4.0, 3.0, 2.0, -100.0]), Some(-1.0));
        // scipy.stats.spearmanr([1, 2, 3, 4, 5], [5, 6, 7, 8, 7]) = 0.8207826816681233
        let tied = rank_correlation(&values, &[5.0, 6.0, 7.0, 8.0, 7.0]).unwrap();
        assert!((tied - 0.820_782_681_668_123_3).abs() < 1e-12);
        assert_eq!(rank_correlation(&values, &[1.0; 5]), None);
        assert_eq!(rank_correlation(&values, &[1.0]), None);
    }
}
