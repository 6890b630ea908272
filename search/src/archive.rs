//! The set of trials that no other trial beats in every objective.
//!
//! All objectives are maximised; callers flip the sign of those to be minimised.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Whether `a` is at least as good as `b` in every objective and better in one, larger being better.
pub fn dominates(a: &[f64], b: &[f64]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a >= b) && a.iter().zip(b).any(|(a, b)| a > b)
}

/// Mutually non-dominated trials, by id.
///
/// The content does not depend on the order of insertion: of trials with equal objectives all stay, and members come
/// in the order of their ids.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Archive {
    members: BTreeMap<String, Vec<f64>>,
}

impl Archive {
    /// Offers a trial and says whether it is now a member; those it dominates leave.
    ///
    /// A trial has one result: `objectives` that are not all finite, or that belong to an id which is a member
    /// already, change nothing.
    pub fn insert(&mut self, id: String, objectives: Vec<f64>) -> bool {
        if self.members.contains_key(&id) {
            return true;
        }
        let unfit = objectives.iter().any(|value| !value.is_finite());
        if unfit || self.members.values().any(|member| dominates(member, &objectives)) {
            return false;
        }
        self.members.retain(|_, member| !dominates(&objectives, member));
        self.members.insert(id, objectives);
        true
    }

    /// The members with their objectives, in the order of their ids.
    pub fn members(&self) -> impl Iterator<Item = (&str, &[f64])> {
        self.members.iter().map(|(id, objectives)| (id.as_str(), objectives.as_slice()))
    }

    /// Whether the trial is a member.
    pub fn contains(&self, id: &str) -> bool {
        self.members.contains_key(id)
    }

    /// The number of members.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether no trial has been accepted yet.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn domination_needs_one_better_objective_and_no_worse_one() {
        assert!(dominates(&[1.0, 2.0], &[1.0, 1.0]));
        assert!(!dominates(&[1.0, 1.0], &[1.0, 1.0]));
        assert!(!dominates(&[2.0, 0.0], &[1.0, 1.0]));
    }

    #[test]
    fn equal_trials_all_stay_and_unfit_ones_never_enter() {
        let mut archive = Archive::default();
        assert!(archive.insert("b".into(), vec![1.0, 0.0]));
        assert!(archive.insert("a".into(), vec![1.0, 0.0]));
        assert!(!archive.insert("c".into(), vec![0.5, 0.0]));
        assert!(!archive.insert("d".into(), vec![f64::NAN, 9.0]));
        assert!(!archive.insert("e".into(), vec![f64::INFINITY, 9.0]));
        assert!(archive.insert("a".into(), vec![7.0, 7.0]), "a is a member, with its first result");
        let members: Vec<_> = archive.members().collect();
        assert_eq!(members, [("a", [1.0, 0.0].as_slice()), ("b", [1.0, 0.0].as_slice())]);
    }

    /// Few distinct values, so that ties and domination are common; 1 to 4 objectives.
    fn trials() -> impl Strategy<Value = Vec<Vec<f64>>> {
        (1_usize..5).prop_flat_map(|objectives| {
            let value = (0_u8..5).prop_map(f64::from);
            prop::collection::vec(prop::collection::vec(value, objectives), 1..40)
        })
    }

    fn filled(trials: impl Iterator<Item = (usize, Vec<f64>)>) -> Archive {
        let mut archive = Archive::default();
        for (index, objectives) in trials {
            archive.insert(index.to_string(), objectives);
        }
        archive
    }

    proptest! {
        #[test]
        fn members_are_exactly_the_non_dominated_trials(trials in trials()) {
            let archive = filled(trials.iter().cloned().enumerate());
            for (index, trial) in trials.iter().enumerate() {
                let beaten = trials.iter().any(|other| dominates(other, trial));
                prop_assert_eq!(archive.contains(&index.to_string()), !beaten);
            }
        }

        #[test]
        fn the_order_of_insertion_does_not_matter(
            (trials, order) in trials().prop_flat_map(|trials| {
                let order: Vec<usize> = (0..trials.len()).collect();
                (Just(trials), Just(order).prop_shuffle())
            })
        ) {
            let in_order = filled(trials.iter().cloned().enumerate());
            let shuffled = filled(order.into_iter().map(|index| (index, trials[index].clone())));
            prop_assert_eq!(&in_order, &shuffled);
            let text = serde_json::to_string(&in_order).unwrap();
            prop_assert_eq!(serde_json::from_str::<Archive>(&text).unwrap(), shuffled);
        }
    }
}
