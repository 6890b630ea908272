//! Trains the quickstart pool from nothing, the same bits every time on the same kind of processor.
#![expect(clippy::print_stdout, reason = "the scores are this program's output")]

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use mergesearch_quickstart::checkpoint::Checkpoint;
use mergesearch_quickstart::config::Config;
use mergesearch_quickstart::evaluation::evaluate;
use mergesearch_quickstart::model::Model;
use mergesearch_quickstart::tasks::{Stage, Task};
use mergesearch_quickstart::training::Trainee;
use mergesearch_quickstart::{plan, process};

/// Trains an ancestor and sixteen branches of it, writes each as a Hugging Face checkpoint, and prints how each does on each task.
#[derive(Parser)]
#[command(version, after_help = "Example: quickstart-train --output examples/quickstart/pool")]
struct Arguments {
    /// The folder that gets one folder for each checkpoint.
    #[arg(long, value_name = "DIR", default_value = "examples/quickstart/pool")]
    output: PathBuf,
    /// Start from the ancestor already in the folder instead of training it.
    #[arg(long)]
    keep_ancestor: bool,
}

fn main() -> ExitCode {
    match process::use_one_thread().map_err(Into::into).and_then(|()| run(&Arguments::parse())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let folder = arguments.output.join("ancestor");
    let ancestor =
        if arguments.keep_ancestor { Checkpoint::load(&folder)? } else { train_ancestor(&folder)? };
    println!("{:<20} {}", "", Task::ALL.map(|task| format!("{:>18}", task.name())).concat());
    print_scores("ancestor", &ancestor)?;
    let mut finished = BTreeMap::new();
    for branch in plan::branches() {
        let parent = branch.parent.and_then(|parent| finished.get(parent)).unwrap_or(&ancestor);
        let student = Trainee::branch(parent)?;
        student.train(&branch.course, |_, _| ())?;
        let checkpoint = student.checkpoint()?;
        checkpoint.save(&arguments.output.join(branch.name))?;
        print_scores(branch.name, &checkpoint)?;
        finished.insert(branch.name, checkpoint);
    }
    Ok(())
}

fn train_ancestor(folder: &Path) -> Result<Checkpoint, Box<dyn Error>> {
    let student = Trainee::new(&Config::quickstart(), 0)?;
    for course in plan::ancestor() {
        student.train(&course, |step, loss| {
            if step % 100 == 99 {
                println!("ancestor, step {}: loss {loss:.3}", step + 1);
            }
        })?;
    }
    let ancestor = student.checkpoint()?;
    ancestor.save(folder)?;
    Ok(ancestor)
}

/// One line of exact matches on 500 test items of each task.
fn print_scores(name: &str, checkpoint: &Checkpoint) -> candle_core::Result<()> {
    let model = Model::new(&checkpoint.config, &checkpoint.parameters)?;
    print!("{name:<20} ");
    for task in Task::ALL {
        let answers = evaluate(&model, &Stage::Test.items(task, 500))?;
        let correct = answers.iter().filter(|answer| answer.correct).count();
        print!("{:>18.3}", correct as f64 / answers.len() as f64);
    }
    println!();
    Ok(())
}
