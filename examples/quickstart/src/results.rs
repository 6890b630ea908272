//! Results in the shape lm-evaluation-harness 0.4 writes them: `results_*.json` and one `samples_*.jsonl` per task.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::evaluation::Answered;
use crate::tasks::{Item, Task};

/// The metric's name in results.
pub const METRIC: &str = "exact_match";

/// A task's items and how the model did on each, in the same order.
#[derive(Debug)]
pub struct TaskResult {
    /// The task.
    pub task: Task,
    /// What was asked.
    pub items: Vec<Item>,
    /// What came back.
    pub answers: Vec<Answered>,
}

impl TaskResult {
    /// The fraction of right answers and its standard error (of a mean, from the sample's own variance); no error for a single item.
    pub fn score(&self) -> (f64, Option<f64>) {
        let count = self.answers.len() as f64;
        let mean = self.answers.iter().filter(|answer| answer.correct).count() as f64 / count;
        (mean, (count > 1.0).then(|| (mean * (1.0 - mean) / (count - 1.0)).sqrt()))
    }

    /// The lines of `samples_*.jsonl`.
    fn samples(&self) -> impl Iterator<Item = Value> {
        self.items.iter().zip(&self.answers).enumerate().map(|(id, (item, answer))| {
            let document = json!({"answer": item.answer, "prompt": item.prompt});
            json!({
                "doc_id": id,
                "doc": document,
                "target": item.answer,
                "arguments": {"gen_args_0": {"arg_0": item.prompt, "arg_1": {"until": ["</s>"], "do_sample": false}}},
                "resps": [[answer.response]],
                "filtered_resps": [answer.response],
                "filter": "none",
                "metrics": [METRIC],
                "doc_hash": hash(&format!("{document:#}")),
                "prompt_hash": hash(&item.prompt),
                "target_hash": hash(&item.answer),
                METRIC: f64::from(u8::from(answer.correct)),
            })
        })
    }
}

/// Writes all results under `folder/MODEL/`, the samples first, so that a results file means that everything is there. Returns that file.
///
/// MODEL is the model's path with the characters a file name may not have replaced, as the harness does it.
pub fn write(
    folder: &Path,
    model: &Path,
    results: &[TaskResult],
    started: &Timestamp,
    ended: &Timestamp,
) -> io::Result<PathBuf> {
    let model = model.display().to_string();
    let folder = folder.join(sanitised(&model));
    fs::create_dir_all(&folder)?;
    let date = ended.strftime("%Y-%m-%dT%H-%M-%S%.6f");
    for result in results {
        let mut file = BufWriter::new(fs::File::create(
            folder.join(format!("samples_{}_{date}.jsonl", result.task.name())),
        )?);
        for sample in result.samples() {
            writeln!(file, "{sample}")?;
        }
        file.flush()?;
    }
    let path = folder.join(format!("results_{date}.json"));
    let partial = folder.join(format!("results_{date}.partial"));
    fs::write(&partial, format!("{:#}\n", summary(&model, results, started, ended)))?;
    fs::rename(&partial, &path)?;
    Ok(path)
}

fn summary(model: &str, results: &[TaskResult], started: &Timestamp, ended: &Timestamp) -> Value {
    let by_task = |value: fn(&TaskResult) -> Value| -> Map<String, Value> {
        results.iter().map(|result| (result.task.name().to_owned(), value(result))).collect()
    };
    let seconds = |moment: &Timestamp| moment.as_nanosecond() as f64 / 1e9;
    json!({
        "results": by_task(|result| {
            let (score, error) = result.score();
            json!({
                "alias": result.task.name(),
                "exact_match,none": score,
                "exact_match_stderr,none": error.map_or_else(|| json!("N/A"), |error| json!(error)),
            })
        }),
        "group_subtasks": by_task(|_| json!([])),
        "configs": by_task(|result| json!({
            "task": result.task.name(),
            "doc_to_text": "{{prompt}}",
            "doc_to_target": "{{answer}}",
            "num_fewshot": 0,
            "output_type": "generate_until",
            "generation_kwargs": {"until": ["</s>"], "do_sample": false},
            "metric_list": [{"metric": METRIC, "aggregation": "mean", "higher_is_better": true}],
            "repeats": 1,
            "metadata": {"version": 1.0},
        })),
        "versions": by_task(|_| json!(1.0)),
        "n-shot": by_task(|_| json!(0)),
        "higher_is_better": by_task(|_| json!({METRIC: true})),
        "n-samples": by_task(|result| json!({"original": result.items.len(), "effective": result.items.len()})),
        "config": {"model": env!("CARGO_PKG_NAME"), "model_args": {"pretrained": model}, "model_dtype": "float32", "device": "cpu"},
        "date": seconds(started),
        "model_source": env!("CARGO_PKG_NAME"),
        "model_name": model,
        "model_name_sanitized": sanitised(model),
        "start_time": seconds(started),
        "end_time": seconds(ended),
        "total_evaluation_time_seconds": (seconds(ended) - seconds(started)).to_string(),
    })
}

/// Runs of characters that a file name may not have become `__`.
fn sanitised(model: &str) -> String {
    let mut name = String::new();
    let mut replacing = false;
    for character in model.chars() {
        let replace = "\"<>:/|\\?*[]".contains(character);
        match (replace, replacing) {
            (true, false) => name.push_str("__"),
            (true, true) => {}
            (false, _) => name.push(character),
        }
        replacing = replace;
    }
    name
}

fn hash(text: &str) -> String {
    let mut hexadecimal = String::new();
    for byte in Sha256::digest(text) {
        // Writing to a string cannot fail.
        let _written = write!(hexadecimal, "{byte:02x}");
    }
    hexadecimal
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(correct: &[bool]) -> TaskResult {
        TaskResult {
            task: Task::Sort,
            items: vec![Item::new(Task::Sort, [3, 8, 2, 9, 1, 0]); correct.len()],
            answers: correct.iter().map(|&correct| Answered { response: "0".to_owned(), correct }).collect(),
        }
    }

    #[test]
    fn the_standard_error_is_that_of_a_mean() {
        let (score, error) = result(&[true, true, true, false]).score();
        assert!((score - 0.75).abs() < 1e-12);
        // The sample's standard deviation is 0.5, over the square root of four.
        assert!((error.unwrap() - 0.25).abs() < 1e-12);
        assert_eq!(result(&[true]).score(), (1.0, None));
    }

    #[test]
    fn the_folder_is_named_as_the_harness_names_it() {
        assert_eq!(sanitised("/tmp/a model:1//x"), "__tmp__a model__1__x");
    }

    #[test]
    fn hashes_are_those_of_the_harness() {
        // hashlib.sha256(json.dumps({"answer": "012389", "prompt": "s382910="}, indent=2).encode()).hexdigest() in Python.
        let sample = result(&[true]).samples().next().unwrap();
        assert_eq!(sample["doc_hash"], "adaf7b4da587be2eedb546e61ab3b20bcb695624662a430e954d497610008f16");
        assert_eq!(sample["prompt_hash"], hash("s382910="));
    }
}
