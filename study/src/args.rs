//! The command line.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::settings::{MAX_TRIALS, SEEDS};

/// Tries the claims about searched merges on the quickstart pool.
#[derive(Debug, Parser)]
#[command(
    name = "mergesearch-study",
    version,
    after_help = "Example, from the root of the repository:\n  mergesearch-study run && mergesearch-study tables\n\n\
    Exit codes:\n  0  done\n  1  something failed; run it again to go on\n  2  the input or the usage is wrong"
)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run every search that is not complete, and write the results as CSV files.
    ///
    /// It may be killed at any moment: the same command goes on. `mergesearch`, `merger` and `quickstart-evaluate` are taken
    /// from PATH, or from the folder of this program.
    Run(RunArgs),
    /// Make the tables and pictures of the page from the CSV files. Runs no search.
    Tables(TablesArgs),
}

/// Where results are.
#[derive(Debug, Args)]
pub(crate) struct ResultsArgs {
    /// The folder of the CSV files and pictures.
    #[arg(long, value_name = "DIR", default_value = "docs/study")]
    pub(crate) results: PathBuf,
}

/// `mergesearch-study run`.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Where results go.
    #[command(flatten)]
    pub(crate) results: ResultsArgs,
    /// The folder of manifests and states of searches.
    #[arg(long, value_name = "DIR", default_value = ".cache/study")]
    pub(crate) cache: PathBuf,
    /// The root of the repository.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) repository: PathBuf,
    /// Searches at the same time; each runs two trials at a time [default: half of the processors].
    #[arg(long, value_name = "N")]
    pub(crate) jobs: Option<NonZeroUsize>,
    /// Only these settings, separated by commas [default: all].
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) settings: Vec<String>,
    /// Only so many seeds, from 1. Another number than the default is no study, only a try: name another results folder.
    #[arg(long, value_name = "N", default_value_t = SEEDS, value_parser = clap::value_parser!(u64).range(1..=100))]
    pub(crate) seeds: u64,
    /// Trials of each search; as with `--seeds`, anything else than the default is only a try.
    #[arg(long, value_name = "N", default_value_t = MAX_TRIALS)]
    pub(crate) max_trials: i32,
}

/// `mergesearch-study tables`.
#[derive(Debug, Args)]
pub(crate) struct TablesArgs {
    /// Where results are.
    #[command(flatten)]
    pub(crate) results: ResultsArgs,
    /// The page whose generated parts are written anew.
    #[arg(long, value_name = "FILE", default_value = "docs/study.md")]
    pub(crate) page: PathBuf,
    /// Writes the pictures as PNG too, into this folder, to look at.
    #[arg(long, value_name = "DIR")]
    pub(crate) bitmaps: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
