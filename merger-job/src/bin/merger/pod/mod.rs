//! `merger pod`: one step of a search on Kubernetes, told in the environment and answered in the termination log.

mod cleanup;
mod collect;
mod fault;
mod fetch;
mod handoff;
mod merge;
mod pool;
mod preflight;
mod publish;
mod report;
mod retry;
mod termination;
mod upload;

use std::process::ExitCode;
use std::time::Duration;

use mergesearch_merger::{StorageOptions, Stores};
use mergesearch_search::contract::{FaultClass, Message, Request, StorageAccess, exit_code};

use self::fault::PodFault;
use self::termination::TerminationLog;
use crate::arguments::{Places, Pod, Step};
use crate::terminal::{complain, interruption, note};

/// What a trial's report is called in the trial's folder.
const REPORT: &str = "report.json";
/// Longest wait for uploads to be aborted: a pod has 30 seconds from being asked to end until it is killed.
const CLEANUP: Duration = Duration::from_secs(10);

/// Does the step and ends with the exit code of the contract between operator and pods.
pub(crate) async fn run(pod: &Pod) -> ExitCode {
    let interruption = interruption();
    let log = TerminationLog::of(pod.step, &pod.places.termination_log);
    let outcome = match prepare(pod) {
        Ok((request, stores)) => {
            let outcome = tokio::select! {
                outcome = step(pod, &request, &stores, &log) => outcome,
                () = interruption => log.interrupted(),
            };
            if tokio::time::timeout(CLEANUP, stores.close()).await.is_err() {
                note("some unfinished uploads could not be aborted in time");
            }
            outcome
        }
        Err(fault) => Err(fault),
    };
    let (message, code) = match outcome {
        Ok(message) => (message, exit_code::DONE),
        Err(fault) => {
            complain(&fault.message);
            let code = fault.exit_code();
            (Some(Message::Fault { class: fault.class, message: fault.message }), code)
        }
    };
    let told = message.map_or(Ok(()), |message| log.write(&message));
    if let Err(error) = &told {
        complain(&format!("termination log {:?}: {error}", pod.places.termination_log.display().to_string()));
    }
    let code = if told.is_err() && code == exit_code::DONE { exit_code::TRANSIENT } else { code };
    ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX))
}

/// The request and the way to storage.
fn prepare(pod: &Pod) -> Result<(Request, Stores), PodFault> {
    let value_of = |name: &str| std::env::var(name).ok();
    // The program and the operator are of different versions, or this is no pod: nothing that the recipe did.
    let request = Request::from_environment(value_of).map_err(|error| PodFault::other(&error))?;
    let stores = Stores::new(storage_options(access(&request), &pod.places));
    Ok((request, stores.map_err(|error| PodFault::storage(&error))?))
}

fn access(request: &Request) -> &StorageAccess {
    match request {
        Request::Preflight(request) => &request.storage,
        Request::Merge(request) => &request.storage,
        Request::Trial(request) => &request.storage,
        Request::Collect(request) => &request.storage,
        Request::Publish(request) => &request.storage,
        Request::Cleanup(request) => &request.storage,
    }
}

fn storage_options(access: &StorageAccess, places: &Places) -> StorageOptions {
    StorageOptions {
        endpoint: access.endpoint.clone(),
        region: access.region.clone(),
        path_style: access.path_style,
        profile: None,
        certificates: places.ca_bundle.exists().then(|| places.ca_bundle.clone()),
        claims: Some(places.claims_dir.clone()),
    }
}

/// Does what the request says; `None` where success needs no words.
async fn step(
    pod: &Pod,
    request: &Request,
    stores: &Stores,
    log: &TerminationLog,
) -> Result<Option<Message>, PodFault> {
    let places = &pod.places;
    match (pod.step, request) {
        (Step::Preflight, Request::Preflight(request)) => {
            preflight::run(stores, request, log).await.map(Some)
        }
        (Step::Merge, Request::Trial(request)) => {
            merge::run(stores, request, &places.model_dir).await.map(|()| None)
        }
        (Step::Merge, Request::Merge(request)) => handoff::run(stores, request).await.map(Some),
        (Step::Fetch, Request::Trial(request)) => {
            fetch::run(stores, request, &places.model_dir).await.map(|()| None)
        }
        (Step::Report, Request::Trial(request)) => report::run(stores, request, places, log).await.map(Some),
        (Step::Collect, Request::Collect(request)) => collect::run(stores, request, log).await.map(Some),
        (Step::Publish, Request::Publish(request)) => publish::run(stores, request).await.map(Some),
        (Step::Cleanup, Request::Cleanup(request)) => cleanup::run(stores, request, places).await.map(Some),
        (step, _) => Err(PodFault {
            class: FaultClass::Other,
            message: format!("MERGESEARCH_REQUEST: it is not for the step {step:?}"),
            retry: false,
        }),
    }
}
