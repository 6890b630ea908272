//! What a Job of a search is for, and the names and labels that follow from it.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use mergesearch_crds::labels;
use mergesearch_recipe::Recipe;
use mergesearch_search::{Trial, TrialId};
use sha2::{Digest as _, Sha256};

/// The longest name of a Job: it becomes the value of a label on its pods.
const NAME_LENGTH: usize = 63;
/// Hexadecimal digits that keep names apart which were shortened to the same text.
const HASH_LENGTH: usize = 8;

/// What a Job is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Reads the pool's headers and tries the output.
    Preflight,
    /// Merges candidates that other pods evaluate.
    Merge,
    /// Evaluates one candidate, which it merges itself or takes from the handoff.
    Trial,
    /// Reads the report of a trial whose message was lost.
    Collect,
    /// Publishes a merge.
    Publish,
    /// Deletes the candidates that are still in the handoff when a search ends.
    Discard,
    /// Deletes everything that a search left.
    Cleanup,
}

impl Role {
    /// The value of [`labels::ROLE`].
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Preflight => "preflight",
            Self::Merge => "merge",
            Self::Trial => "trial",
            Self::Collect => "collect",
            Self::Publish => "publish",
            Self::Discard => "discard",
            Self::Cleanup => "cleanup",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let all = [
            Self::Preflight,
            Self::Merge,
            Self::Trial,
            Self::Collect,
            Self::Publish,
            Self::Discard,
            Self::Cleanup,
        ];
        all.into_iter().find(|role| role.as_str() == text).ok_or(())
    }
}

/// Which piece of work of a search a Job does. One key has at most one Job at a time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobKey {
    /// What it is for.
    pub role: Role,
    /// The trial, for roles that have one; the first of those whose candidates are merged together.
    pub trial: Option<TrialId>,
    /// Which attempt, from 0.
    pub attempt: u32,
}

/// A Job that should exist.
#[derive(Debug, Clone, PartialEq)]
pub enum Work {
    /// See [`Role::Preflight`].
    Preflight,
    /// See [`Role::Merge`]; trials whose recipes can be merged in one pass, at least one.
    Merge(Vec<Trial>),
    /// See [`Role::Trial`].
    Trial(Trial),
    /// See [`Role::Collect`]; the trial whose report is read.
    Collect(Trial),
    /// See [`Role::Publish`].
    Publish {
        /// The trial.
        trial: TrialId,
        /// What it merges.
        recipe: Recipe,
        /// For the model card: names of scores and their values as text.
        scores: Vec<(String, String)>,
    },
    /// See [`Role::Discard`].
    Discard,
    /// See [`Role::Cleanup`].
    Cleanup,
}

impl Work {
    /// What it is for.
    pub const fn role(&self) -> Role {
        match self {
            Self::Preflight => Role::Preflight,
            Self::Merge(_) => Role::Merge,
            Self::Trial(_) => Role::Trial,
            Self::Collect(_) => Role::Collect,
            Self::Publish { .. } => Role::Publish,
            Self::Discard => Role::Discard,
            Self::Cleanup => Role::Cleanup,
        }
    }

    /// Its key at an attempt.
    pub fn key(&self, attempt: u32) -> JobKey {
        let trial = match self {
            Self::Trial(trial) | Self::Collect(trial) => Some(trial.id.clone()),
            Self::Publish { trial, .. } => Some(trial.clone()),
            Self::Merge(trials) => trials.first().map(|trial| trial.id.clone()),
            Self::Preflight | Self::Discard | Self::Cleanup => None,
        };
        JobKey { role: self.role(), trial, attempt }
    }
}

impl JobKey {
    /// The name of its Job: readable, at most 63 characters, and the same whenever it is asked for.
    pub fn name(&self, search: &str, uid: &str) -> String {
        let what = match (self.role, &self.trial) {
            (Role::Trial, Some(trial)) => trial.to_string(),
            (role, Some(trial)) => format!("{role}-{trial}"),
            (role, None) => role.to_string(),
        };
        let attempt = if self.attempt == 0 { String::new() } else { format!("-a{}", self.attempt) };
        let whole = format!("{uid}/{what}{attempt}");
        // A pod's hostname comes from it, which has no dots. The hash tells apart what then reads alike.
        let what = what.replace('.', "-");
        let tail = format!("{attempt}-{}", &hexadecimal(&Sha256::digest(whole))[..HASH_LENGTH]);
        // The search's name gives way first: the trial says more.
        let room = NAME_LENGTH - tail.len();
        let what = cut(&what, room - 2);
        let search = cut(search, room - what.len() - 1);
        format!("{search}-{what}{tail}")
    }

    /// The labels of its Job and pods.
    pub fn labels(&self, search: &str, uid: &str) -> BTreeMap<String, String> {
        let mut labels = BTreeMap::from([
            (labels::SEARCH.to_owned(), label_value(search)),
            (labels::SEARCH_UID.to_owned(), uid.to_owned()),
            (labels::ROLE.to_owned(), self.role.to_string()),
            (labels::ATTEMPT.to_owned(), self.attempt.to_string()),
            (labels::MANAGED_BY.to_owned(), labels::OPERATOR.to_owned()),
        ]);
        if let Some(trial) = &self.trial {
            labels.insert(labels::TRIAL.to_owned(), label_value(&trial.to_string()));
        }
        if let Some(TrialId::Candidate { generation, .. }) = &self.trial {
            labels.insert(labels::GENERATION.to_owned(), generation.to_string());
        }
        labels
    }
}

impl fmt::Display for JobKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.trial {
            Some(trial) => write!(formatter, "{} of {trial}, attempt {}", self.role, self.attempt),
            None => write!(formatter, "{}, attempt {}", self.role, self.attempt),
        }
    }
}

/// A text as the value of a label: shortened with a hash above 63 characters.
pub fn label_value(text: &str) -> String {
    if text.len() <= NAME_LENGTH {
        return text.to_owned();
    }
    let hash = &hexadecimal(&Sha256::digest(text))[..HASH_LENGTH];
    format!("{}-{hash}", cut(text, NAME_LENGTH - HASH_LENGTH - 1))
}

/// The beginning of a text, which is ASCII, without separators at its end.
fn cut(text: &str, length: usize) -> &str {
    text[..text.floor_char_boundary(length)].trim_end_matches(['-', '.'])
}

/// Lower-case hexadecimal digits of bytes.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a String can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(role: Role, trial: &str, attempt: u32) -> JobKey {
        JobKey { role, trial: Some(trial.parse().unwrap()), attempt }
    }

    #[test]
    fn names_are_valid_and_tell_all_keys_apart() {
        let long = "l".repeat(63);
        let single = format!("final-single-{long}");
        let without = format!("without-{long}.baseline-{long}");
        let mut names = std::collections::BTreeSet::new();
        let searches = ["recycle", "a.b", &"s".repeat(253)];
        for search in searches {
            for uid in ["1", "2"] {
                for trial in [
                    "g0004-c012",
                    "uniform",
                    "without-a.g0004-c012",
                    &single,
                    &without,
                    "without-a.r1-g0001-c000",
                    "without-a-r1.g0001-c000",
                ] {
                    for role in [Role::Merge, Role::Trial, Role::Collect, Role::Publish] {
                        for attempt in [0, 1, 12] {
                            let name = key(role, trial, attempt).name(search, uid);
                            assert!(name.len() <= 63, "{name}");
                            assert!(name.starts_with(|c: char| c.is_ascii_alphanumeric()), "{name}");
                            assert!(names.insert(name));
                        }
                    }
                }
            }
        }
        let name = key(Role::Trial, "g0004-c012", 1).name("recycle", "1");
        assert!(name.starts_with("recycle-g0004-c012-a1-"), "{name}");
        let name = key(Role::Trial, "without-sft-code.g0004-c012", 0).name("recycle", "1");
        assert!(name.starts_with("recycle-without-sft-code-g0004-c012-"), "{name}");
    }

    #[test]
    fn labels_hold_63_characters_and_stay_apart() {
        let one = label_value(&format!("{}a", "s".repeat(80)));
        let other = label_value(&format!("{}b", "s".repeat(80)));
        assert_eq!((one.len(), other.len()), (63, 63));
        assert_ne!(one, other);
        assert_eq!(label_value("recycle"), "recycle");
    }
}
