//! Which merge people want taken apart: what each of its checkpoints contributes is measured by leaving it out.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::trial::{TrialId, TrialIdError};

/// The merge whose checkpoints are left out one at a time; as text `best` or the merge's trial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ContributionOf {
    /// The searched merge with the best search fitness, whichever it is in the end.
    Best,
    /// A search trial that merges: no checkpoint as it is. Whether the search has it shows in the end.
    Trial(TrialId),
}

/// Why a text names no merge to take apart.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ContributionOfError {
    /// The text is neither `best` nor the name of a trial.
    #[error("expected best or a trial such as g0004-c012, found {0:?}")]
    Name(String),
    /// The trial merges nothing, or is itself a part of the final scores.
    #[error(
        "expected best or the trial of a merge such as g0004-c012, found {0}: there is nothing to leave out"
    )]
    NoMerge(TrialId),
}

impl fmt::Display for ContributionOf {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Best => formatter.write_str("best"),
            Self::Trial(id) => id.fmt(formatter),
        }
    }
}

impl FromStr for ContributionOf {
    type Err = ContributionOfError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "best" {
            return Ok(Self::Best);
        }
        let id: TrialId =
            text.parse().map_err(|_: TrialIdError| ContributionOfError::Name(text.to_owned()))?;
        if !id.is_of_search() || matches!(id, TrialId::Single(_) | TrialId::Base) {
            return Err(ContributionOfError::NoMerge(id));
        }
        Ok(Self::Trial(id))
    }
}

impl TryFrom<String> for ContributionOf {
    type Error = ContributionOfError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<ContributionOf> for String {
    fn from(of: ContributionOf) -> Self {
        of.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merges_read_back_from_their_text() {
        for text in [
            "best",
            "g0004-c012",
            "r1-g0004-c012",
            "mean-g0013",
            "uniform",
            "soup-4",
            "greedy-03",
            "baseline-a",
        ] {
            assert_eq!(text.parse::<ContributionOf>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_merges_nothing_is_refused_with_the_reason() {
        for (text, reason) in [
            ("Best", "found \"Best\""),
            ("g4", "found \"g4\""),
            ("single-a", "found single-a: there is nothing to leave out"),
            ("base", "found base: there is nothing to leave out"),
            ("final-uniform", "found final-uniform: "),
            ("without-a.uniform", "found without-a.uniform: "),
        ] {
            let error = text.parse::<ContributionOf>().unwrap_err().to_string();
            assert!(error.starts_with("expected best or ") && error.contains(reason), "{error}");
        }
    }
}
