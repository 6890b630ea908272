//! The strategy constants of CMA-ES: population size, recombination weights and learning rates.

use serde::{Deserialize, Serialize};

use super::CmaError;

/// The strategy constants, named as in Hansen's tutorial (arXiv 1604.00772, Table 1).
///
/// [`Constants::new`] gives the tutorial's values. Every field may be set to other values before a search starts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Constants {
    /// One recombination weight per rank, best first: positive ones sum to 1, negative ones are used for the
    /// covariance only. Their number is the population size, lambda.
    pub weights: Vec<f64>,
    /// How many of the best samples move the mean, mu.
    pub parents: usize,
    /// Variance effective selection mass of the parents, `mu_eff`.
    pub mu_eff: f64,
    /// Learning rate of the mean, `c_m`.
    pub c_m: f64,
    /// Learning rate of the step-size path, `c_sigma`.
    pub c_sigma: f64,
    /// Damping of the step size, `d_sigma`.
    pub d_sigma: f64,
    /// Learning rate of the covariance path, `c_c`.
    pub c_c: f64,
    /// Learning rate of the rank-one update, `c_1`.
    pub c_1: f64,
    /// Learning rate of the rank-mu update, `c_mu`.
    pub c_mu: f64,
    /// Expected length of a standard normal vector, E||N(0, I)||.
    pub chi_n: f64,
}

impl Constants {
    /// The default population size in `dimension` coordinates, 4 + floor(3 ln n) (eq. 48).
    pub fn default_population_size(dimension: usize) -> usize {
        4 + (3.0 * libm::log(dimension.max(1) as f64)).floor() as usize
    }

    /// The tutorial's constants for `dimension` coordinates and a population of at least 2.
    ///
    /// With `separable`, the learning rates of the covariance are larger by (n + 2) / 3, since only n numbers are
    /// learnt (Ros and Hansen 2008, section 3).
    pub fn new(dimension: usize, population_size: usize, separable: bool) -> Self {
        let n = dimension.max(1) as f64;
        let lambda = population_size.max(2);
        let parents = lambda / 2;

        // eq. 49
        let raw: Vec<f64> =
            (1..=lambda).map(|rank| libm::log((lambda + 1) as f64 / 2.0) - libm::log(rank as f64)).collect();
        let effective_mass = |weights: &[f64]| {
            let sum: f64 = weights.iter().sum();
            sum * sum / weights.iter().map(|w| w * w).sum::<f64>()
        };
        let mu_eff = effective_mass(&raw[..parents]);
        let mu_eff_negative = effective_mass(&raw[parents..]);

        let speed_up = if separable { (n + 2.0) / 3.0 } else { 1.0 };
        // eq. 57 and 58, with alpha_cov = 2; the sum of both must stay below 1.
        let c_1 = (speed_up * 2.0 / ((n + 1.3) * (n + 1.3) + mu_eff)).min(0.5);
        let c_mu = (speed_up * 2.0 * (mu_eff - 2.0 + 1.0 / mu_eff) / ((n + 2.0) * (n + 2.0) + mu_eff))
            .min(1.0 - c_1 - 1e-8);

        // eq. 50 to 52: how much the negative weights may sum to. Without a rank-mu update (parents = 1) they are unused.
        let negative_sum = if c_mu > 0.0 {
            (1.0 + c_1 / c_mu)
                .min(1.0 + 2.0 * mu_eff_negative / (mu_eff + 2.0))
                .min((1.0 - c_1 - c_mu) / (n * c_mu))
        } else {
            0.0
        };
        // eq. 53
        let total = |sign: f64| raw.iter().map(|w| (sign * w).max(0.0)).sum::<f64>();
        let (raw_positive, raw_negative) = (total(1.0), total(-1.0));
        let weights = raw
            .iter()
            .map(|&w| if w >= 0.0 { w / raw_positive } else { w * negative_sum / raw_negative })
            .collect();

        // eq. 55
        let c_sigma = (mu_eff + 2.0) / (n + mu_eff + 5.0);
        let d_sigma = 1.0 + 2.0 * (((mu_eff - 1.0) / (n + 1.0)).sqrt() - 1.0).max(0.0) + c_sigma;
        Self {
            weights,
            parents,
            mu_eff,
            c_m: 1.0, // eq. 54
            c_sigma,
            d_sigma,
            c_c: (4.0 + mu_eff / n) / (n + 4.0 + 2.0 * mu_eff / n), // eq. 56
            c_1,
            c_mu,
            chi_n: n.sqrt() * (1.0 - 1.0 / (4.0 * n) + 1.0 / (21.0 * n * n)),
        }
    }

    /// The number of samples in a generation, lambda.
    pub fn population_size(&self) -> usize {
        self.weights.len()
    }

    /// Refuses constants with which an update would be meaningless.
    pub(super) fn check(&self) -> Result<(), CmaError> {
        let rate = |value: f64| (0.0..=1.0).contains(&value);
        let problem = if self.weights.len() < 2 {
            "weights must have at least two entries, one per sample"
        } else if self.parents == 0 || self.parents > self.weights.len() {
            "parents must lie between 1 and the number of weights"
        } else if !self.weights.iter().all(|w| w.is_finite()) {
            "weights must be finite"
        } else if ![self.c_m, self.c_sigma, self.c_c, self.c_1, self.c_mu].into_iter().all(rate) {
            "the learning rates must lie between 0 and 1"
        } else if self.c_sigma <= 0.0 || self.c_sigma >= 1.0 {
            "c_sigma must lie strictly between 0 and 1"
        } else if ![self.mu_eff, self.d_sigma, self.chi_n].into_iter().all(|v| v.is_finite() && v > 0.0) {
            "mu_eff, d_sigma and chi_n must be positive"
        } else {
            return Ok(());
        };
        Err(CmaError::Constants(problem))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_population_depends_on_the_dimension_alone() {
        let sizes = [1, 2, 5, 15, 40, 320].map(Constants::default_population_size);
        assert_eq!(sizes, [4, 6, 8, 12, 15, 21]);
    }

    #[test]
    fn defaults_are_valid_for_every_size_and_keep_the_covariance_positive() {
        for dimension in [1, 2, 3, 15, 100, 320, 5000] {
            for population in [2, 3, 4, 12, 50, 1000] {
                for separable in [false, true] {
                    let constants = Constants::new(dimension, population, separable);
                    constants.check().expect("valid");
                    let positive: f64 = constants.weights.iter().filter(|w| **w > 0.0).sum();
                    let negative: f64 = constants.weights.iter().filter(|w| **w < 0.0).sum();
                    assert!((positive - 1.0).abs() < 1e-12);
                    // What remains of C after subtracting the largest possible negative update (section B.3).
                    let kept = 1.0 - constants.c_1 - constants.c_mu * (positive + negative)
                        + constants.c_mu * negative * dimension as f64;
                    assert!(kept >= -1e-12, "{dimension} {population} {separable}: {kept}");
                }
            }
        }
    }
}
