//! What the conditions of a search say: what keeps it from going on, and how it has ended.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use mergesearch_crds::conditions::{
    ACCEPTED, COMPLETED, FAILED, POOL_VERIFIED, PROGRESSING, SUSPENDED, reason,
};
use mergesearch_crds::{MergeSearch, MergeSearchStatus};

/// What keeps a search from going on, one sentence each; none while it does what it should.
pub(super) fn hindrances(status: &MergeSearchStatus) -> Vec<String> {
    let hinders = |condition: &&Condition| {
        let Condition { type_, status, reason, .. } = *condition;
        match (type_.as_str(), status.as_str()) {
            (ACCEPTED | POOL_VERIFIED, "False") | (SUSPENDED, "True") => reason != reason::VERIFYING,
            // What other conditions say better is not said twice.
            (PROGRESSING, "False") => {
                ![reason::NOT_ACCEPTED, reason::SUSPENDED, reason::ENDED].contains(&reason.as_str())
            }
            _ => false,
        }
    };
    let hindering = status.conditions.iter().filter(hinders);
    hindering.map(|condition| format!("{}: {}", condition.reason, condition.message)).collect()
}

/// How a search has ended: `Ok` with a result, `Err` with why there is none; `None` while it goes on. What was said of
/// an older spec does not count: a budget that is raised lets a completed search go on.
pub(super) fn ending(resource: &MergeSearch) -> Option<Result<(), String>> {
    let status = resource.status.as_ref()?;
    if status.observed_generation < resource.metadata.generation {
        return None;
    }
    let is_true = |type_: &str| {
        status.conditions.iter().find(|condition| condition.type_ == type_ && condition.status == "True")
    };
    if let Some(Condition { reason, message, .. }) = is_true(FAILED) {
        return Some(Err(format!("the search failed ({reason}): {message}")));
    }
    is_true(COMPLETED).map(|_| Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::fixture::{Fixture, condition};

    #[test]
    fn only_what_keeps_a_search_from_going_on_hinders() {
        let mut status = MergeSearchStatus {
            conditions: vec![
                condition(ACCEPTED, "True", reason::VALID, "the spec keeps all rules"),
                condition(POOL_VERIFIED, "False", reason::VERIFYING, "headers are read"),
                condition(PROGRESSING, "True", reason::VERIFYING, "the pool is being verified"),
                condition(SUSPENDED, "False", reason::NOT_SUSPENDED, "spec.suspend is false"),
            ],
            ..MergeSearchStatus::default()
        };
        assert_eq!(hindrances(&status), [""; 0]);
        status.conditions[2] = condition(PROGRESSING, "False", reason::QUEUED, "pod p waits for a node");
        assert_eq!(hindrances(&status), ["Queued: pod p waits for a node"]);
        status.conditions[2] = condition(PROGRESSING, "False", reason::SUSPENDED, "suspended");
        status.conditions[3] =
            condition(SUSPENDED, "True", reason::SUSPENDED_BY_USER, "spec.suspend is true");
        assert_eq!(hindrances(&status), ["SuspendedByUser: spec.suspend is true"]);
    }

    #[test]
    fn a_search_has_ended_when_that_was_said_of_the_spec_as_it_is() {
        let Fixture { mut resource, .. } = Fixture::completed();
        assert_eq!(ending(&resource), Some(Ok(())));
        resource.metadata.generation = Some(2);
        assert_eq!(ending(&resource), None);
        resource.metadata.generation = Some(1);
        resource.status.as_mut().unwrap().conditions =
            vec![condition(FAILED, "True", reason::BASELINES_FAILED, "no baseline could be evaluated")];
        let sentence = "the search failed (BaselinesFailed): no baseline could be evaluated".to_owned();
        assert_eq!(ending(&resource), Some(Err(sentence)));
    }
}
