//! The rules of a search that its schema can't say, in Rust: the same in local runs, in `mergesearch validate` and in the
//! operator (`Accepted=False`).

mod budget;
mod contribution;
mod execution;
mod merge;
mod objectives;
mod pool;
mod template;
mod uri;

use crate::MergeSearch;
use crate::manifest::{Finding, Findings, ManifestErrors};

pub use budget::Plan;

/// Where a search will run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// On one machine: evaluators are child processes.
    Local,
    /// In a Kubernetes cluster.
    Cluster,
}

/// Checks a resource that comes from the API server, whose schema it already keeps. Gives what is allowed and probably
/// not meant.
///
/// # Errors
/// Every rule that does not hold.
pub fn check(resource: &MergeSearch, place: Place) -> Result<Vec<Finding>, ManifestErrors> {
    let mut findings = Findings::default();
    find(resource, place, &mut findings);
    if findings.errors.is_empty() { Ok(findings.warnings) } else { Err(ManifestErrors(findings.errors)) }
}

/// Adds an error for every rule that does not hold, and a warning for what is allowed and probably not meant.
pub(crate) fn find(resource: &MergeSearch, place: Place, findings: &mut Findings) {
    let spec = &resource.spec;
    name(resource, findings);
    pool::check(spec, findings);
    uri::check(spec, place, findings);
    merge::check(spec, findings);
    objectives::check(spec, findings);
    template::check(spec, place, findings);
    execution::check(spec, place, findings);
    budget::check(spec, findings);
    contribution::check(spec, findings);
}

fn name(resource: &MergeSearch, findings: &mut Findings) {
    const PATH: &str = "metadata.name";
    let Some(name) = resource.metadata.name.as_deref() else {
        findings.error(PATH, "required, but missing");
        return;
    };
    let edge = |character: char| character.is_ascii_lowercase() || character.is_ascii_digit();
    let valid = (1..=253).contains(&name.len())
        && name.chars().all(|character| edge(character) || character == '-' || character == '.')
        && name.starts_with(edge)
        && name.ends_with(edge);
    if !valid {
        findings.error(
            PATH,
            format!("expected 1 to 253 lower-case letters, digits, '-' and '.' between letters or digits, found {name:?}"),
        );
    }
}
