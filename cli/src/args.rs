//! The command line, as it is typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

/// Searches the merges of a pool of checkpoints for those that are best on your own evaluations.
///
/// A manifest says what to merge, what to improve and what may be spent; the same manifest runs here and on Kubernetes.
#[derive(Debug, Parser)]
#[command(name = "mergesearch", version, propagate_version = true, arg_required_else_help = true)]
#[command(
    after_help = "Example:\n  mergesearch run -f mergesearch.yaml     start a search, or go on with it\n  \
    mergesearch show                        what came out\n  \
    mergesearch report                      the same as a page with pictures\n  \
    mergesearch watch NAME                  the same for a search on Kubernetes\n\n\
    Exit codes:\n  0  done\n  1  the search failed or was interrupted; run it again to go on\n  \
    2  the input or the usage is wrong and nothing was started"
)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a search on this machine, or go on with one that was interrupted.
    ///
    /// Everything is kept in a state folder, so the same command goes on where the last one stopped: after Ctrl-C, a
    /// crash, or with a larger budget. No finished trial ever runs again.
    #[command(after_help = "Examples:\n  mergesearch run -f mergesearch.yaml\n  \
        mergesearch run -f mergesearch.yaml --env HF_TOKEN=hf_... --memory 4GiB")]
    Run(RunArgs),
    /// Check a manifest and its pool, and say what a run would do.
    #[command(after_help = "Examples:\n  mergesearch validate -f mergesearch.yaml\n  \
        mergesearch validate -f mergesearch.yaml --target cluster")]
    Validate(ValidateArgs),
    /// Show the front and the baselines of a local run at each stage.
    #[command(after_help = "Examples:\n  mergesearch show recycle-16.mergesearch\n  \
        mergesearch show -f mergesearch.yaml -o json | jq .comparison")]
    Show(ShowArgs),
    /// Show how a search on Kubernetes stands; `show` is for local runs.
    ///
    /// Reads the search's object and its journal with your own rights: its conditions, the front and the baselines at each
    /// stage, and what was published.
    #[command(after_help = "Examples:\n  kubectl mergesearch status recycle-16 --namespace team\n  \
        mergesearch status recycle-16 -o json | jq .report.comparison")]
    Status(StatusArgs),
    /// Follow a search on Kubernetes to its end, as `run` shows a local one, then print its result.
    ///
    /// Exits with 0 when the search completes and with 1 when it fails or is deleted. It only looks on: ending it, or losing
    /// the connection, does nothing to the search.
    #[command(after_help = "Examples:\n  kubectl mergesearch watch recycle-16 --namespace team\n  \
        mergesearch watch recycle-16 --context production > result.txt")]
    Watch(WatchArgs),
    /// Make the report of a search: a page, and each of its pictures as SVG and PNG.
    ///
    /// The page is one file that needs no network. It shows the front for every pair of objectives, convergence, weights,
    /// search against test scores and a timeline; hovering a point names its trial, a click shows its recipe.
    #[command(after_help = "Examples:\n  mergesearch report -f mergesearch.yaml\n  \
        mergesearch report recycle-16.mergesearch --output /tmp/report\n  \
        kubectl mergesearch report recycle-16 --namespace team")]
    Report(ReportArgs),
    /// Print the recipe of a trial.
    #[command(after_help = "Examples:\n  mergesearch export g0004-c012 --format mergekit > merge.yaml\n  \
        mergesearch export greedy-03 --format recipe -f mergesearch.yaml")]
    Export(ExportArgs),
    /// Merge a trial's recipe once more, into a checkpoint of its own.
    #[command(after_help = "Examples:\n  mergesearch publish g0004-c012 s3://models/recycled/v2\n  \
        mergesearch publish best file:///models/recycled")]
    Publish(PublishArgs),
    /// Print the definitions of the Kubernetes resources as YAML.
    #[command(after_help = "Example:\n  mergesearch crd | kubectl apply -f -")]
    Crd,
    /// Print a shell's completions.
    #[command(after_help = "Examples:\n  source <(mergesearch completions bash)\n  \
        mergesearch completions zsh > ~/.zfunc/_mergesearch")]
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Keeps an evaluator on a leash; started by `run`.
    #[command(hide = true, after_help = "Example:\n  mergesearch supervise < request.json")]
    Supervise,
}

/// Where a search's state is.
#[derive(Debug, Clone, Args)]
pub(crate) struct StateArgs {
    /// The manifest of the search.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// The state folder [default: NAME.mergesearch beside the manifest; without one, the only *.mergesearch here].
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
}

/// `mergesearch run`.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The manifest.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// The state folder [default: NAME.mergesearch beside the manifest].
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
    /// Sets a variable of the evaluator's template, for instance one with `valueFrom`. Repeatable.
    #[arg(long, value_name = "NAME=VALUE", value_parser = assignment)]
    pub(crate) env: Vec<(String, String)>,
    /// Trials at the same time [default: execution.parallelTrials].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) parallel_trials: Option<u16>,
    /// Memory that all merges together may use, for instance 512MiB or 4GiB.
    #[arg(long, value_name = "BYTES", default_value = "512MiB", value_parser = bytes)]
    pub(crate) memory: u64,
}

/// `mergesearch validate`.
#[derive(Debug, Args)]
pub(crate) struct ValidateArgs {
    /// The manifest.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Sets a variable of the evaluator's template. Repeatable.
    #[arg(long, value_name = "NAME=VALUE", value_parser = assignment)]
    pub(crate) env: Vec<(String, String)>,
    /// Where the search will run. For a cluster only the manifest itself is checked.
    #[arg(long, value_enum, default_value_t = Target::Local)]
    pub(crate) target: Target,
    /// Do not read the pool's headers.
    #[arg(long)]
    pub(crate) no_preflight: bool,
}

/// Where a search will run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Target {
    /// On this machine.
    Local,
    /// On Kubernetes.
    Cluster,
}

/// `mergesearch show`.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The state folder; `--state` says the same.
    #[arg(value_name = "STATE", conflicts_with = "state")]
    pub(crate) folder: Option<PathBuf>,
    /// Which search.
    #[command(flatten)]
    pub(crate) state: StateArgs,
    /// The form.
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// Which search on which cluster.
#[derive(Debug, Clone, Args)]
pub(crate) struct ClusterArgs {
    /// The name of the search.
    pub(crate) name: String,
    /// Its namespace [default: that of the context].
    #[arg(short, long)]
    pub(crate) namespace: Option<String>,
    /// The context of the kubeconfig [default: its current context].
    #[arg(long)]
    pub(crate) context: Option<String>,
    /// The kubeconfig [default: what $KUBECONFIG names, or ~/.kube/config].
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
}

/// `mergesearch status`.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Which search.
    #[command(flatten)]
    pub(crate) search: ClusterArgs,
    /// The form.
    #[arg(short, long, value_enum, default_value_t = StatusOutput::Table)]
    pub(crate) output: StatusOutput,
}

/// How the status of a search is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum StatusOutput {
    /// For people.
    Table,
    /// For programs.
    Json,
    /// For programs and people.
    Yaml,
}

/// `mergesearch watch`.
#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    /// Which search.
    #[command(flatten)]
    pub(crate) search: ClusterArgs,
}

/// `mergesearch report`.
#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// The state folder of a local run, or else the name of a search on Kubernetes.
    #[arg(value_name = "STATE|NAME", conflicts_with_all = ["file", "state"])]
    pub(crate) search: Option<PathBuf>,
    /// Which local run.
    #[command(flatten)]
    pub(crate) state: StateArgs,
    /// Its namespace [default: that of the context].
    #[arg(short, long, requires = "search")]
    pub(crate) namespace: Option<String>,
    /// The context of the kubeconfig [default: its current context].
    #[arg(long, requires = "search")]
    pub(crate) context: Option<String>,
    /// The kubeconfig [default: what $KUBECONFIG names, or ~/.kube/config].
    #[arg(long, value_name = "FILE", requires = "search")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// The folder for page and pictures [default: `report` in the state folder; for a search on Kubernetes NAME-report here].
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
}

/// `mergesearch export`.
#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// The trial as `show` prints it, or `best`.
    pub(crate) trial: String,
    /// The form: mergekit's YAML, or our own recipe as JSON.
    #[arg(long, value_enum, default_value_t = Format::Mergekit)]
    pub(crate) format: Format,
    /// Which search.
    #[command(flatten)]
    pub(crate) state: StateArgs,
}

/// How a recipe is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// As `mergekit-yaml` reads it.
    Mergekit,
    /// As `merger merge --recipe` reads it.
    Recipe,
}

/// `mergesearch publish`.
#[derive(Debug, Args)]
pub(crate) struct PublishArgs {
    /// The trial as `show` prints it, or `best`.
    pub(crate) trial: String,
    /// Where to: a folder, or a prefix such as <s3://bucket/prefix>.
    pub(crate) uri: String,
    /// Which search.
    #[command(flatten)]
    pub(crate) state: StateArgs,
    /// Memory that the merge may use, for instance 512MiB or 4GiB.
    #[arg(long, value_name = "BYTES", default_value = "512MiB", value_parser = bytes)]
    pub(crate) memory: u64,
    /// Replace a model that is there already.
    #[arg(long)]
    pub(crate) overwrite: bool,
}

fn assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

/// Bytes with an optional unit.
fn bytes(text: &str) -> Result<u64, String> {
    let digits = text.len() - text.trim_start_matches(|character: char| character.is_ascii_digit()).len();
    let factor: u64 = match text[digits..].trim() {
        "" | "B" => 1,
        "KiB" | "Ki" => 1 << 10,
        "MiB" | "Mi" => 1 << 20,
        "GiB" | "Gi" => 1 << 30,
        "TiB" | "Ti" => 1 << 40,
        "kB" | "k" => 1_000,
        "MB" | "M" => 1_000_000,
        "GB" | "G" => 1_000_000_000,
        "TB" | "T" => 1_000_000_000_000,
        _ => return Err("expected a number of bytes such as 512MiB, 4GiB or 2GB".to_owned()),
    };
    text[..digits]
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(factor))
        .filter(|bytes| *bytes > 0)
        .ok_or_else(|| "expected a number of bytes such as 512MiB, 4GiB or 2GB".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent_and_every_command_has_an_example() {
        let mut command = Cli::command();
        command.build();
        command.clone().debug_assert();
        for command in std::iter::once(&command).chain(command.get_subcommands()) {
            if command.get_name() == "help" {
                continue;
            }
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("mergesearch "), "{} has no example", command.get_name());
        }
    }

    #[test]
    fn sizes_are_read_with_their_units() {
        for (text, expected) in [
            ("1", Some(1)),
            ("512MiB", Some(512 << 20)),
            ("2GB", Some(2_000_000_000)),
            ("4 Gi", Some(4 << 30)),
        ] {
            assert_eq!(bytes(text).ok(), expected, "{text}");
        }
        for text in ["", "MiB", "0", "-1", "1.5GiB", "99999999999TiB", "1 parsec"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }
}
