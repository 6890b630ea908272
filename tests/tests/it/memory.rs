//! The memory of a merge is bounded by its budget, not by the pool; taken from the kernel when `merger` ends.

use std::fs;

use mergesearch_tests::{Pool, Shape, file_uri};
use tempfile::TempDir;

use crate::world::merge;

const MIB: u64 = 1 << 20;
const BUDGET: u64 = 16 * MIB;
/// The program itself: its code, its runtime's threads, headers and the allocator's slack.
const PROGRAM: u64 = 24 * MIB;

/// The pool's size and the most memory that merging it took.
fn peak_of_merge(layers: usize, checkpoints: usize) -> (u64, u64) {
    // The embeddings alone are as large as the budget: no tensor has to fit.
    let shape = Shape { layers, hidden: 512, feed_forward: 1024, vocabulary: 16 * 1024, shards: 2 };
    let (pool, folder) = (Pool::generate(shape, checkpoints), TempDir::new().unwrap());
    let recipe = folder.path().join("recipe.yaml");
    fs::write(&recipe, pool.linear_recipe(|name| file_uri(&pool.folder(name)))).unwrap();
    let output = file_uri(&folder.path().join("merged"));
    let budget = format!("{}MiB", BUDGET / MIB);
    let finished = merge(&recipe, &output, Vec::new(), &["--memory-budget", &budget]);
    finished.assert_code(0);
    (pool.size(), finished.peak_memory)
}

#[test]
fn a_pool_ten_times_the_budget_and_one_thirty_times_take_the_same_memory() {
    let (small, small_peak) = peak_of_merge(6, 3);
    let (large, large_peak) = peak_of_merge(24, 4);
    assert!(small > 10 * BUDGET && large > 30 * BUDGET, "pools of {small} and {large} bytes");
    for (size, peak) in [(small, small_peak), (large, large_peak)] {
        assert!(peak < BUDGET + PROGRAM, "{} MiB for a pool of {} MiB", peak / MIB, size / MIB);
    }
    assert!(large_peak < small_peak + 4 * MIB, "{} MiB, then {} MiB", small_peak / MIB, large_peak / MIB);
}
