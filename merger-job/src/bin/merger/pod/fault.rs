//! What went wrong in a pod: who can do something about it, said in one sentence.

use std::fmt::Display;

use mergesearch_merger::{Error, Fault, StorageError, printable};
use mergesearch_search::contract::{FaultClass, exit_code};

/// Why a step has no answer.
#[derive(Debug)]
pub(super) struct PodFault {
    pub(super) class: FaultClass,
    /// One sentence.
    pub(super) message: String,
    /// Whether this very process may succeed when it tries again.
    pub(super) retry: bool,
}

impl PodFault {
    pub(super) fn new(class: FaultClass, message: &impl Display) -> Self {
        Self { class, message: printable(&message.to_string()), retry: false }
    }

    /// Something that no recipe, pool or evaluator did.
    pub(super) fn other(message: &impl Display) -> Self {
        Self::new(FaultClass::Other, message)
    }

    /// Storage that denies access or fails.
    pub(super) fn storage(error: &StorageError) -> Self {
        Self { retry: error.fault.is_transient(), ..Self::new(FaultClass::Storage, error) }
    }

    /// What is found before a search begins: what is wrong with the pool was wrong with it from the start.
    pub(super) fn of_preflight(error: &Error) -> Self {
        match (error.storage(), error) {
            (Some(error), _) => Self::storage(error),
            (None, Error::Task(_)) => Self::other(error),
            (None, _) => Self::new(FaultClass::Input, error),
        }
    }

    /// What is found while merging a pool that preflight accepted: what is now wrong with a checkpoint was right then.
    pub(super) fn of_merge(error: &Error) -> Self {
        let class = match error.storage().map(|error| &error.fault) {
            Some(Fault::Changed { .. }) => FaultClass::PoolChanged,
            Some(Fault::Full) => FaultClass::Scratch,
            Some(_) => FaultClass::Storage,
            None => match error {
                Error::Checkpoint { .. } | Error::Place(_) | Error::Pool(_) => FaultClass::PoolChanged,
                Error::Task(_) => FaultClass::Other,
                _ => FaultClass::Input,
            },
        };
        // A full volume does not empty itself.
        let retry = error.is_transient() && class != FaultClass::Scratch;
        Self { retry, ..Self::new(class, error) }
    }

    /// What is found while merging straight into storage, without a scratch volume: what is full is where the model goes.
    pub(super) fn of_merge_into_storage(error: &Error) -> Self {
        let fault = Self::of_merge(error);
        let class = if fault.class == FaultClass::Scratch { FaultClass::Storage } else { fault.class };
        Self { class, ..fault }
    }

    /// What is found while a candidate is taken from the handoff.
    pub(super) fn of_fetch(error: &Error) -> Self {
        let fault = Self::of_merge(error);
        let class = match error.storage().map(|error| &error.fault) {
            // It was whole a moment ago.
            Some(Fault::NotFound(_) | Fault::Changed { .. }) => FaultClass::Candidate,
            _ if fault.class == FaultClass::Scratch => FaultClass::Scratch,
            _ => FaultClass::Storage,
        };
        Self { class, ..fault }
    }

    /// How the process ends.
    pub(super) const fn exit_code(&self) -> i32 {
        match self.class {
            FaultClass::Input | FaultClass::Results => exit_code::BAD_INPUT,
            FaultClass::PoolChanged => exit_code::POOL_CHANGED,
            FaultClass::Candidate => exit_code::CANDIDATE_LOST,
            FaultClass::Storage | FaultClass::Scratch | FaultClass::Other => exit_code::TRANSIENT,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stops_a_merge_is_told_apart_by_who_can_mend_it() {
        let of_storage = |fault| Error::Storage(StorageError { location: "file:///model".to_owned(), fault });
        let changed = || Fault::Changed { pinned: "one".to_owned(), found: "two".to_owned() };
        for (error, class, code, retry) in [
            (of_storage(Fault::Full), FaultClass::Scratch, 75, false),
            (of_storage(Fault::Failed(String::new())), FaultClass::Storage, 75, true),
            (of_storage(Fault::AccessDenied(String::new())), FaultClass::Storage, 75, false),
            (of_storage(changed()), FaultClass::PoolChanged, 66, false),
            (Error::OutputExists(String::new()), FaultClass::Input, 65, false),
            (Error::Task(String::new()), FaultClass::Other, 75, true),
        ] {
            let fault = PodFault::of_merge(&error);
            assert_eq!((fault.class, fault.exit_code(), fault.retry), (class, code, retry), "{error}");
        }
    }
}
