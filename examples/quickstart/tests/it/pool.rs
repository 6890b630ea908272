//! The pool as it is shipped: every checkpoint of the plan, loadable, small, and with abilities that differ.

use std::path::PathBuf;

use mergesearch_quickstart::checkpoint::Checkpoint;
use mergesearch_quickstart::evaluation::evaluate;
use mergesearch_quickstart::model::Model;
use mergesearch_quickstart::plan;
use mergesearch_quickstart::tasks::{Stage, Task};

/// The folder of a shipped checkpoint.
pub(crate) fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("pool").join(name)
}

fn score(checkpoint: &Checkpoint, task: Task) -> f64 {
    let model = Model::new(&checkpoint.config, &checkpoint.parameters).unwrap();
    let answers = evaluate(&model, &Stage::Test.items(task, 200)).unwrap();
    answers.iter().filter(|answer| answer.correct).count() as f64 / 200.0
}

#[test]
fn every_checkpoint_of_the_plan_is_there_in_bf16_and_all_files() {
    for name in plan::branches().iter().map(|branch| branch.name).chain(["ancestor"]) {
        let checkpoint = Checkpoint::load(&folder(name)).unwrap();
        let elements: usize = checkpoint.parameters.values().map(candle_core::Tensor::elem_count).sum();
        let bytes = std::fs::metadata(folder(name).join("model.safetensors")).unwrap().len();
        assert!((2 * elements as u64..2 * elements as u64 + 8_192).contains(&bytes), "{name}: {bytes}");
        for file in
            ["generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"]
        {
            assert!(folder(name).join(file).exists(), "{name} lacks {file}");
        }
    }
}

#[test]
fn the_ancestor_masters_the_old_tasks_and_of_the_new_ones_only_addition() {
    let ancestor = Checkpoint::load(&folder("ancestor")).unwrap();
    for task in Task::OLD.into_iter().chain([Task::Addition]) {
        let score = score(&ancestor, task);
        assert!(score > 0.8, "{}: {score}", task.name());
    }
    for task in [Task::SortDescending, Task::ReverseIncrement] {
        let score = score(&ancestor, task);
        assert!(score < 0.4, "{}: {score}", task.name());
    }
}

#[test]
fn no_checkpoint_is_best_at_everything() {
    let scores: Vec<[f64; 3]> = plan::branches()
        .iter()
        .map(|branch| {
            let checkpoint = Checkpoint::load(&folder(branch.name)).unwrap();
            Task::NEW.map(|task| score(&checkpoint, task))
        })
        .collect();
    let best =
        std::array::from_fn::<_, 3, _>(|task| scores.iter().map(|scores| scores[task]).fold(0.0, f64::max));
    // 0.02 is more than chance on the best of sixteen.
    assert!(
        scores.iter().all(|scores| scores.iter().zip(best).any(|(score, best)| score + 0.02 < best)),
        "{scores:?}"
    );
}
