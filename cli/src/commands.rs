//! From the command line to the command.

use std::env;
use std::ffi::OsString;
use std::io::{self, BufReader};
use std::path::Path;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};
use tokio::runtime::Runtime;

use crate::args::{Cli, Command};
use crate::cluster::{status, watch};
use crate::console;
use crate::export::export;
use crate::failure::Failure;
use crate::publish::publish;
use crate::report::report;
use crate::run::run;
use crate::show::show;
use crate::supervise::keep;
use crate::validate::validate;

/// The program: parses the command line, runs the command, says what went wrong.
pub fn main() -> ExitCode {
    let mut matches = command_line(env::args_os().next()).get_matches();
    let cli = Cli::from_arg_matches_mut(&mut matches)
        .unwrap_or_else(|error| error.format(&mut Cli::command()).exit());
    match execute(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            for line in failure.to_string().lines() {
                console::message(format_args!("error: {line}"));
            }
            failure.exit_code()
        }
    }
}

/// The command line, under the name that it was called by: kubectl finds a plugin by the name `kubectl-mergesearch`.
fn command_line(program: Option<OsString>) -> clap::Command {
    let is_plugin = program.is_some_and(|program| {
        Path::new(&program).file_stem().is_some_and(|name| name == "kubectl-mergesearch")
    });
    let command = Cli::command();
    if is_plugin { command.name("kubectl mergesearch").bin_name("kubectl mergesearch") } else { command }
}

fn execute(command: Command) -> Result<(), Failure> {
    match command {
        Command::Run(arguments) => runtime()?.block_on(run(arguments)),
        Command::Validate(arguments) => runtime()?.block_on(validate(arguments)),
        Command::Publish(arguments) => runtime()?.block_on(publish(&arguments)),
        Command::Show(arguments) => show(arguments),
        Command::Status(arguments) => runtime()?.block_on(status(arguments)),
        Command::Watch(arguments) => runtime()?.block_on(watch(arguments)),
        Command::Report(arguments) => runtime()?.block_on(report(arguments)),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_names_the_program_as_it_was_called() {
        for (program, expected) in [
            (None, "Usage: mergesearch "),
            (Some("/usr/bin/mergesearch"), "Usage: mergesearch "),
            (Some("/home/a/.local/bin/kubectl-mergesearch"), "Usage: kubectl mergesearch "),
        ] {
            let usage = command_line(program.map(OsString::from)).render_usage().to_string();
            assert!(usage.starts_with(expected), "{program:?}: {usage}");
        }
    }
}
