//! What is trained: one ancestor, and sixteen branches of it that trade the new tasks against each other.
//!
//! Merging needs branches that stay in one valley of the loss: the ancestor already knows a little of every new task, branches are short, and
//! every mix keeps some of every task. Specialists trained on one task alone tend to end too far apart for that.

use crate::tasks::Task;
use crate::training::{Course, Mix, Schedule};

/// A checkpoint of the pool: where it starts and how it is trained.
#[derive(Debug, Clone, PartialEq)]
pub struct Branch {
    /// The folder's and the checkpoint's name.
    pub name: &'static str,
    /// The branch it starts from; none is the ancestor.
    pub parent: Option<&'static str>,
    /// Its training.
    pub course: Course,
}

/// Share of the items that each old task keeps in every branch.
const OLD_SHARE: f64 = 0.05;

/// The ancestor's training: the old tasks, with addition, the slowest of the new ones, beside them; then a first taste of all new tasks.
///
/// It ends near 90 % on addition, 26 % on `sort_descending` and 2 % on `reverse_increment`. The branches disturb addition, and merging brings
/// much of it back; an ancestor that had only begun to add (34 %) gave pools where a search gained less over the greedy soup.
pub fn ancestor() -> [Course; 2] {
    let first = Course {
        steps: 1_500,
        batch: 64,
        learning_rate: 3e-3,
        schedule: Schedule::WarmupCosine,
        mix: mix(1.0, [0.0, 0.0, 2.0]),
        random_answers: 0.0,
        seed: 50,
    };
    let second = Course {
        steps: 100,
        learning_rate: 6e-4,
        schedule: Schedule::Constant,
        mix: mix(0.12, [0.25, 0.08, 0.20]),
        ..first.clone()
    };
    [first, second]
}

/// Name, parent, steps, learning rate, and the shares of `sort_descending`, `reverse_increment` and addition.
type Spec = (&'static str, Option<&'static str>, u32, f64, [f64; 3]);

/// The pool in the order of the manifest; a parent stands before its children.
pub fn branches() -> Vec<Branch> {
    let specs: [Spec; 16] = [
        ("sft-1", None, 20, 1e-3, [0.70, 0.15, 0.15]),
        ("sft-2", None, 15, 1.2e-3, [0.15, 0.70, 0.15]),
        ("sft-3", None, 20, 1.5e-3, [0.15, 0.15, 0.70]),
        ("sft-4", None, 20, 1.2e-3, [0.70, 0.15, 0.15]),
        ("sft-5", None, 10, 1.5e-3, [0.15, 0.70, 0.15]),
        ("sft-6", None, 20, 1.2e-3, [0.15, 0.15, 0.70]),
        ("sft-7-early-stop", None, 5, 1e-3, [0.70, 0.15, 0.15]),
        ("sft-8-random-labels", None, 30, 3e-3, [0.15, 0.70, 0.15]),
        ("pref-1", Some("sft-1"), 15, 1e-3, [0.15, 0.70, 0.15]),
        ("pref-2", Some("sft-6"), 55, 1e-3, [0.40, 0.15, 0.45]),
        ("pref-3", Some("sft-3"), 10, 1.2e-3, [0.70, 0.15, 0.15]),
        ("pref-4", Some("sft-4"), 15, 1e-3, [0.15, 0.15, 0.70]),
        ("pref-5", Some("sft-5"), 15, 1.2e-3, [0.70, 0.15, 0.15]),
        ("pref-6", Some("sft-2"), 15, 1e-3, [0.15, 0.70, 0.15]),
        ("pref-7", Some("sft-1"), 10, 1.5e-3, [0.70, 0.15, 0.15]),
        ("pref-8-off-task", Some("sft-2"), 25, 1.5e-3, [0.0, 0.0, 0.0]),
    ];
    specs
        .into_iter()
        .zip(100..)
        .map(|((name, parent, steps, learning_rate, new), seed)| Branch {
            name,
            parent,
            course: Course {
                steps,
                batch: 32,
                learning_rate,
                schedule: Schedule::Constant,
                mix: mix(OLD_SHARE, new),
                random_answers: if name.ends_with("random-labels") { 0.7 } else { 0.0 },
                seed,
            },
        })
        .collect()
}

/// The same share for each old task, and one for each new task.
fn mix(old: f64, new: [f64; Task::NEW.len()]) -> Mix {
    let [first, second, third] = new;
    [old, old, old, old, first, second, third]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn sixteen_different_names_and_every_parent_stands_before_its_children() {
        let mut names = BTreeSet::new();
        for Branch { name, parent, course: _ } in branches() {
            assert!(parent.is_none_or(|parent| names.contains(parent)), "{name} starts from {parent:?}");
            assert!(names.insert(name), "{name} occurs twice");
        }
        assert_eq!(names.len(), 16);
    }

    #[test]
    fn no_branch_is_trained_evenly_on_the_new_tasks() {
        for Branch { name, course, .. } in branches() {
            let [.., first, second, third] = course.mix;
            let even = (first - second).abs() < 0.1 && (second - third).abs() < 0.1;
            assert!(!even || name.ends_with("off-task"), "{name}");
        }
    }
}
