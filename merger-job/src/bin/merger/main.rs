//! `merger`: merges checkpoints from the command line, and in the Jobs of a search.

mod arguments;
mod inspecting;
mod merging;
mod planning;
mod pod;
mod progress;
mod reading;
mod terminal;

use std::process::ExitCode;

use clap::Parser;
use mergesearch_merger::Stores;

use self::arguments::{Arguments, ByHand, Command};

/// The exit code for what is worth trying again.
const TRANSIENT: u8 = 75;
/// The exit code for a wrong command line, as clap has it.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => match arguments.command {
            Command::ByHand(command) => runtime.block_on(run(command)),
            Command::Pod(pod) => runtime.block_on(pod::run(&pod)),
        },
        Err(error) => {
            terminal::complain(&format!("can't start: {error}"));
            ExitCode::from(TRANSIENT)
        }
    }
}

async fn run(command: ByHand) -> ExitCode {
    let stores = match Stores::new(command.storage()) {
        Ok(stores) => stores,
        Err(error) => {
            terminal::complain(&error.to_string());
            return ExitCode::from(USAGE);
        }
    };
    let interruption = terminal::interruption();
    let work = async {
        match &command {
            ByHand::Merge(merge) => merging::run(&stores, merge).await,
            ByHand::Inspect(inspect) => inspecting::run(&stores, inspect).await,
            ByHand::Plan(plan) => planning::run(&stores, plan).await,
        }
    };
    // When the process is asked to stop, the work is dropped; uploads are aborted either way.
    let outcome = tokio::select! {
        outcome = work => Some(outcome),
        () = interruption => None,
    };
    stores.close().await;
    match outcome {
        Some(Ok(())) => ExitCode::SUCCESS,
        Some(Err(error)) => {
            terminal::complain(&error.to_string());
            ExitCode::from(error.exit_code())
        }
        None => {
            terminal::complain("interrupted; nothing incomplete was left as complete");
            ExitCode::from(TRANSIENT)
        }
    }
}
