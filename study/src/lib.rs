//! Tries the claims of "If You Can't Use Them, Recycle Them" (arXiv 2412.04144) on the quickstart pool, and writes
//! `docs/study.md`.
//!
//! [`settings`] says what is searched. `run` makes a manifest of each setting and seed ([`manifest`]), runs `mergesearch` on
//! it, reads what came out ([`finished`], [`course`]), evaluates what the search left open ([`probes`]), and keeps the
//! numbers as CSV files ([`rows`], [`results`]). From these files alone [`page`] makes the tables and [`pictures`] the
//! pictures of the page; its prose is written by people.

mod args;
pub mod collect;
mod console;
pub mod course;
pub mod error;
pub mod finished;
pub mod manifest;
pub mod page;
pub mod pictures;
pub mod pool;
pub mod probes;
pub mod programs;
pub mod results;
pub mod rows;
mod run;
pub mod schedule;
pub mod settings;
pub mod statistics;
pub mod tables;

use std::process::ExitCode;

use clap::Parser;

use self::args::{Cli, Command, ResultsArgs, TablesArgs};
use self::error::StudyError;
use self::results::Results;

/// Does what the command line says, and returns the exit code.
pub fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Tables(arguments) => tables(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            console::message(format_args!("error: {error}"));
            error.exit_code()
        }
    }
}

fn tables(arguments: &TablesArgs) -> Result<(), StudyError> {
    let TablesArgs { results: ResultsArgs { results: folder }, page, bitmaps } = arguments;
    let results = Results::read(folder)?;
    page::update(page, &results)?;
    pictures::draw(&results, folder, bitmaps.as_deref())
}
