//! From a manifest that keeps all rules to the search engine's configuration.

use std::collections::BTreeMap;

use mergesearch_recipe::{
    Checkpoint, CheckpointName, CheckpointNameError, LayerRange, MergeMethod, Parameter,
};
use mergesearch_search as engine;
use mergesearch_search::cma::{Stagnation, StopCriteria};
use mergesearch_search::encoding::{BoundedParameter, BoundsError};
use mergesearch_search::results::{MetricName, MetricNameError};

use crate::defaults;
use crate::{
    Align, Baseline, Bound, Budget, CheckpointSource, Constraint, Direction, Evaluation, Fitness,
    Granularity, HeldOut, Merge, MergeSearch, MergeSearchSpec, Metric, Objective, SearchSpec, Start, Stop,
};

const SECONDS_PER_HOUR: f64 = 3600.0;

/// Why a spec is no configuration. A manifest that [`Manifest::parse`](crate::Manifest::parse) accepted fails only on
/// [`Layers`](Self::Layers).
#[derive(Debug, thiserror::Error, PartialEq)]
#[non_exhaustive]
pub enum SearchConfigError {
    /// More blocks than layers, or a model without layers.
    #[error(
        "spec.merge.granularity.blocks: {blocks} blocks need a model of at least as many layers, found {layers}"
    )]
    Layers {
        /// What the spec asks for.
        blocks: u32,
        /// What the checkpoints have.
        layers: u32,
    },
    /// A name that no checkpoint can have.
    #[error(transparent)]
    Name(#[from] CheckpointNameError),
    /// A range of lambda that holds nothing.
    #[error("spec.merge.parameters.lambda: {0}")]
    Lambda(#[from] BoundsError),
    /// A name that no metric can have.
    #[error(transparent)]
    Metric(#[from] MetricNameError),
    /// A text that names no merge to take apart.
    #[error("spec.search.contribution: {0}")]
    Contribution(#[from] engine::ContributionOfError),
}

/// The engine's configuration for a search over models of so many `layers`.
///
/// `layers` is what the pool's config says (0 when it says nothing); only `granularity.blocks` depends on it. Locations
/// are passed on as they are: resolve relative ones first ([`MergeSearchSpec::resolve_files`]).
pub fn search_config(resource: &MergeSearch, layers: u32) -> Result<engine::SearchConfig, SearchConfigError> {
    let spec = &resource.spec;
    let SearchSpec {
        algorithm: crate::Algorithm::CmaEs,
        fitness,
        start,
        barrier,
        population_size,
        sigma,
        seed,
        restarts,
        stop,
        greedy,
        finalists,
        contribution,
    } = &spec.search;
    Ok(engine::SearchConfig {
        checkpoints: spec.pool.checkpoints.iter().map(checkpoint).collect::<Result<_, _>>()?,
        base: spec.pool.base.as_ref().map(checkpoint).transpose()?,
        method: spec.merge.method.into(),
        granularity: granularity(&spec.merge.granularity, layers)?,
        non_negative: spec.merge.weights.non_negative,
        dtype: spec.merge.dtype.map(Into::into),
        tokenizer_from: spec.merge.tokenizer_from.as_deref().map(CheckpointName::try_from).transpose()?,
        align: spec.merge.align.map(|Align::Experts| mergesearch_recipe::Align::Experts),
        vocabulary: spec.merge.vocabulary.map(Into::into),
        objectives: spec.objectives.iter().map(|own| objective(own, spec)).collect::<Result<_, _>>()?,
        held_out: spec.held_out.iter().map(held_out).collect::<Result<_, _>>()?,
        baselines: spec.baselines.iter().map(|own| baseline(own, spec)).collect::<Result<_, _>>()?,
        lambda: lambda(&spec.merge)?,
        fitness: match fitness {
            Fitness::WeightedMean => engine::Fitness::WeightedMean,
            Fitness::Hypervolume => engine::Fitness::Hypervolume,
            Fitness::Tchebycheff => engine::Fitness::Tchebycheff,
        },
        start: match start {
            Start::BestBaseline => engine::Start::BestBaseline,
            Start::Uniform => engine::Start::Uniform,
        },
        barrier: *barrier,
        population_size: population_size.map(count),
        sigma: *sigma,
        seed: seed.unsigned_abs(),
        restarts: restarts.unsigned_abs(),
        stop: stop_criteria(stop),
        greedy_steps: if greedy.enabled { count(greedy.max_steps) } else { 0 },
        finalists: count(*finalists),
        contribution: contribution.as_deref().map(str::parse).transpose()?,
        budget: budget(&spec.budget, &spec.evaluation),
    })
}

/// What a search may spend; it may change while the search runs.
pub fn budget(budget: &Budget, evaluation: &Evaluation) -> engine::Budget {
    let Budget { max_trials, max_failed_trials, max_duration, max_gpu_hours } = budget;
    let deadline = evaluation.active_deadline_seconds.unwrap_or(0);
    engine::Budget {
        max_trials: count(*max_trials),
        max_failed_trials: max_failed_trials.map(count),
        max_seconds: max_duration.map(|duration| std::time::Duration::from(duration).as_secs_f64()),
        max_gpu_seconds: max_gpu_hours.map(|hours| hours * SECONDS_PER_HOUR),
        trial_gpu_seconds: deadline as f64 * evaluation.gpus() as f64,
    }
}

fn checkpoint(source: &CheckpointSource) -> Result<Checkpoint, CheckpointNameError> {
    Ok(Checkpoint { name: CheckpointName::try_from(source.name.as_str())?, uri: source.uri.clone() })
}

fn baseline(baseline: &Baseline, spec: &MergeSearchSpec) -> Result<engine::Baseline, CheckpointNameError> {
    let Baseline { name, weights } = baseline;
    let weight = |source: &CheckpointSource| weights.get(&source.name).copied().unwrap_or(0.0);
    Ok(engine::Baseline {
        name: CheckpointName::try_from(name.as_str())?,
        weights: spec.pool.checkpoints.iter().map(weight).collect(),
    })
}

fn lambda(merge: &Merge) -> Result<Option<engine::Lambda>, BoundsError> {
    if !MergeMethod::from(merge.method).takes(Parameter::Lambda) {
        return Ok(None);
    }
    let range = merge.parameters.lambda.unwrap_or_default();
    if let Some(value) = range.value {
        return Ok(Some(engine::Lambda::Fixed(value)));
    }
    let (min, max, start) = defaults::LAMBDA;
    let (min, max, start) = range.bounds(min, max, start);
    Ok(Some(engine::Lambda::Searched(BoundedParameter::new(min, max, start)?)))
}

/// Blocks of layers whose sizes differ by one at most.
fn granularity(granularity: &Granularity, layers: u32) -> Result<engine::Granularity, SearchConfigError> {
    let Some(blocks) = granularity.blocks else {
        return Ok(if granularity.patterns.is_empty() {
            engine::Granularity::WholeModel
        } else {
            engine::Granularity::Patterns(granularity.patterns.clone())
        });
    };
    let blocks = blocks.unsigned_abs();
    if blocks > layers {
        return Err(SearchConfigError::Layers { blocks, layers });
    }
    let bound = |block: u32| (u64::from(block) * u64::from(layers) / u64::from(blocks)) as u32;
    let ranges = (0..blocks).map(|block| LayerRange { start: bound(block), end: bound(block + 1) });
    Ok(engine::Granularity::Blocks(ranges.collect()))
}

fn objective(objective: &Objective, spec: &MergeSearchSpec) -> Result<engine::Objective, SearchConfigError> {
    let Objective { name, metric, direction, weight, scale, constraint } = objective;
    Ok(engine::Objective {
        name: name.clone(),
        metric: metrics(metric)?,
        direction: (*direction).into(),
        weight: *weight,
        scale: *scale,
        constraint: constraint
            .as_ref()
            .and_then(Constraint::bound)
            .map(|own| bound(own, spec))
            .transpose()?,
    })
}

fn metrics(metric: &Metric) -> Result<BTreeMap<engine::Stage, MetricName>, MetricNameError> {
    Ok(BTreeMap::from([
        (engine::Stage::Search, MetricName::try_from(metric.search())?),
        (engine::Stage::Test, MetricName::try_from(metric.test())?),
    ]))
}

fn held_out(held_out: &HeldOut) -> Result<engine::HeldOut, MetricNameError> {
    let HeldOut { name, metric, direction } = held_out;
    Ok(engine::HeldOut {
        name: name.clone(),
        metric: MetricName::try_from(metric.as_str())?,
        direction: (*direction).into(),
    })
}

fn bound(bound: &Bound, spec: &MergeSearchSpec) -> Result<engine::Bound, CheckpointNameError> {
    let relative = match bound {
        Bound::Value(value) => return Ok(engine::Bound::Absolute(*value)),
        Bound::Relative(relative) => relative,
    };
    let to = match relative.relative_to.as_str() {
        "base" => engine::Reference::Base,
        "uniform" => engine::Reference::Uniform,
        "bestSingle" => engine::Reference::BestSingle,
        name if spec.pool.base.as_ref().is_some_and(|base| base.name == name) => engine::Reference::Base,
        name => engine::Reference::Checkpoint(CheckpointName::try_from(name)?),
    };
    Ok(engine::Bound::Relative { to, delta: relative.delta })
}

fn stop_criteria(stop: &Stop) -> StopCriteria {
    let Stop {
        tol_x,
        tol_condition_cov,
        tol_stagnation,
        tol_fun,
        tol_fun_hist,
        tol_flat_fitness,
        no_effect_axis,
        no_effect_coord,
    } = stop;
    StopCriteria {
        tolx: (*tol_x > 0.0).then_some(*tol_x),
        tolconditioncov: Some(*tol_condition_cov),
        tolstagnation: match tol_stagnation {
            None => Stagnation::Default,
            Some(0) => Stagnation::Off,
            Some(generations) => Stagnation::Generations(u64::from(generations.unsigned_abs())),
        },
        tolfun: *tol_fun,
        tolfunhist: *tol_fun_hist,
        tolflatfitness: tol_flat_fitness.map(|generations| u64::from(generations.unsigned_abs())),
        noeffectaxis: *no_effect_axis,
        noeffectcoord: *no_effect_coord,
    }
}

impl From<Direction> for engine::Direction {
    fn from(direction: Direction) -> Self {
        match direction {
            Direction::Maximize => Self::Maximize,
            Direction::Minimize => Self::Minimize,
        }
    }
}

/// A count of the schema, which allows none below 0.
fn count(count: i32) -> usize {
    count.unsigned_abs() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_cover_all_layers_and_differ_by_one_at_most() {
        for (blocks, layers) in [(2, 3), (4, 32), (5, 32), (7, 7)] {
            let asked = Granularity { blocks: Some(blocks), patterns: Vec::new() };
            let engine::Granularity::Blocks(ranges) = granularity(&asked, layers).unwrap() else { panic!() };
            assert_eq!(ranges.len(), blocks.unsigned_abs() as usize);
            assert_eq!((ranges[0].start, ranges[ranges.len() - 1].end), (0, layers));
            assert!(ranges.windows(2).all(|pair| pair[0].end == pair[1].start));
            let sizes = || ranges.iter().map(|range| range.end - range.start);
            assert!(sizes().max().unwrap() - sizes().min().unwrap() <= 1, "{ranges:?}");
        }
        let asked = Granularity { blocks: Some(4), patterns: Vec::new() };
        assert_eq!(granularity(&asked, 3), Err(SearchConfigError::Layers { blocks: 4, layers: 3 }));
    }
}
