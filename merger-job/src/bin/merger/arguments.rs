//! The command line.
#![expect(clippy::doc_markdown, reason = "these comments are shown as help, where marks would only disturb")]

use std::path::PathBuf;

use bytesize::ByteSize;
use clap::{Args, Parser, Subcommand};
use mergesearch_merger::{Location, MergeOptions, StorageOptions};
use mergesearch_search::contract;

/// Merges safetensors checkpoints from folders or S3: streaming, exact, in bounded memory.
#[derive(Debug, Parser)]
#[command(name = "merger", version, after_help = EXIT_CODES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0   done
  2   wrong usage
  65  bad input: trying again gives the same
  66  a checkpoint is not the one that the search began with (pod merge, pod publish)
  67  the candidate is not where it was handed over (pod fetch)
  75  a transient fault or an interruption: worth trying again

Credentials for S3 come from the environment, a profile, or the machine's role, as with the AWS tools.

Example:
  merger merge --recipe recipe.yaml --output file:///data/merged";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    #[command(flatten)]
    ByHand(ByHand),
    /// Do one step of a search on Kubernetes, as MERGESEARCH_REQUEST says; the operator runs it in its Jobs.
    #[command(after_help = "\
The answer is one JSON object in the termination log; exit codes are those of the other commands.")]
    Pod(Pod),
}

/// What a person runs.
#[derive(Debug, Subcommand)]
pub(crate) enum ByHand {
    /// Merge checkpoints by a recipe, with model card and recipe beside the result.
    #[command(after_help = "\
Example:
  merger merge --recipe recipe.yaml --output s3://models/merged --endpoint-url http://127.0.0.1:9000
  merger merge --recipe one.yaml --output file:///data/one --recipe two.yaml --output file:///data/two")]
    Merge(Merge),
    /// Show a checkpoint's files and tensors, reading its headers only.
    #[command(after_help = "\
Example:
  merger inspect s3://models/step-1000 --json")]
    Inspect(Inspect),
    /// Check that checkpoints can be merged, and show what merges will take, reading headers only.
    #[command(after_help = "\
Example:
  merger plan --recipe recipe.yaml --population 16 --shard-count 4 --bandwidth 2GB/s")]
    Plan(Plan),
}

impl ByHand {
    /// How the command reaches S3.
    pub(crate) fn storage(&self) -> StorageOptions {
        let (Self::Merge(Merge { storage, .. })
        | Self::Inspect(Inspect { storage, .. })
        | Self::Plan(Plan { storage, .. })) = self;
        StorageOptions {
            endpoint: storage.endpoint_url.clone(),
            region: storage.region.clone(),
            path_style: storage.path_style,
            profile: storage.profile.clone(),
            ..StorageOptions::default()
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Pod {
    #[command(subcommand)]
    pub(crate) step: Step,
    #[command(flatten)]
    pub(crate) places: Places,
}

/// What a pod is for.
#[derive(Debug, Clone, Copy, Subcommand)]
pub(crate) enum Step {
    /// Read the pool's headers and try the outputs.
    Preflight,
    /// Merge a candidate into the model folder, or several into the handoff.
    Merge,
    /// Take a candidate from the handoff into the model folder, or see that it is there.
    Fetch,
    /// Read a candidate's results, answer its scores, and upload both.
    Report,
    /// Answer the scores of a trial whose answer was lost, from its report.
    Collect,
    /// Merge into the folder of a published model, with its card.
    Publish,
    /// Delete the search's folder, or that of its candidates, with everything in it.
    Cleanup,
}

#[derive(Debug, Args)]
pub(crate) struct Places {
    /// Where the answer goes.
    #[arg(long, global = true, value_name = "FILE", default_value = "/dev/termination-log")]
    pub(crate) termination_log: PathBuf,
    /// The candidate's folder.
    #[arg(long, global = true, value_name = "FOLDER", default_value = contract::MODEL_FOLDER)]
    pub(crate) model_dir: PathBuf,
    /// The folder with a folder of results for each stage.
    #[arg(long, global = true, value_name = "FOLDER", default_value = contract::RESULTS_FOLDER)]
    pub(crate) results_dir: PathBuf,
    /// The folder in which volume claims with checkpoints are mounted.
    #[arg(long, global = true, value_name = "FOLDER", default_value = contract::CLAIMS_FOLDER)]
    pub(crate) claims_dir: PathBuf,
    /// Certificates to trust beside the system's, if there is such a file [default: AWS_CA_BUNDLE].
    #[arg(long, global = true, value_name = "FILE", default_value = contract::CA_BUNDLE_FILE)]
    pub(crate) ca_bundle: PathBuf,
    /// How long uploads of a report, and deleting, are tried again.
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 300)]
    pub(crate) upload_seconds: u64,
}

#[derive(Debug, Args)]
pub(crate) struct Merge {
    /// The recipe: ours, or a mergekit YAML. Given several times, all are merged while the checkpoints are read once; they
    /// may differ in method, weights and parameters.
    #[arg(long = "recipe", value_name = "FILE", required = true)]
    pub(crate) recipes: Vec<PathBuf>,
    /// Where the merged model goes: file:///absolute/folder or s3://bucket/prefix. One for each recipe, in order.
    #[arg(long = "output", value_name = "URI", required = true)]
    pub(crate) outputs: Vec<Location>,
    /// Replace a complete model at the output.
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Make only this part of the output, from 0, of the parts that --shard-count says: the others are made by merges on
    /// other machines. Whichever is done last completes the output. For a Job of completion mode Indexed.
    #[arg(long, value_name = "N", env = contract::INDEX_VARIABLE)]
    pub(crate) shard_index: Option<u32>,
    /// How many merges share the output, each some of its files of about as many bytes.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) shard_count: Option<u32>,
    #[command(flatten)]
    pub(crate) limits: Limits,
    #[command(flatten)]
    storage: Storage,
}

#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// The checkpoint: file:///absolute/folder or s3://bucket/prefix.
    #[arg(value_name = "URI")]
    pub(crate) location: Location,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    storage: Storage,
}

#[derive(Debug, Args)]
pub(crate) struct Plan {
    /// The recipe: ours, or a mergekit YAML. Several are planned as merged while the checkpoints are read once.
    #[arg(long = "recipe", value_name = "FILE", required = true)]
    pub(crate) recipes: Vec<PathBuf>,
    /// Where a merged model would go; uploads to S3 need memory of their own.
    #[arg(long, value_name = "URI")]
    pub(crate) output: Option<Location>,
    /// How many merges like that of the one recipe while the checkpoints are read once, as in one generation of a search.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) population: Option<u32>,
    /// How many machines share the work, each making some of the output's files.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) shard_count: Option<u32>,
    /// Bytes a second that a machine reads and writes together, to estimate the time with.
    #[arg(long, default_value = "1GB/s", value_name = "RATE", value_parser = bandwidth)]
    pub(crate) bandwidth: ByteSize,
    #[command(flatten)]
    pub(crate) limits: Limits,
    #[command(flatten)]
    storage: Storage,
}

#[derive(Debug, Args)]
pub(crate) struct Limits {
    /// Memory for tensors and uploads.
    #[arg(long, default_value = "512MiB", value_name = "BYTES")]
    memory_budget: ByteSize,
    /// Most bytes of tensors in one file.
    #[arg(long, default_value = "5GB", value_name = "BYTES")]
    max_shard_size: ByteSize,
    /// Threads for arithmetic [default: one for each processor].
    #[arg(long, value_name = "N")]
    threads: Option<std::num::NonZeroUsize>,
}

impl Limits {
    pub(crate) fn options(&self, overwrite: bool) -> MergeOptions {
        let default = MergeOptions::default();
        MergeOptions {
            memory_budget: self.memory_budget.as_u64(),
            max_shard_size: self.max_shard_size.as_u64(),
            threads: self.threads.map_or(default.threads, usize::from),
            overwrite,
            part: None,
        }
    }
}

#[derive(Debug, Args)]
#[command(next_help_heading = "S3")]
pub(crate) struct Storage {
    /// The server's URL, for stores other than AWS [default: AWS_ENDPOINT_URL, the profile].
    #[arg(long, value_name = "URL")]
    endpoint_url: Option<String>,
    /// The region [default: AWS_REGION, the profile, us-east-1].
    #[arg(long)]
    region: Option<String>,
    /// Put the bucket into the path, not the host name [default: true with an endpoint].
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    path_style: Option<bool>,
    /// The profile of the shared config and credentials files.
    #[arg(long)]
    profile: Option<String>,
}

/// A number of bytes, with or without `/s`; more than none.
fn bandwidth(text: &str) -> Result<ByteSize, String> {
    let rate: ByteSize = text.strip_suffix("/s").unwrap_or(text).parse()?;
    if rate.as_u64() == 0 { Err("expected more than 0".to_owned()) } else { Ok(rate) }
}
