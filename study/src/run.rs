//! Runs the searches of the study, each in its own folder, and keeps what came out.
//!
//! ```text
//! SETTING/seed-N/manifest.yaml   the search
//!                state/          its state, as `mergesearch run` keeps it; without the evaluator's files, once complete
//!                report.json     its result, as `mergesearch show` prints it
//!                completed.yaml  the manifest once more, when the search has been completed under it
//!                probes.json     evaluations made after it
//!                *.log           what the programs said
//! ```

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;

use crate::args::RunArgs;
use crate::collect::collect;
use crate::console;
use crate::error::StudyError;
use crate::finished::Finished;
use crate::manifest::{manifest, text};
use crate::probes::probe;
use crate::programs::Programs;
use crate::results::{Results, write_whole};
use crate::schedule::each;
use crate::settings::{SETTINGS, Setting};

/// A search runs two trials at a time.
const PROCESSORS_A_SEARCH: usize = 2;

/// One search of the study.
#[derive(Debug)]
struct Run {
    setting: &'static Setting,
    seed: u64,
    /// Absolute.
    folder: PathBuf,
}

/// Runs what is not complete, and writes the results of what is.
///
/// # Errors
/// When a setting is unknown; when the results can't be written; when a search failed, after all others have ended.
pub(crate) fn run(arguments: &RunArgs) -> Result<(), StudyError> {
    let repository = absolute(&arguments.repository)?;
    let runs = runs(arguments)?;
    let jobs = arguments.jobs.map_or_else(
        || available_parallelism().map_or(1, |processors| processors.get().div_ceil(PROCESSORS_A_SEARCH)),
        usize::from,
    );
    let programs = Programs::find();
    let mut results = Results::read(&arguments.results.results)?;
    let mut failures: Vec<String> = Vec::new();
    let mut unwritten = Ok(());
    let mut ended = 0;
    let work = |run: &Run| one(&programs, &repository, run, arguments.max_trials);
    each(&runs, jobs, work, |run, outcome| {
        ended += 1;
        let of_all = format!("{ended} of {}: {} seed {}", runs.len(), run.setting.name, run.seed);
        match outcome {
            Ok(newer) => {
                console::message(format_args!("{of_all}{}", told(&newer)));
                results.replace(newer);
                // Written each time, so that a study that is killed leaves what it has.
                unwritten = results.write(&arguments.results.results);
            }
            Err(error) => {
                console::message(format_args!("{of_all} failed: {error}"));
                failures.push(error.to_string());
            }
        }
    });
    unwritten?;
    match failures.first() {
        None => Ok(()),
        Some(first) => {
            Err(StudyError::Searches { failed: failures.len(), all: runs.len(), first: first.clone() })
        }
    }
}

/// All searches, seed by seed, so that a study that ends early has something of every setting.
fn runs(arguments: &RunArgs) -> Result<Vec<Run>, StudyError> {
    let known = || SETTINGS.iter().map(|setting| setting.name).collect();
    let unknown = arguments.settings.iter().find(|name| Setting::named(name).is_none());
    if let Some(name) = unknown {
        return Err(StudyError::Setting { name: name.clone(), known: known() });
    }
    let cache = absolute(&arguments.cache)?;
    let wanted = |setting: &&Setting| {
        arguments.settings.is_empty() || arguments.settings.iter().any(|name| name == setting.name)
    };
    let mut runs = Vec::new();
    for seed in 1..=arguments.seeds {
        runs.extend(SETTINGS.iter().filter(wanted).map(|setting| {
            let folder = cache.join(setting.name).join(format!("seed-{seed}"));
            Run { setting, seed, folder }
        }));
    }
    Ok(runs)
}

/// Runs one search unless it is complete, evaluates what it left open, and measures it.
fn one(programs: &Programs, repository: &Path, run: &Run, max_trials: i32) -> Result<Results, StudyError> {
    let Run { setting, seed, folder } = run;
    fs::create_dir_all(folder).map_err(StudyError::at(folder))?;
    let mut resource = manifest(repository, setting, *seed, max_trials)?;
    resource.spec.storage.output = format!("file://{}", folder.join("output").display());
    let text = text(&resource, &folder.join("manifest.yaml"))?;
    let (state, report) = (folder.join("state"), folder.join("report.json"));
    complete(programs, folder, &text, &state, &report)?;
    let finished = Finished::read(&state, &report)?;
    let probes = probe(programs, &finished, folder, setting.taken_apart)?;
    let problem = || StudyError::Search {
        folder: folder.clone(),
        problem: "it has no best merge or no best baseline".to_owned(),
    };
    collect(setting, *seed, &finished, &probes).ok_or_else(problem)
}

/// Brings the search of a manifest to its end and keeps its report, unless that was done before.
fn complete(
    programs: &Programs,
    folder: &Path,
    manifest: &str,
    state: &Path,
    report: &Path,
) -> Result<(), StudyError> {
    let completed = folder.join("completed.yaml");
    let before = fs::read_to_string(&completed).ok();
    if before.as_deref() != Some(manifest) {
        if before.is_some() {
            // Completed under another manifest: its items, which a comparison needs, are gone. The mark goes last, so that
            // being killed here leaves nothing half removed.
            remove(&folder.join("probes.json"), |path| fs::remove_file(path))?;
            remove(state, |path| fs::remove_dir_all(path))?;
            remove(&completed, |path| fs::remove_file(path))?;
        }
        let file = folder.join("manifest.yaml");
        write_whole(&file, manifest.as_bytes())?;
        programs.search(&file, state, &folder.join("run.log"))?;
        write_whole(report, programs.report(state)?.as_bytes())?;
        write_whole(&completed, manifest.as_bytes())?;
    }
    // A third of a gigabyte, mostly answers to single items. The report has what is needed of them.
    remove(&state.join("trials"), |path| fs::remove_dir_all(path))
}

/// Removes what may be there.
fn remove(path: &Path, how: impl FnOnce(&Path) -> io::Result<()>) -> Result<(), StudyError> {
    match how(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StudyError::at(path)(error)),
        _ => Ok(()),
    }
}

/// What came out, for the display.
fn told(results: &Results) -> String {
    results.searches.first().map_or_else(String::new, |row| {
        let error = row.gain_error.map_or_else(String::new, |error| format!(" ± {:.1}", 100.0 * error));
        format!(": {:+.1}{error} points over the best baseline", 100.0 * row.gain)
    })
}

fn absolute(path: &Path) -> Result<PathBuf, StudyError> {
    std::path::absolute(path).map_err(StudyError::at(path))
}
