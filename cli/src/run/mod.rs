//! `mergesearch run`: checks everything first, runs the search to its end, publishes, and says what it was worth.

mod clock;
mod executor;
mod interrupt;
mod publishing;
mod trial;

use std::collections::BTreeMap;
use std::env;
use std::sync::Arc;

use mergesearch_crds::Place;
use mergesearch_search::{Outcome, Record, ReplayError, Search, SearchConfig};
use tokio::task::JoinSet;

pub(crate) use clock::Spent;

use self::clock::Clock;
use self::executor::Executor;
use self::interrupt::Interrupt;
use self::trial::Workshop;
use crate::args::RunArgs;
use crate::console;
use crate::evaluator::Evaluator;
use crate::failure::Failure;
use crate::preflight::{Preflight, preflight};
use crate::progress::Display;
use crate::project::Project;
use crate::show::{Report, tables};
use crate::state::{PoolFacts, State, pool_facts, set_pool_facts, spent, write_json};

/// Runs a search, or goes on with one.
///
/// # Errors
/// Wrong input before anything is started; later whatever keeps the search from its end.
pub(crate) async fn run(arguments: RunArgs) -> Result<(), Failure> {
    let RunArgs { file, state, env, parallel_trials, memory } = arguments;
    let project = Project::load(&file, Place::Local)?;
    let capacity = parallel_trials.map_or_else(|| project.parallel_trials(), usize::from);
    let env: BTreeMap<String, String> = env.into_iter().collect();
    let evaluator = Evaluator::new(project.spec().evaluation.evaluator(), &project.folder, &env)
        .map_err(Failure::input)?;
    let mut interrupt = Interrupt::listen().map_err(Failure::run)?;
    let mut display =
        Display::new(project.spec().objectives.iter().map(|objective| objective.name.clone()).collect());
    for warning in &project.warnings {
        display.warn(warning.clone());
    }
    let Preflight { merging, config, facts, output, warnings } = tokio::select! {
        checked = preflight(&project, memory) => checked?,
        signal = interrupt.received() => return Err(Failure::Run(format!("interrupted by {signal}"))),
    };
    for warning in warnings {
        display.warn(warning);
    }
    // Refused here rather than after the state folder has been made.
    Search::new(config.clone()).map_err(Failure::input)?;

    let (state, records) =
        State::open(&state.unwrap_or_else(|| project.default_state())).map_err(Failure::run)?;
    let search = resume(&state, config, records, &facts)?;
    announce(&project, &search, &state, &display, capacity);
    let evaluation = &project.spec().evaluation;
    let workshop = Arc::new(Workshop {
        program: env::current_exe().map_err(Failure::run)?,
        config: search.config().clone(),
        merging: merging.clone().shared_by(capacity),
        evaluator,
        deadline_seconds: evaluation.active_deadline_seconds.map(|seconds| seconds as f64),
        retries: usize::try_from(evaluation.backoff_limit).unwrap_or(0),
        gpus: evaluation.gpus() as f64,
    });
    let clock = Clock::continuing(spent(state.folder()).map_err(Failure::run)?);
    let mut executor = Executor {
        search,
        state,
        workshop,
        clock,
        display,
        capacity,
        running: BTreeMap::new(),
        tasks: JoinSet::new(),
        time_is_over: false,
    };
    let ended = executor.run(&mut interrupt).await;
    let Executor { search, state, .. } = executor;
    let finished = match ended {
        Ok(Outcome::Completed(_)) => {
            let published = tokio::select! {
                published = publishing::publish(&project, &merging, &search, &state, &output) => published,
                signal = interrupt.received() => {
                    Err(Failure::Run(format!("interrupted by {signal} while publishing; run the same command again to go on")))
                }
            };
            report(&search, &state).and(published)
        }
        Ok(Outcome::Failed(_, reason)) => {
            report(&search, &state).and_then(|()| Err(Failure::Run(format!("the search failed: {reason}"))))
        }
        Err(failure) => Err(failure),
    };
    merging.close().await;
    finished
}

/// The search that the journal tells of, or a new one.
fn resume(
    state: &State,
    config: SearchConfig,
    records: Vec<Record>,
    facts: &PoolFacts,
) -> Result<Search, Failure> {
    let folder = state.folder();
    if records.is_empty() {
        set_pool_facts(folder, facts).map_err(Failure::run)?;
    } else if let Some(before) = pool_facts(folder).map_err(Failure::run)?
        && let Some((checkpoint, file)) = before.changed(facts)
    {
        return Err(Failure::Input(format!(
            "checkpoint {checkpoint}: {file} has changed since this search began; restore it, or start anew with --state"
        )));
    }
    Search::replay(config, records).map_err(|error| match error {
        ReplayError::Changed { .. } => Failure::Input(format!(
            "the search in {} is another one: {error}; restore that, or start anew with --state",
            folder.display()
        )),
        error => Failure::Input(format!("state {}: {error}", folder.display())),
    })
}

fn announce(project: &Project, search: &Search, state: &State, display: &Display, capacity: usize) {
    let progress = search.progress();
    let ended = progress.succeeded + progress.failed;
    let going_on = if ended == 0 { String::new() } else { format!(", going on after {ended}") };
    display.note(&format!(
        "{}: {} checkpoints, {} objectives, about {} trials, {capacity} at a time{going_on}; state in {}",
        project.name,
        search.config().checkpoints.len(),
        search.config().objectives.len(),
        progress.planned,
        state.folder().display(),
    ));
}

/// Keeps the report and prints it.
fn report(search: &Search, state: &State) -> Result<(), Failure> {
    let report = Report::of(search, state.folder()).map_err(Failure::run)?;
    write_json(&state.folder().join("report.json"), &report).map_err(Failure::run)?;
    console::output(tables(search, &report)).map_err(Failure::run)
}
