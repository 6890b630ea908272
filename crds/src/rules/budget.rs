//! Rules of the budget: whether the search fits in it.

use mergesearch_recipe::{MergeMethod, Parameter};
use mergesearch_search::cma::Constants;

use crate::MergeSearchSpec;
use crate::manifest::Findings;

/// Generations that a search must be able to afford.
const GENERATIONS: usize = 5;
/// Trials that each dimension should have.
const TRIALS_PER_DIMENSION: usize = 10;

/// The size of a search, before it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// Coordinates that CMA-ES varies.
    pub dimensions: usize,
    /// Trials in a generation.
    pub population: usize,
    /// Trials for baselines: single checkpoints, the base, the uniform soup, soups of the best 2, 4 and 8, own ones.
    pub baselines: usize,
    /// Trials for the greedy soup, at most.
    pub greedy_steps: usize,
}

impl Plan {
    /// The size of the search that a spec describes.
    pub fn of(spec: &MergeSearchSpec) -> Self {
        let pool = spec.pool.checkpoints.len();
        let groups = spec.merge.granularity.groups();
        let weights = pool.saturating_sub(1).max(1);
        // Several groups have shared coordinates and a deviation each.
        let coordinates = if groups == 1 { weights } else { weights * (groups + 1) };
        let fixed = spec.merge.parameters.lambda.is_some_and(|range| range.value.is_some());
        let lambda = MergeMethod::from(spec.merge.method).takes(Parameter::Lambda) && !fixed;
        let dimensions = coordinates + usize::from(lambda);
        let own = spec.search.population_size.and_then(|size| usize::try_from(size).ok());
        let population = own.unwrap_or_else(|| Constants::default_population_size(dimensions));
        let soups = [2, 4, 8].into_iter().filter(|&size| size < pool).count();
        let base = usize::from(spec.pool.base.is_some());
        let greedy = spec.search.greedy;
        let steps = if greedy.enabled { usize::try_from(greedy.max_steps).unwrap_or(0) } else { 0 };
        Self {
            dimensions,
            population,
            baselines: pool + base + 1 + soups + spec.baselines.len(),
            greedy_steps: steps.min(pool.saturating_sub(1)),
        }
    }

    /// The smallest `budget.maxTrials`: the baselines, the greedy soup, five generations and the final mean.
    pub const fn least_trials(&self) -> usize {
        self.baselines + self.greedy_steps + GENERATIONS * self.population + 1
    }
}

pub(super) fn check(spec: &MergeSearchSpec, findings: &mut Findings) {
    let budget = &spec.budget;
    let plan = Plan::of(spec);
    let Plan { dimensions, population, baselines, greedy_steps } = plan;
    let trials = usize::try_from(budget.max_trials).unwrap_or(0);
    if trials < plan.least_trials() {
        findings.error(
            "spec.budget.maxTrials",
            format!(
                "expected at least {}, for {baselines} baselines, {greedy_steps} steps of the greedy soup, {GENERATIONS} generations of {population} and the final mean, found {trials}",
                plan.least_trials()
            ),
        );
    } else if trials < TRIALS_PER_DIMENSION * dimensions {
        findings.warning(
            "spec.budget.maxTrials",
            format!(
                "{trials} trials are few for {dimensions} dimensions; {} would be better",
                TRIALS_PER_DIMENSION * dimensions
            ),
        );
    }
    if let Some(sigma) = spec.search.sigma
        && !(sigma > 0.0 && sigma.is_finite())
    {
        findings.error("spec.search.sigma", format!("expected a number above 0, found {sigma}"));
    }
    if let Some(duration) = budget.max_duration
        && (duration.is_negative() || duration == std::time::Duration::ZERO)
    {
        findings.error("spec.budget.maxDuration", "expected a duration above 0, such as 36h, found none");
    }
    if budget.max_gpu_hours.is_some() && spec.evaluation.active_deadline_seconds.is_none() {
        findings.error(
            "spec.evaluation.activeDeadlineSeconds",
            "required by spec.budget.maxGpuHours, but missing",
        );
    }
    let parallel = usize::try_from(spec.execution.parallel_trials).unwrap_or(1);
    if spec.search.barrier && parallel > population {
        findings.warning(
            "spec.execution.parallelTrials",
            format!("{parallel} trials at a time are more than the {population} of a generation; the rest stays idle"),
        );
    }
}
