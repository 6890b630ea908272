//! Weights shortened to six decimals, so that an exported recipe is exactly what was scored.

/// One in the unit of the sixth decimal.
const ONE: f64 = 1e6;

/// The `weights`, which sum to 1 up to rounding, with six decimals that sum to exactly 1 as decimals.
///
/// Each moves by less than 1e-6: all are rounded down and the largest remainders (the first ones among equals) get
/// the units that are then missing. Each result is the `f64` nearest to its decimal, so it prints with at most six.
pub fn shorten(weights: &[f64]) -> Vec<f64> {
    // Whole numbers of this size are exact in f64.
    let mut units: Vec<f64> = weights.iter().map(|w| (w * ONE).floor()).collect();
    let remainders: Vec<f64> = weights.iter().zip(&units).map(|(w, unit)| w * ONE - unit).collect();
    let mut order: Vec<usize> = (0..weights.len()).collect();
    order.sort_by(|&a, &b| remainders[b].total_cmp(&remainders[a]));
    // Usually fewer units are missing than there are weights; a sum off by more shifts all of them.
    let missing = ONE - units.iter().sum::<f64>();
    let all = (missing / units.len() as f64).floor();
    let first = missing - all * units.len() as f64;
    for (rank, index) in order.into_iter().enumerate() {
        units[index] += if (rank as f64) < first { all + 1.0 } else { all };
    }
    units.into_iter().map(|unit| unit / ONE).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The sum of the weights as printed, in millionths.
    fn printed_sum(weights: &[f64]) -> i64 {
        let millionths = |text: String| {
            let (sign, digits) = text.strip_prefix('-').map_or((1, text.as_str()), |digits| (-1, digits));
            let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
            assert!(fraction.len() <= 6, "{text}");
            sign * format!("{whole}{fraction:0<6}").parse::<i64>().expect("digits")
        };
        weights.iter().map(|w| millionths(w.to_string())).sum()
    }

    #[test]
    fn thirds_give_the_first_one_the_missing_unit() {
        assert_eq!(shorten(&[1.0 / 3.0; 3]), [0.333_334, 0.333_333, 0.333_333]);
        assert_eq!(shorten(&[1.5, -0.5]), [1.5, -0.5]);
    }

    proptest! {
        #[test]
        fn the_printed_decimals_sum_to_one_and_stay_near(mut weights in prop::collection::vec(-2.0..2.0, 1..64)) {
            weights[0] += 1.0 - weights.iter().sum::<f64>();
            let short = shorten(&weights);
            prop_assert_eq!(printed_sum(&short), 1_000_000);
            prop_assert!(short.iter().zip(&weights).all(|(s, w)| (s - w).abs() < 1.000_001e-6));
            prop_assert_eq!(shorten(&short), short);
        }
    }
}
