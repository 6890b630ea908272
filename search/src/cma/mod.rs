//! CMA-ES: a normal distribution over search coordinates that adapts to the ranking of its samples.
//!
//! The algorithm is Hansen's (The CMA Evolution Strategy: A Tutorial, arXiv 1604.00772, whose equation numbers the
//! comments give) with the active covariance update, minimising. Above [`SEPARABLE_ABOVE`] coordinates only the
//! diagonal of the covariance is adapted (Ros and Hansen 2008).
//!
//! [`Cma`] is plain data: it holds no random numbers and no pending samples. [`Cma::sample`] leaves it unchanged and
//! [`Cma::tell`] is a function of the state and one population, so a restored snapshot and a replay from the
//! beginning agree bit for bit.

mod constants;
mod covariance;
mod stop;
mod vector;

use serde::{Deserialize, Serialize};

use self::covariance::Covariance;
use self::stop::History;
use self::vector::{combine, norm};
use crate::random::Stream;

pub use self::constants::Constants;
pub use self::stop::{Stagnation, StopCriteria, StopReason};

/// The largest number of coordinates for which the full covariance is adapted by default.
pub const SEPARABLE_ABOVE: usize = 100;

/// The step size stays between the inverse of this and this, and coordinates below it, so that nothing overflows.
const LARGEST: f64 = 1e32;

/// Where and how a search starts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CmaConfig {
    /// The first mean; its length is the dimension n, at least 1.
    pub mean: Vec<f64>,
    /// The first step size, above 0.
    pub sigma: f64,
    /// The first standard deviation of each coordinate in units of `sigma`; empty means 1 for all.
    #[serde(default)]
    pub scales: Vec<f64>,
    /// Samples per generation, at least 2; by default 4 + floor(3 ln n). Not allowed beside `constants`.
    #[serde(default)]
    pub population_size: Option<usize>,
    /// Whether only variances are adapted; by default when n is above [`SEPARABLE_ABOVE`].
    #[serde(default)]
    pub separable: Option<bool>,
    /// When [`Cma::stop`] gives a reason.
    #[serde(default)]
    pub stop: StopCriteria,
    /// Strategy constants other than the tutorial's.
    #[serde(default)]
    pub constants: Option<Constants>,
}

impl CmaConfig {
    /// A start at `mean` with the standard deviation `sigma` in every coordinate and the defaults for all else.
    pub fn new(mean: Vec<f64>, sigma: f64) -> Self {
        Self {
            mean,
            sigma,
            scales: Vec::new(),
            population_size: None,
            separable: None,
            stop: StopCriteria::default(),
            constants: None,
        }
    }
}

/// A sample and how good it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluated {
    /// The coordinates, as [`Cma::sample`] gave them.
    pub x: Vec<f64>,
    /// The smaller the better; infinity for a failed evaluation, which ranks last.
    pub fitness: f64,
}

/// Why a start or a population was refused; the state is then unchanged.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CmaError {
    /// The mean is empty or has an entry that is not a usable number.
    #[error("the mean must have at least one coordinate and only finite ones below 1e32")]
    Mean,
    /// The step size is not a positive number.
    #[error("sigma must be positive and finite, not {0}")]
    Sigma(f64),
    /// The scales do not fit the mean, or one is not a positive number.
    #[error("scales must be {0} positive finite numbers, one per coordinate")]
    Scales(usize),
    /// The population is too small or given twice.
    #[error("the population size must be at least 2, and left out where constants are given")]
    Population,
    /// The given strategy constants are inconsistent.
    #[error("strategy constants: {0}")]
    Constants(&'static str),
    /// A generation is told whole.
    #[error("a generation has {expected} samples, not {given}")]
    Generation {
        /// The population size.
        expected: usize,
        /// How many were told.
        given: usize,
    },
    /// A told sample has the wrong length or an entry that is not a usable number.
    #[error("sample {0} of the generation must have {1} finite coordinates below 1e32")]
    Sample(usize, usize),
    /// A told fitness is NaN or negative infinity.
    #[error(
        "the fitness of sample {0} of the generation must be a number, or infinity for a failed evaluation"
    )]
    Fitness(usize),
}

/// The state of a CMA-ES search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cma {
    constants: Constants,
    criteria: StopCriteria,
    initial_deviations: Vec<f64>,
    generation: u64,
    mean: Vec<f64>,
    sigma: f64,
    sigma_path: Vec<f64>,
    covariance_path: Vec<f64>,
    covariance: Covariance,
    history: History,
}

impl Cma {
    /// Starts a search.
    pub fn new(config: CmaConfig) -> Result<Self, CmaError> {
        let CmaConfig { mean, sigma, scales, population_size, separable, stop, constants } = config;
        let n = mean.len();
        if !is_point(&mean, n.max(1)) {
            return Err(CmaError::Mean);
        }
        let positive = |value: f64| value.is_finite() && value > 0.0;
        if !positive(sigma) || sigma > LARGEST {
            return Err(CmaError::Sigma(sigma));
        }
        let scales = if scales.is_empty() { vec![1.0; n] } else { scales };
        if scales.len() != n || !scales.iter().all(|&s| positive(s)) {
            return Err(CmaError::Scales(n));
        }
        let separable = separable.unwrap_or(n > SEPARABLE_ABOVE);
        let constants = match (constants, population_size) {
            (Some(_), Some(_)) | (None, Some(0 | 1)) => return Err(CmaError::Population),
            (Some(constants), None) => constants,
            (None, size) => {
                let size = size.unwrap_or_else(|| Constants::default_population_size(n));
                Constants::new(n, size, separable)
            }
        };
        constants.check()?;
        Ok(Self {
            constants,
            criteria: stop,
            initial_deviations: scales.iter().map(|s| sigma * s).collect(),
            generation: 0,
            mean,
            sigma,
            sigma_path: vec![0.0; n],
            covariance_path: vec![0.0; n],
            covariance: Covariance::diagonal(&scales, separable),
            history: History::default(),
        })
    }

    /// Draws a sample of the current distribution: x = m + sigma B D z (eq. 38 to 40).
    pub fn sample(&self, stream: &mut Stream) -> Vec<f64> {
        let y = self.covariance.colour(&stream.normals(self.dimension()));
        combine(1.0, &self.mean, self.sigma, &y)
    }

    /// Moves and reshapes the distribution by one whole generation.
    ///
    /// The population is ranked by fitness; equal ones keep the order given, so give it in an order that does not
    /// depend on time. When every evaluation failed there is nothing to learn: only the generation is counted.
    pub fn tell(&mut self, population: &[Evaluated]) -> Result<(), CmaError> {
        let ranked = self.rank(population)?;
        self.generation += 1;
        self.history.record(&ranked, self.dimension(), &self.criteria);
        if ranked.iter().any(|one| one.fitness.is_finite()) {
            self.update(&ranked);
        }
        Ok(())
    }

    /// Checks a population and sorts it, best first.
    fn rank<'a>(&self, population: &'a [Evaluated]) -> Result<Vec<&'a Evaluated>, CmaError> {
        let (expected, given) = (self.population_size(), population.len());
        if expected != given {
            return Err(CmaError::Generation { expected, given });
        }
        for (index, one) in population.iter().enumerate() {
            if !is_point(&one.x, self.dimension()) {
                return Err(CmaError::Sample(index, self.dimension()));
            }
            if one.fitness.is_nan() || one.fitness == f64::NEG_INFINITY {
                return Err(CmaError::Fitness(index));
            }
        }
        let mut ranked: Vec<&Evaluated> = population.iter().collect();
        // Not `total_cmp`: -0 and 0 are ties. No NaN is left to make the comparison fail.
        ranked.sort_by(|a, b| a.fitness.partial_cmp(&b.fitness).unwrap_or(std::cmp::Ordering::Equal));
        Ok(ranked)
    }

    fn update(&mut self, ranked: &[&Evaluated]) {
        let Constants { weights, parents, mu_eff, c_m, c_sigma, d_sigma, c_c, c_1, c_mu, chi_n } =
            &self.constants;
        let n = self.dimension() as f64;
        let steps: Vec<Vec<f64>> =
            ranked.iter().map(|one| scaled_step(&one.x, &self.mean, self.sigma)).collect();

        // Selection and recombination (eq. 41 and 42).
        let mut mean_step = vec![0.0; self.dimension()];
        for (step, weight) in steps.iter().zip(weights).take(*parents) {
            mean_step = combine(1.0, &mean_step, *weight, step);
        }
        self.mean = combine(1.0, &self.mean, c_m * self.sigma, &mean_step);

        // Step-size control (eq. 43 and 44).
        let gain = (c_sigma * (2.0 - c_sigma) * mu_eff).sqrt();
        self.sigma_path = combine(1.0 - c_sigma, &self.sigma_path, gain, &self.covariance.whiten(&mean_step));
        let path_length = norm(&self.sigma_path);
        let growth = libm::exp(c_sigma / d_sigma * (path_length / chi_n - 1.0));
        self.sigma = (self.sigma * growth).clamp(1.0 / LARGEST, LARGEST);

        // A long step-size path stalls the other one (h_sigma, page 28), or the covariance would grow with the step.
        let updates = 2.0 * (self.generation + 1) as f64;
        let expected_share = (1.0 - libm::pow(1.0 - c_sigma, updates)).sqrt();
        let stalled = path_length / expected_share >= (1.4 + 2.0 / (n + 1.0)) * chi_n;
        // eq. 45
        let gain = if stalled { 0.0 } else { (c_c * (2.0 - c_c) * mu_eff).sqrt() };
        self.covariance_path = combine(1.0 - c_c, &self.covariance_path, gain, &mean_step);

        // Covariance (eq. 46 and 47): a bad step counts by its direction, not by its length.
        let step_weights: Vec<f64> = steps
            .iter()
            .zip(weights)
            .map(|(step, &weight)| {
                if weight >= 0.0 {
                    weight
                } else {
                    weight * n / (self.covariance.squared_length(step) + 1e-8)
                }
            })
            .collect();
        let stall_correction = if stalled { c_c * (2.0 - c_c) } else { 0.0 };
        let keep = 1.0 + c_1 * stall_correction - c_1 - c_mu * weights.iter().sum::<f64>();
        let rank_mu = step_weights.iter().map(|w| c_mu * w).zip(steps.iter().map(Vec::as_slice));
        let rank_one = std::iter::once((*c_1, self.covariance_path.as_slice()));
        self.covariance.update(keep, rank_one.chain(rank_mu));
    }

    /// Why the search should end now, if it should.
    pub fn stop(&self) -> Option<StopReason> {
        stop::reason(self)
    }

    /// The number of coordinates, n.
    pub fn dimension(&self) -> usize {
        self.mean.len()
    }

    /// The number of samples in every generation, lambda.
    pub fn population_size(&self) -> usize {
        self.constants.population_size()
    }

    /// How many generations have been told.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The centre of the distribution.
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// The step size.
    pub fn sigma(&self) -> f64 {
        self.sigma
    }

    /// The strategy constants in use.
    pub fn constants(&self) -> &Constants {
        &self.constants
    }

    /// The path of the step size, `p_sigma`.
    pub fn sigma_path(&self) -> &[f64] {
        &self.sigma_path
    }

    /// The path of the covariance, `p_c`.
    pub fn covariance_path(&self) -> &[f64] {
        &self.covariance_path
    }

    /// Element (`row`, `column`) of the covariance matrix C, without the step size.
    pub fn covariance(&self, row: usize, column: usize) -> f64 {
        self.covariance.element(row, column)
    }

    /// The square roots of the eigenvalues of C, without the step size, in no particular order.
    pub fn axis_lengths(&self) -> &[f64] {
        self.covariance.axis_lengths()
    }

    /// The standard deviation of each coordinate, step size included.
    pub fn standard_deviations(&self) -> Vec<f64> {
        (0..self.dimension()).map(|i| self.sigma * self.covariance(i, i).sqrt()).collect()
    }
}

/// Whether `x` has `dimension` coordinates that are numbers of a usable size.
fn is_point(x: &[f64], dimension: usize) -> bool {
    x.len() == dimension && x.iter().all(|v| v.abs() < LARGEST)
}

/// y = (x - m) / sigma.
fn scaled_step(x: &[f64], mean: &[f64], sigma: f64) -> Vec<f64> {
    x.iter().zip(mean).map(|(x, m)| (x - m) / sigma).collect()
}
