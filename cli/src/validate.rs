//! `mergesearch validate`: everything a run checks before its first trial, and what it would then do.

use std::fmt::Write;

use mergesearch_crds::{Place, Plan};
use mergesearch_search::Search;

use crate::args::{Target, ValidateArgs};
use crate::console;
use crate::evaluator::Evaluator;
use crate::failure::Failure;
use crate::preflight::{Preflight, preflight};
use crate::project::Project;

/// Memory for the checks; a merge of its own is not made.
const MEMORY: u64 = 512 << 20;

/// Checks a manifest and says what a run would do.
///
/// # Errors
/// Everything that is wrong.
pub(crate) async fn validate(arguments: ValidateArgs) -> Result<(), Failure> {
    let ValidateArgs { file, env, target, no_preflight } = arguments;
    let place = match target {
        Target::Local => Place::Local,
        Target::Cluster => Place::Cluster,
    };
    let project = Project::load(&file, place)?;
    let mut warnings = project.warnings.clone();
    let mut pool = None;
    if place == Place::Local {
        Evaluator::new(project.spec().evaluation.evaluator(), &project.folder, &env.into_iter().collect())
            .map_err(Failure::input)?;
        if !no_preflight {
            let Preflight { merging, config, warnings: more, .. } = preflight(&project, MEMORY).await?;
            warnings.extend(more);
            Search::new(config).map_err(Failure::input)?;
            merging.close().await;
            pool = Some((merging.pool().parameter_count(), merging.pool().layer_count()));
        }
    }
    for warning in warnings {
        console::message(format_args!("warning: {warning}"));
    }
    console::output(summary(&project, pool)).map_err(Failure::run)
}

/// What a run would do, in a few lines. `pool` is the number of parameters and of layers.
fn summary(project: &Project, pool: Option<(u64, Option<u32>)>) -> String {
    let spec = project.spec();
    let Plan { dimensions, population, baselines, greedy_steps: greedy } = Plan::of(spec);
    let trials = usize::try_from(spec.budget.max_trials).unwrap_or(0);
    let generations = trials.saturating_sub(baselines + greedy + 1) / population.max(1);
    let names = |names: Vec<&str>| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        // Writing to a String doesn't fail.
        let _ = writeln!(text, "{name:<12} {value}");
    };
    line("search", project.name.clone());
    let checkpoints = spec.pool.checkpoints.len();
    let base =
        spec.pool.base.as_ref().map_or_else(String::new, |base| format!(" and the base {}", base.name));
    line(
        "pool",
        match pool {
            Some((parameters, layers)) => {
                let layers = layers.map_or_else(String::new, |layers| format!(", {layers} layers"));
                format!(
                    "{checkpoints} checkpoints{base} of {parameters} parameters{layers}; they fit together"
                )
            }
            None => format!("{checkpoints} checkpoints{base}; not looked at"),
        },
    );
    line("objectives", names(spec.objectives.iter().map(|objective| objective.name.as_str()).collect()));
    line("held out", names(spec.held_out.iter().map(|metric| metric.name.as_str()).collect()));
    line("dimensions", dimensions.to_string());
    line(
        "trials",
        format!(
            "{trials}: {baselines} baselines, {greedy} for the greedy soup, {generations} generations of {population}, \
             the final mean; final scores come on top"
        ),
    );
    line("at a time", project.parallel_trials().to_string());
    line(
        "publishes",
        format!("{} under {}", spec.publish.top, spec.publish.uri.as_ref().unwrap_or(&spec.storage.output)),
    );
    text
}
