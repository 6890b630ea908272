//! Measures merges of a generated pool beside what the machine does at best: reading the same bytes, and copying them.
//! Prints a Markdown table. `make bench` runs it.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark that can't run has nothing to say"
)]

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;
use std::time::Instant;

use mergesearch_tests::{Finished, Pool, Shape, file_uri, merger};
use tempfile::TempDir;

const RUNS: usize = 3;

fn main() {
    let shape = Shape { layers: 8, hidden: 1024, feed_forward: 2816, vocabulary: 16_384, shards: 2 };
    let (pool, folder) = (Pool::generate(shape, 4), TempDir::new().unwrap());
    let sources: Vec<_> = pool.names().iter().map(|name| pool.folder(name)).collect();
    let one = pool.size() / 4;

    println!(
        "Pool: 4 checkpoints of {} MB, bf16, on local disk and in the page cache. Best of {RUNS} runs.\n",
        one / 1_000_000
    );
    println!("| what | seconds | input MB/s | peak memory |\n|---|---|---|---|");
    row("read all four", pool.size(), || {
        for source in &sources {
            copy(source, None);
        }
        None
    });
    row("read all four, write one", pool.size(), || {
        for source in &sources[1..] {
            copy(source, None);
        }
        let output = folder.path().join("copy");
        fs::create_dir_all(&output).unwrap();
        copy(&sources[0], Some(&output));
        None
    });

    let all = pool.linear_recipe(|name| file_uri(&pool.folder(name)));
    let two = |name: &str| file_uri(&pool.folder(name));
    let slerp = format!(
        "merge_method: slerp\nbase_model: {a}\nmodels:\n  - model: {a}\n  - model: {b}\nparameters:\n  t: 0.4\n\
         dtype: float32\nout_dtype: bfloat16\n",
        a = two("a"),
        b = two("b"),
    );
    for (what, recipe, input) in
        [("linear, 4 checkpoints", &all, pool.size()), ("slerp, 2 checkpoints", &slerp, pool.size() / 2)]
    {
        let path = folder.path().join("recipe.yaml");
        fs::write(&path, recipe).unwrap();
        for budget in ["128MiB", "512MiB"] {
            row(&format!("`merger`, {what}, {budget}"), input, || {
                Some(merge(&path, &folder.path().join("merged"), budget))
            });
        }
    }
}

fn merge(recipe: &Path, output: &Path, budget: &str) -> Finished {
    let (recipe, output) = (recipe.to_str().unwrap(), file_uri(output));
    let options =
        ["merge", "--overwrite", "--memory-budget", budget, "--recipe", recipe, "--output", &output];
    let finished = merger().args(options).run();
    finished.assert_code(0);
    finished
}

/// Runs it and prints its line.
fn row(what: &str, input: u64, run: impl Fn() -> Option<Finished>) {
    let measure = |_| {
        let begun = Instant::now();
        let finished = run();
        (begun.elapsed().as_secs_f64(), finished.map(|finished| finished.peak_memory))
    };
    let runs: Vec<_> = (0..RUNS).map(measure).collect();
    let seconds = runs.iter().map(|(seconds, _)| *seconds).fold(f64::INFINITY, f64::min);
    let peak = runs.iter().filter_map(|(_, peak)| *peak).max();
    let peak = peak.map_or_else(String::new, |peak| format!("{} MiB", peak >> 20));
    println!("| {what} | {seconds:.2} | {:.0} | {peak} |", input as f64 / 1e6 / seconds);
}

/// Reads every file through a buffer, and writes it too when there is an output. Not `io::copy`, which has the kernel pass
/// pages on unread.
fn copy(folder: &Path, output: Option<&Path>) {
    let mut buffer = vec![0; 1 << 20];
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let mut source = File::open(entry.path()).unwrap();
        let mut target = output.map(|output| File::create(output.join(entry.file_name())).unwrap());
        loop {
            let count = source.read(&mut buffer).unwrap();
            if count == 0 {
                break;
            }
            if let Some(target) = &mut target {
                target.write_all(&buffer[..count]).unwrap();
            }
        }
    }
}
