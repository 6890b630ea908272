//! Which checkpoints of the quickstart a search may merge.

use mergesearch_crds::CheckpointSource;
use mergesearch_search::random::Stream;

use crate::settings::{BAD, Checkpoints};

/// The kinds of checkpoints, by the beginnings of their names. Each gives half of a drawn pool.
const KINDS: [&str; 2] = ["sft-", "pref-"];

/// Keeps the checkpoints of the choice, in the manifest's order.
///
/// What is drawn depends on the seed alone, and a smaller pool of a seed is part of its larger ones.
pub fn choose(checkpoints: Vec<CheckpointSource>, choice: Checkpoints, seed: u64) -> Vec<CheckpointSource> {
    match choice {
        Checkpoints::All => checkpoints,
        Checkpoints::WithoutBad => {
            checkpoints.into_iter().filter(|checkpoint| !BAD.contains(&checkpoint.name.as_str())).collect()
        }
        Checkpoints::Drawn(count) => {
            let drawn: Vec<String> =
                KINDS.iter().flat_map(|kind| draw(&checkpoints, kind, count / KINDS.len(), seed)).collect();
            checkpoints.into_iter().filter(|checkpoint| drawn.contains(&checkpoint.name)).collect()
        }
    }
}

/// Names of one kind: the first of a random order.
fn draw(checkpoints: &[CheckpointSource], kind: &str, count: usize, seed: u64) -> Vec<String> {
    let mut random = Stream::new(seed, &format!("study pool {kind}"));
    let names = checkpoints.iter().map(|checkpoint| &checkpoint.name).filter(|name| name.starts_with(kind));
    let mut ordered: Vec<(f64, &String)> = names.map(|name| (random.uniform(), name)).collect();
    ordered.sort_by(|one, other| one.0.total_cmp(&other.0));
    ordered.into_iter().take(count).map(|(_, name)| name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn pool() -> Vec<CheckpointSource> {
        let names = KINDS.iter().flat_map(|kind| (1..=8).map(move |number| format!("{kind}{number}")));
        let mut pool: Vec<CheckpointSource> =
            names.map(|name| CheckpointSource { uri: format!("file:///{name}"), name }).collect();
        pool[6].name = "sft-7-early-stop".into();
        pool
    }

    fn names(choice: Checkpoints, seed: u64) -> Vec<String> {
        choose(pool(), choice, seed).into_iter().map(|checkpoint| checkpoint.name).collect()
    }

    #[test]
    fn drawn_pools_have_both_kinds_and_smaller_ones_lie_in_larger_ones() {
        for seed in 1..=20 {
            let (four, eight) = (names(Checkpoints::Drawn(4), seed), names(Checkpoints::Drawn(8), seed));
            assert_eq!((four.len(), eight.len()), (4, 8));
            assert!(four.iter().all(|name| eight.contains(name)));
            for kind in KINDS {
                assert_eq!(eight.iter().filter(|name| name.starts_with(kind)).count(), 4);
            }
            assert_eq!(eight, names(Checkpoints::Drawn(8), seed));
        }
        let different: BTreeSet<Vec<String>> =
            (1..=20).map(|seed| names(Checkpoints::Drawn(8), seed)).collect();
        assert!(different.len() > 10, "{} different pools of 20", different.len());
    }

    #[test]
    fn the_bad_ones_can_be_left_out() {
        assert_eq!(names(Checkpoints::All, 1).len(), 16);
        let kept = names(Checkpoints::WithoutBad, 1);
        assert_eq!(kept.len(), 15);
        assert!(!kept.contains(&"sft-7-early-stop".to_owned()));
    }
}
