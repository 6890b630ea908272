//! Evaluates one checkpoint of the quickstart architecture, the way an evaluator of any search does: folders and stage in, results out.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use candle_core::Tensor;
use clap::Parser;
use jiff::Timestamp;
use mergesearch_quickstart::checkpoint::{Checkpoint, CheckpointError};
use mergesearch_quickstart::evaluation::evaluate;
use mergesearch_quickstart::model::Model;
use mergesearch_quickstart::results::{self, TaskResult};
use mergesearch_quickstart::tasks::Stage;
use mergesearch_quickstart::{process, tokens};

/// Scores a checkpoint by exact match and writes the results as lm-evaluation-harness does.
#[derive(Parser)]
#[command(
    version,
    after_help = "Example: quickstart-evaluate --model-dir examples/quickstart/pool/sft-1 --stage test --results-dir /tmp/results"
)]
struct Arguments {
    /// The checkpoint: config.json and safetensors (one file or shards) of a Llama-layout model with the quickstart vocabulary.
    #[arg(long, env = "MERGESEARCH_MODEL_DIR", value_name = "DIR")]
    model_dir: PathBuf,
    /// The folder for the results, made if need be.
    #[arg(long, env = "MERGESEARCH_RESULTS_DIR", value_name = "DIR")]
    results_dir: PathBuf,
    /// Which tasks and items are asked.
    #[arg(long, env = "MERGESEARCH_STAGE", value_enum)]
    stage: Stage,
    /// Ask only so many items of each task, instead of 500 (search), 2,000 (test) or 1,000 (heldout).
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..))]
    items: Option<u16>,
    /// Write the token ids and f32 logits of the first four items of each task to this file, as JSON, to compare with other software.
    #[arg(long, value_name = "FILE")]
    logits: Option<PathBuf>,
}

fn main() -> ExitCode {
    match process::use_one_thread().map_err(EvaluateError::Threads).and_then(|()| run(&Arguments::parse())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing can be done when standard error is closed; the exit code still tells.
            let _closed = writeln!(std::io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), EvaluateError> {
    let started = Timestamp::now();
    let checkpoint = Checkpoint::load(&arguments.model_dir)?;
    let (vocabulary, context) = (checkpoint.config.vocabulary, checkpoint.config.context);
    if vocabulary != tokens::VOCABULARY.len() || context < tokens::CONTEXT - 1 {
        return Err(EvaluateError::Tokens { vocabulary, context });
    }
    let model = Model::new(&checkpoint.config, &checkpoint.parameters)?;
    let count = arguments.items.map_or_else(|| arguments.stage.items_per_task(), usize::from);
    let results = arguments
        .stage
        .tasks()
        .iter()
        .map(|&task| {
            let items = arguments.stage.items(task, count);
            let answers = evaluate(&model, &items)?;
            Ok(TaskResult { task, items, answers })
        })
        .collect::<candle_core::Result<Vec<_>>>()?;
    if let Some(path) = &arguments.logits {
        write_logits(path, &model, &results)?;
    }
    results::write(&arguments.results_dir, &arguments.model_dir, &results, &started, &Timestamp::now())
        .map_err(|source| EvaluateError::Write { path: arguments.results_dir.clone(), source })?;
    Ok(())
}

/// `{"input_ids": [[..]], "logits": [[[..]]]}`: items x places, items x places x vocabulary.
fn write_logits(path: &Path, model: &Model, results: &[TaskResult]) -> Result<(), EvaluateError> {
    let items: Vec<_> = results.iter().flat_map(|result| result.items.iter().take(4).cloned()).collect();
    let length = tokens::CONTEXT - 1;
    let inputs: Tensor = tokens::encode_batch(&items)?.narrow(1, 0, length)?.contiguous()?;
    let logits = model.logits(&inputs, length)?.to_vec3::<f32>()?;
    let json = serde_json::json!({"input_ids": inputs.to_vec2::<u32>()?, "logits": logits});
    fs::write(path, json.to_string()).map_err(|source| EvaluateError::Write { path: path.to_owned(), source })
}

/// Why there are no results.
#[derive(Debug, thiserror::Error)]
enum EvaluateError {
    /// The process cannot be restarted.
    #[error("cannot restart with one thread: {0}")]
    Threads(std::io::Error),
    /// The model cannot be loaded.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The model reads other tokens.
    #[error(
        "the model has {vocabulary} tokens and a context of {context}, but the quickstart tasks need {} tokens and a context of at least {}",
        tokens::VOCABULARY.len(),
        tokens::CONTEXT - 1
    )]
    Tokens { vocabulary: usize, context: usize },
    /// The arithmetic failed.
    #[error("the forward pass failed: {0}")]
    Forward(#[from] candle_core::Error),
    /// The results cannot be written.
    #[error("cannot write the results to {}: {source}", path.display())]
    Write { path: PathBuf, source: std::io::Error },
}
