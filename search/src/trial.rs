//! A trial: one candidate, merged and evaluated; its identity, its stages and its result.

use std::fmt;
use std::str::FromStr;

use mergesearch_recipe::{CheckpointName, Recipe};
use serde::{Deserialize, Serialize};

use crate::results::Measurement;

/// Which items an evaluation uses. The evaluator reads it as `MERGESEARCH_STAGE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// The items that fitness is computed from.
    Search,
    /// Other items of the same tasks, for the final scores.
    Test,
    /// Tasks that are never optimised.
    HeldOut,
}

impl Stage {
    /// The value of `MERGESEARCH_STAGE`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Search => "search",
            Self::Test => "test",
            Self::HeldOut => "heldout",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// A trial's identity: what it is, not when it was made. Its text is a valid part of a Kubernetes name, and its random
/// numbers depend on the seed and on it alone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum TrialId {
    /// A checkpoint as it is: `single-NAME`.
    Single(CheckpointName),
    /// The base checkpoint as it is: `base`.
    Base,
    /// The mean of all checkpoints: `uniform`.
    Uniform,
    /// A merge of the user's own: `baseline-NAME`.
    Own(CheckpointName),
    /// The mean of the best single checkpoints by search fitness, so many: `soup-4`.
    Soup(usize),
    /// The greedy soup's attempt to add one more ingredient, from 1: `greedy-03`.
    Greedy(usize),
    /// A sample of CMA-ES: `g0004-c012`, after a restart `r1-g0001-c003`; generations count from 1, candidates from 0.
    Candidate {
        /// 0 until CMA-ES restarts.
        restart: u32,
        /// From 1.
        generation: u32,
        /// From 0; with the barrier off it can exceed the population.
        index: u32,
    },
    /// The mean of the distribution after so many generations: `mean-g0013`.
    Mean {
        /// 0 until CMA-ES restarts.
        restart: u32,
        /// Closed generations.
        generation: u32,
    },
    /// The final stages of a search trial: `final-g0004-c012`.
    Final(Box<Self>),
}

impl TrialId {
    /// Whether the trial is a reference that every search is compared with.
    pub const fn is_baseline(&self) -> bool {
        matches!(
            self,
            Self::Single(_) | Self::Base | Self::Uniform | Self::Own(_) | Self::Soup(_) | Self::Greedy(_)
        )
    }
}

impl fmt::Display for TrialId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let restart_prefix = |restart: u32| if restart == 0 { String::new() } else { format!("r{restart}-") };
        match self {
            Self::Single(name) => write!(formatter, "single-{name}"),
            Self::Base => formatter.write_str("base"),
            Self::Uniform => formatter.write_str("uniform"),
            Self::Own(name) => write!(formatter, "baseline-{name}"),
            Self::Soup(size) => write!(formatter, "soup-{size}"),
            Self::Greedy(step) => write!(formatter, "greedy-{step:02}"),
            Self::Candidate { restart, generation, index } => {
                write!(formatter, "{}g{generation:04}-c{index:03}", restart_prefix(*restart))
            }
            Self::Mean { restart, generation } => {
                write!(formatter, "{}mean-g{generation:04}", restart_prefix(*restart))
            }
            Self::Final(subject) => write!(formatter, "final-{subject}"),
        }
    }
}

/// A text that names no trial.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "{text:?} names no trial: expected a name such as g0004-c012, single-NAME, uniform, greedy-03 or mean-g0013"
)]
pub struct TrialIdError {
    text: String,
}

impl FromStr for TrialId {
    type Err = TrialIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // The canonical text alone is accepted, so that one trial has one name.
        parse(text).filter(|id| id.to_string() == text).ok_or_else(|| TrialIdError { text: text.to_owned() })
    }
}

fn parse(text: &str) -> Option<TrialId> {
    if let Some(subject) = text.strip_prefix("final-") {
        return match parse(subject)? {
            TrialId::Final(_) => None,
            subject => Some(TrialId::Final(Box::new(subject))),
        };
    }
    if let Some(name) = text.strip_prefix("single-") {
        return CheckpointName::try_from(name).ok().map(TrialId::Single);
    }
    if let Some(name) = text.strip_prefix("baseline-") {
        return CheckpointName::try_from(name).ok().map(TrialId::Own);
    }
    if let Some(size) = text.strip_prefix("soup-") {
        return size.parse().ok().map(TrialId::Soup);
    }
    if let Some(step) = text.strip_prefix("greedy-") {
        return step.parse().ok().map(TrialId::Greedy);
    }
    match text {
        "base" => return Some(TrialId::Base),
        "uniform" => return Some(TrialId::Uniform),
        _ => {}
    }
    let (restart, rest) = match text.strip_prefix('r') {
        Some(rest) => rest.split_once('-').and_then(|(number, rest)| Some((number.parse().ok()?, rest)))?,
        None => (0, text),
    };
    if let Some(generation) = rest.strip_prefix("mean-g") {
        return Some(TrialId::Mean { restart, generation: generation.parse().ok()? });
    }
    let (generation, index) = rest.strip_prefix('g')?.split_once("-c")?;
    Some(TrialId::Candidate { restart, generation: generation.parse().ok()?, index: index.parse().ok()? })
}

impl TryFrom<String> for TrialId {
    type Error = TrialIdError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<TrialId> for String {
    fn from(id: TrialId) -> Self {
        id.to_string()
    }
}

/// Work for an executor: merge the recipe once, evaluate it in each stage.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// The identity; results are told under it.
    pub id: TrialId,
    /// What to merge.
    pub recipe: Recipe,
    /// Where to evaluate it, in this order.
    pub stages: Vec<Stage>,
}

/// What an executor found out about a trial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TrialResult {
    /// Which trial.
    pub id: TrialId,
    /// Scores or the reason of the failure.
    pub outcome: TrialOutcome,
    /// GPU seconds spent on it, all attempts together.
    #[serde(default)]
    pub gpu_seconds: f64,
    /// When it ran; `None` when nobody saw, and in journals of versions that did not note it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<TrialTime>,
}

/// When a trial ran, for people only: nothing is decided by it, and the same search takes the same course at another
/// time. Seconds since the Unix epoch, in UTC; of the attempt that gave the result.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TrialTime {
    /// It began, with its merge; on a cluster, when it had a node.
    pub started: f64,
    /// It was merged. `None` when the merge failed or nobody saw its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merged: Option<f64>,
    /// Its last evaluation ended, or whatever made it fail.
    pub ended: f64,
}

/// How a trial ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum TrialOutcome {
    /// Evaluated in every stage.
    Succeeded(Vec<StageScores>),
    /// The evaluator's or the merge's own failure, in one sentence; ranks last.
    Failed(String),
}

/// The scores of one stage, in the order of the configuration's objectives (`search`, `test`) or held-out metrics.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StageScores {
    /// The stage.
    pub stage: Stage,
    /// One measurement for each metric of the stage.
    pub scores: Vec<Measurement>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_identity_reads_back_from_its_text() {
        let candidate = TrialId::Candidate { restart: 1, generation: 4, index: 12 };
        for (id, text) in [
            (TrialId::Single(CheckpointName::try_from("sft-1").unwrap()), "single-sft-1"),
            (TrialId::Base, "base"),
            (TrialId::Uniform, "uniform"),
            (TrialId::Own(CheckpointName::try_from("production").unwrap()), "baseline-production"),
            (TrialId::Soup(4), "soup-4"),
            (TrialId::Greedy(3), "greedy-03"),
            (TrialId::Candidate { restart: 0, generation: 4, index: 12 }, "g0004-c012"),
            (candidate.clone(), "r1-g0004-c012"),
            (TrialId::Mean { restart: 0, generation: 13 }, "mean-g0013"),
            (TrialId::Final(Box::new(candidate)), "final-r1-g0004-c012"),
        ] {
            assert_eq!(id.to_string(), text);
            assert_eq!(text.parse::<TrialId>().unwrap(), id);
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "g4-c12", "r0-g0004-c012", "final-final-base", "single-", "soup-04", "Base"] {
            assert!(text.parse::<TrialId>().is_err(), "{text:?}");
        }
    }
}
