//! Merges that no search scores on test items, evaluated after it: the best so far after each generation, and the searched
//! merge without one of its checkpoints.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use mergesearch_recipe::Recipe;
use mergesearch_search::results::{ItemScores, MetricName, paired_difference};
use mergesearch_search::{Stage, fitness_weights};
use serde::{Deserialize, Serialize};

use crate::error::StudyError;
use crate::finished::Finished;
use crate::programs::Programs;
use crate::results::write_whole;

/// A checkpoint whose weight is so near 1 can't be taken out: the others' weights would grow beyond all bounds.
const LEAST_REST: f64 = 0.1;

/// Differences in test fitness from the searched merge, by what was evaluated.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Probes {
    /// By the name of a trial: the best so far at some time.
    pub trials: BTreeMap<String, Change>,
    /// By the name of the checkpoint that was taken out.
    pub removals: BTreeMap<String, Change>,
}

/// A difference in test fitness.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// A fraction; above 0 when it is better than the searched merge.
    pub value: f64,
    /// Its standard error, paired item by item.
    pub error: Option<f64>,
}

/// The merge without one checkpoint, the other weights scaled to sum to 1 again. `None` when hardly anything would be left.
pub fn without(recipe: &Recipe, index: usize) -> Option<Recipe> {
    let mut recipe = recipe.clone();
    for group in &mut recipe.groups {
        let rest = 1.0 - group.weights.get(index)?;
        if rest.abs() < LEAST_REST {
            return None;
        }
        for (place, weight) in group.weights.iter_mut().enumerate() {
            *weight = if place == index { 0.0 } else { *weight / rest };
        }
    }
    Some(recipe)
}

/// Evaluates what a finished search left open, or reads it where that was done before.
///
/// `folder` is the search's folder in the cache. `taken_apart`: whether to take checkpoints out.
///
/// # Errors
/// When a merge or an evaluation fails, or its items can't be read.
pub fn probe(
    programs: &Programs,
    finished: &Finished,
    folder: &Path,
    taken_apart: bool,
) -> Result<Probes, StudyError> {
    let wrong = |problem: &str| StudyError::Search { folder: folder.to_owned(), problem: problem.to_owned() };
    let best = finished.search.best().ok_or_else(|| wrong("it has no best merge"))?;
    let recipe = finished.search.recipe_of(&best).ok_or_else(|| wrong("its best merge has no recipe"))?;
    let trials = incumbents(finished);
    let kept = folder.join("probes.json");
    if let Ok(text) = fs::read_to_string(&kept)
        && let Ok(probes) = serde_json::from_str::<Probes>(&text)
        && probes.removals.is_empty() != taken_apart
        && trials.iter().all(|trial| probes.trials.contains_key(trial))
    {
        return Ok(probes);
    }
    let bench = Bench { programs, finished, folder: folder.join("probe") };
    let whole = bench.items(recipe)?;
    let mut probes = Probes::default();
    for trial in trials {
        let id = trial.parse().map_err(|_| wrong("a trial has no name"))?;
        let merged = finished.search.recipe_of(&id).ok_or_else(|| wrong("a trial has no recipe"))?;
        probes.trials.insert(trial, bench.change(merged, &whole)?);
    }
    for (index, checkpoint) in recipe.checkpoints.iter().enumerate().filter(|_| taken_apart) {
        if let Some(rest) = without(recipe, index) {
            probes.removals.insert(checkpoint.name.to_string(), bench.change(&rest, &whole)?);
        }
    }
    let json = serde_json::to_vec_pretty(&probes).map_err(|error| wrong(&error.to_string()))?;
    write_whole(&kept, &json)?;
    Ok(probes)
}

/// The trials that were the best so far at the end of some generation.
fn incumbents(finished: &Finished) -> Vec<String> {
    let mut names: Vec<String> =
        crate::course::generations(&finished.evaluations()).into_iter().map(|step| step.trial).collect();
    names.sort();
    names.dedup();
    names
}

/// Where one merge at a time is made and evaluated.
struct Bench<'a> {
    programs: &'a Programs,
    finished: &'a Finished,
    folder: PathBuf,
}

impl Bench<'_> {
    /// What a merge is better by than the whole.
    fn change(&self, recipe: &Recipe, whole: &[ItemScores]) -> Result<Change, StudyError> {
        let items = self.items(recipe)?;
        let factors = fitness_weights(&self.finished.search.config().objectives);
        let pairs: Vec<_> = factors
            .into_iter()
            .zip(&items)
            .zip(whole)
            .map(|((factor, one), other)| (factor, one, other))
            .collect();
        let difference = paired_difference(&pairs).map_err(|error| self.wrong(error.to_string()))?;
        Ok(Change { value: difference.value, error: difference.stderr })
    }

    /// Scores of a merge on the test items of each objective.
    fn items(&self, recipe: &Recipe) -> Result<Vec<ItemScores>, StudyError> {
        let folder = &self.folder;
        if folder.exists() {
            fs::remove_dir_all(folder).map_err(StudyError::at(folder))?;
        }
        fs::create_dir_all(folder).map_err(StudyError::at(folder))?;
        let (file, model, results) =
            (folder.join("recipe.json"), folder.join("model"), folder.join("results"));
        let json = serde_json::to_vec(recipe).map_err(|error| self.wrong(error.to_string()))?;
        fs::write(&file, json).map_err(StudyError::at(&file))?;
        self.programs.merge(&file, &model, &folder.join("merge.log"))?;
        self.programs.evaluate(&model, &results, Stage::Test, &folder.join("evaluate.log"))?;
        let objectives = &self.finished.search.config().objectives;
        let metrics = objectives.iter().filter_map(|objective| objective.metric.get(&Stage::Test));
        let items = metrics.map(|metric| self.samples(&results, metric)).collect();
        fs::remove_dir_all(folder).map_err(StudyError::at(folder))?;
        items
    }

    /// The evaluator writes `MODEL/samples_TASK_TIME.jsonl`.
    fn samples(&self, results: &Path, metric: &MetricName) -> Result<ItemScores, StudyError> {
        let beginning = format!("samples_{}_2", metric.task().unwrap_or_default());
        for model in entries(results)? {
            for path in entries(&model)? {
                if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&beginning)) {
                    let text = fs::read_to_string(&path).map_err(StudyError::at(&path))?;
                    return ItemScores::parse(&text, metric).map_err(|error| self.wrong(error.to_string()));
                }
            }
        }
        Err(self.wrong(format!("the evaluator left no items of {metric}")))
    }

    fn wrong(&self, problem: String) -> StudyError {
        StudyError::Search { folder: self.folder.clone(), problem }
    }
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, StudyError> {
    let entries = fs::read_dir(folder).map_err(StudyError::at(folder))?;
    entries.map(|entry| Ok(entry.map_err(StudyError::at(folder))?.path())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe(weights: &str) -> Recipe {
        let text = format!(
            r#"{{"method": "linear", "checkpoints": [{{"name": "a", "uri": "file:///a"}}, {{"name": "b", "uri": "file:///b"}},
            {{"name": "c", "uri": "file:///c"}}], "groups": [{{"weights": {weights}}}]}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn what_is_left_without_a_checkpoint_sums_to_one() {
        let rest = without(&recipe("[0.5, -0.25, 0.75]"), 1).unwrap();
        assert_eq!(rest.groups[0].weights, [0.4, 0.0, 0.6]);
        assert_eq!(without(&recipe("[0.95, 0.0, 0.05]"), 0), None);
    }
}
