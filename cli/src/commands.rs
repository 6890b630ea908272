//! From the command line to the command.

use std::io::{self, BufReader};
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use tokio::runtime::Runtime;

use crate::args::{Cli, Command};
use crate::console;
use crate::export::export;
use crate::failure::Failure;
use crate::publish::publish;
use crate::run::run;
use crate::show::show;
use crate::supervise::keep;
use crate::validate::validate;

/// The program: parses the command line, runs the command, says what went wrong.
pub fn main() -> ExitCode {
    match execute(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            for line in failure.to_string().lines() {
                console::message(format_args!("error: {line}"));
            }
            failure.exit_code()
        }
    }
}

fn execute(command: Command) -> Result<(), Failure> {
    match command {
        Command::Run(arguments) => runtime()?.block_on(run(arguments)),
        Command::Validate(arguments) => runtime()?.block_on(validate(arguments)),
        Command::Publish(arguments) => runtime()?.block_on(publish(&arguments)),
        Command::Show(arguments) => show(arguments),
        Command::Export(arguments) => export(&arguments),
        Command::Crd => {
            console::output(mergesearch_crds::yaml().map_err(Failure::run)?).map_err(Failure::run)
        }
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "mergesearch", &mut script);
            console::output(String::from_utf8_lossy(&script)).map_err(Failure::run)
        }
        Command::Supervise => keep(BufReader::new(io::stdin()), io::stdout()).map_err(Failure::run),
    }
}

fn runtime() -> Result<Runtime, Failure> {
    Runtime::new().map_err(Failure::run)
}
