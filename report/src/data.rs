//! What a report shows, as plain data: the figures and the page read exactly this, as JSON.

use serde::Serialize;

/// A search as its report shows it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The search's name.
    pub name: String,
    /// How it stands, in one sentence.
    pub state: String,
    /// What the search was worth; `None` before its best merge is scored on test items.
    pub judgement: Option<Judgement>,
    /// What to be careful about, one sentence each; those of the judgement are not among them.
    pub warnings: Vec<String>,
    /// Short facts for the head of the page.
    pub facts: Vec<Fact>,
    /// The objectives, in the order of `search` and `test` scores.
    pub objectives: Vec<Metric>,
    /// The held-out metrics, in the order of `held_out` scores.
    pub held_out: Vec<Metric>,
    /// The pool, in the order of weights.
    pub checkpoints: Vec<String>,
    /// Groups of tensors with weights of their own.
    pub groups: usize,
    /// Every trial of stage `search`, in the order they were issued.
    pub trials: Vec<Trial>,
    /// Which trials are something special.
    pub roles: Roles,
    /// Closed generations, oldest first.
    pub generations: Vec<Generation>,
    /// When trials ran, when that is known.
    pub timeline: Option<Timeline>,
    /// What each checkpoint contributes to a merge, when that was asked for.
    pub contribution: Option<Contribution>,
    /// The share of pairs of finalists whose order by fitness is the same in search and in test, in 0 to 1.
    pub order_kept: Option<f64>,
    /// How a trial's recipe is printed by a command: `TRIAL` stands for the trial.
    pub export_command: String,
    /// Whether the command knows every trial, or only baselines and front.
    pub exports_all: bool,
}

/// What a search was worth.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Judgement {
    /// Gain, error, items, baseline.
    pub sentence: String,
    /// What to be careful about when reading it; the first one is the weightiest.
    pub warnings: Vec<String>,
}

/// A fact with its name.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Fact {
    /// What it is.
    pub name: String,
    /// Its value, ready to read.
    pub value: String,
}

/// A metric and which way is better.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Metric {
    /// Its name.
    pub name: String,
    /// Whether less is better.
    pub minimize: bool,
}

/// A score with its standard error.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Score {
    /// In the metric's unit.
    pub value: f64,
    /// One standard error in the same unit, when known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<f64>,
}

/// What kind of merge a trial is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// One checkpoint as it is, the base included.
    Single,
    /// The mean of several checkpoints: uniform, of the best, or a merge of the user's own.
    Soup,
    /// A step of the greedy soup.
    Greedy,
    /// A sample of CMA-ES.
    #[default]
    Candidate,
    /// The mean of CMA-ES's distribution.
    Mean,
}

/// A trial.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Trial {
    /// Its identity, for commands.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Of which generation, for candidates: the name of one of [`Report::generations`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<String>,
    /// What CMA-ES ranks by; `None` when failed or infeasible.
    pub fitness: Option<f64>,
    /// The weighted mean of the objectives on search items, which compares with that on test items; `None` when failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub search_fitness: Option<Score>,
    /// The weighted mean of the objectives on test items; `None` when not scored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_fitness: Option<Score>,
    /// Objectives on search items; empty when failed.
    pub search: Vec<Score>,
    /// Objectives on test items; empty when not scored.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub test: Vec<Score>,
    /// Held-out metrics; empty when not scored.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub held_out: Vec<Score>,
    /// The weight of each checkpoint, the mean over groups of tensors; all 0 for the base, which is not in the pool.
    pub weights: Vec<f64>,
    /// Parameters of the method besides weights, for instance `lambda 0.84`; empty without any.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub parameters: String,
    /// Test fitness minus that of the best baseline; `None` when not known, and for that baseline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_fitness_gain: Option<Score>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// Places in [`Report::trials`] of trials that are something special.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Roles {
    /// Non-dominated by search scores, best fitness first.
    pub front: Vec<usize>,
    /// The searched merge with the best search fitness.
    pub best: Option<usize>,
    /// The baseline with the best search fitness.
    pub best_baseline: Option<usize>,
    /// The base, when the search has one.
    pub base: Option<usize>,
    /// The checkpoint with the best search fitness.
    pub best_single: Option<usize>,
    /// The mean of all checkpoints.
    pub uniform: Option<usize>,
    /// The greedy soup; `None` when nothing made the best single better.
    pub greedy: Option<usize>,
    /// The mean of the final distribution.
    pub final_mean: Option<usize>,
}

/// A closed generation.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Generation {
    /// Its name: its number, with the restart's when CMA-ES has started again.
    pub generation: String,
    /// CMA-ES's step size after it.
    pub sigma: f64,
    /// Hypervolume of the front by then, in units of the singles' ranges.
    pub hypervolume: f64,
    /// Trials that had been issued by then.
    pub trials: usize,
}

/// When trials ran.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Timeline {
    /// One for each trial whose times are known, final stages included.
    pub spans: Vec<Span>,
    /// The share of what could have run at the same time that did, in 0 to 1; `None` when no time passed.
    pub busy: Option<f64>,
    /// The most trials at a time that were allowed.
    pub parallel_trials: usize,
    /// Times at which nothing ran for long, for instance because the run had been stopped.
    pub interruptions: usize,
}

/// When one trial ran, in seconds since the first one started.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Span {
    /// The trial's identity.
    pub id: String,
    /// What it was for: the baselines, the search, or the final stages.
    pub stage: String,
    /// Its start.
    pub started: f64,
    /// The end of its merge, when known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub merged: Option<f64>,
    /// Its end.
    pub ended: f64,
}

/// What each checkpoint contributes to a merge.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Contribution {
    /// The merge's identity.
    pub of: String,
    /// One for each checkpoint that was left out.
    pub checkpoints: Vec<CheckpointContribution>,
}

/// What one checkpoint contributes.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckpointContribution {
    /// Its name.
    pub name: String,
    /// Its weight in the merge.
    pub weight: f64,
    /// Test fitness of the merge minus that without the checkpoint; `None` when that trial failed or is not in.
    pub gain: Option<Score>,
}
