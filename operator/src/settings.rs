//! What the operator is told on its command line and in its environment.

use std::net::SocketAddr;

use clap::{Parser, ValueEnum};
use mergesearch_crds::ImagePullPolicy;

/// Runs MergeSearch objects in a Kubernetes cluster.
#[expect(clippy::doc_markdown, reason = "the sentence of --help")]
#[derive(Debug, Clone, Parser)]
#[command(name = "mergesearch-operator", version)]
pub struct Settings {
    /// Address of /healthz, /readyz and /metrics.
    #[arg(long, env = "MERGESEARCH_LISTEN", default_value = "0.0.0.0:8080")]
    pub listen: SocketAddr,
    /// Image of the merger in Jobs, unless a search names its own.
    #[arg(long, env = "MERGESEARCH_MERGER_IMAGE", default_value = concat!("ghcr.io/mergesearch/merger:", env!("CARGO_PKG_VERSION")))]
    pub merger_image: String,
    /// When the merger's image is pulled, unless a search says so.
    #[arg(long, env = "MERGESEARCH_MERGER_IMAGE_PULL_POLICY", value_parser = pull_policy)]
    pub merger_image_pull_policy: Option<ImagePullPolicy>,
    /// Namespaces whose searches are run, separated by commas. All when none is given.
    #[arg(long, env = "MERGESEARCH_WATCH_NAMESPACES", value_delimiter = ',')]
    pub watch_namespaces: Vec<String>,
    /// Namespace of the Lease by which replicas agree on a leader. Without it this replica leads at once.
    #[arg(long, env = "MERGESEARCH_LEASE_NAMESPACE")]
    pub lease_namespace: Option<String>,
    /// Name of this replica in the Lease; the host's name when not given.
    #[arg(long, env = "MERGESEARCH_IDENTITY")]
    pub identity: Option<String>,
    /// How logs are written.
    #[arg(long, env = "MERGESEARCH_LOG_FORMAT", value_enum, default_value_t = LogFormat::Json)]
    pub log_format: LogFormat,
}

/// How logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

fn pull_policy(text: &str) -> Result<ImagePullPolicy, String> {
    match text {
        "Always" => Ok(ImagePullPolicy::Always),
        "IfNotPresent" => Ok(ImagePullPolicy::IfNotPresent),
        "Never" => Ok(ImagePullPolicy::Never),
        other => Err(format!("expected Always, IfNotPresent or Never, found {other:?}")),
    }
}
