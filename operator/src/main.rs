//! `mergesearch-operator`.

use std::future::pending;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;
use futures::FutureExt as _;
use kube::Client;
use mergesearch_operator::controller::{CACHES, Operator};
use mergesearch_operator::lease::{Leadership, Standby};
use mergesearch_operator::metrics::Metrics;
use mergesearch_operator::server::{Heartbeat, Readiness, Server, listen};
use mergesearch_operator::settings::Settings;
use mergesearch_operator::telemetry;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, info};

/// Without a sign of life for so long, `/healthz` fails and the pod is started anew.
const SILENCE: Duration = Duration::from_mins(2);
/// For `/readyz`.
const LEASE: &str = "lease";

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> ExitCode {
    let settings = Settings::parse();
    if let Err(problem) = telemetry::init(settings.log_format) {
        // There is no log to write it to.
        #[expect(clippy::print_stderr, reason = "logs are not set up")]
        {
            eprintln!("mergesearch-operator: {problem}");
        }
        return ExitCode::FAILURE;
    }
    match run(settings).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            error!(%problem, "the operator ends");
            ExitCode::FAILURE
        }
    }
}

async fn run(settings: Settings) -> Result<(), Failure> {
    let metrics = Metrics::new()?;
    let heartbeat = Heartbeat::new(SILENCE);
    let readiness = Readiness::waiting_for([(LEASE, "not read yet")]);
    let listener = listen(settings.listen).await?;
    let server =
        Server { heartbeat: heartbeat.clone(), readiness: readiness.clone(), metrics: metrics.clone() };
    let server = tokio::spawn(server.serve(listener, pending()));
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let shutdown = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    let shutdown = shutdown.boxed().shared();

    let client = Client::try_default().await?;
    let identity = settings.identity.clone().unwrap_or_else(host_name);
    let leadership = match &settings.lease_namespace {
        None => None,
        Some(namespace) => {
            let standby = |standby: &Standby| {
                heartbeat.beat();
                match standby {
                    // A replica that stands by is as ready as it can be.
                    Standby::Behind { .. } => readiness.met(LEASE),
                    Standby::Unreachable { reason } => readiness.wait_for(LEASE, reason.clone()),
                }
            };
            let acquired =
                Leadership::acquire(client.clone(), namespace, &identity, shutdown.clone(), standby).await;
            let Some(leadership) = acquired else { return Ok(()) };
            Some(leadership)
        }
    };
    readiness.wait_for(CACHES, "not filled yet");
    readiness.met(LEASE);
    metrics.set_leader(true);
    info!(identity, version = env!("CARGO_PKG_VERSION"), "looking after searches");

    let operator = Operator::new(client.clone(), &identity, settings, metrics, heartbeat);
    let passes = operator.run(client, readiness, shutdown.clone());
    let lost = async {
        match &leadership {
            Some(leadership) => leadership.lost().await.to_string(),
            None => pending().await,
        }
    };
    tokio::select! {
        () = passes => {}
        // Another replica may lead from here on: not one write more.
        why = lost => return Err(why.into()),
        ended = server => return Err(ended.map_or_else(Failure::from, |ended| match ended {
            Ok(()) => "the server of /healthz, /readyz and /metrics ended".into(),
            Err(problem) => problem.into(),
        })),
    }
    if let Some(leadership) = leadership {
        leadership.release().await;
    }
    info!("shut down");
    Ok(())
}

fn host_name() -> String {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/hostname");
    let name = kernel.map(|name| name.trim().to_owned()).unwrap_or_default();
    if name.is_empty() { format!("mergesearch-operator-{}", std::process::id()) } else { name }
}
