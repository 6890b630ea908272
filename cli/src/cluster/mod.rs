//! Searches on Kubernetes: `mergesearch status`, `watch` and `report`, which only read, with the user's own rights.
//!
//! Everything shown comes from the `MergeSearch` object and the chunks of its journal. `connection` reads them, `chunks`
//! keeps what can't change any more, `account` replays and puts into words, `conditions` says what a search waits for and
//! whether it has ended, `follow` looks on until it has.

mod account;
mod chunks;
mod conditions;
mod connection;
#[cfg(test)]
mod fixture;
mod follow;

use std::io::{self, IsTerminal as _};

use futures::{FutureExt as _, StreamExt as _};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, watch_object};
use mergesearch_crds::MergeSearch;
use mergesearch_search::Search;
use tokio::time::{Duration, sleep};

use self::account::{Account, Replayed, Unreadable};
use self::chunks::Chunks;
use self::connection::{Connection, is_lasting, said};
use self::follow::{Ending, Follower, Interruption};
use crate::args::{ClusterArgs, StatusArgs, StatusOutput, WatchArgs};
use crate::console;
use crate::failure::Failure;
use crate::progress::Display;
use crate::show::{Report, tables};

/// Between a read that failed and the next attempt.
const RETRY: Duration = Duration::from_secs(3);

/// Prints how a search on a cluster stands.
///
/// # Errors
/// When it can't be read, or its journal is damaged; what is known is printed even so.
pub(crate) async fn status(arguments: StatusArgs) -> Result<(), Failure> {
    let StatusArgs { search, output } = arguments;
    let (resource, read) = read(&search).await?;
    let (replayed, damage) = match read {
        Ok(replayed) => (replayed, None),
        Err(damage) => (None, Some(damage)),
    };
    let account = Account::new(&resource, replayed.as_ref());
    let text = match output {
        StatusOutput::Table => account.text(replayed.as_ref()),
        StatusOutput::Json => account.json().map_err(Failure::run)?,
        StatusOutput::Yaml => account.yaml().map_err(Failure::run)?,
    };
    console::output(text).map_err(Failure::run)?;
    damage.map_or(Ok(()), |damage| Err(Failure::run(damage)))
}

/// A search on a cluster and what came out so far.
///
/// # Errors
/// When it can't be read, has not begun, or its journal is damaged.
pub(crate) async fn result(search: &ClusterArgs) -> Result<(Search, Report), Failure> {
    let (resource, read) = read(search).await?;
    let replayed = read.map_err(Failure::run)?;
    match (Account::new(&resource, replayed.as_ref()).report, replayed) {
        (Some(report), Some(Replayed { search, .. })) => Ok((search, report)),
        _ => {
            Err(Failure::Run(format!("search {}: it has not begun, there is nothing to report", search.name)))
        }
    }
}

/// The object of a search, and what its journal tells or why it tells nothing.
async fn read(search: &ClusterArgs) -> Result<(MergeSearch, Result<Option<Replayed>, Unreadable>), Failure> {
    let connection = Connection::open(search).await?;
    let resource = connection.search().await.map_err(|error| connection.failure(&error))?;
    let mut chunks = Chunks::default();
    chunks.refresh(&connection, &resource).await.map_err(|error| connection.failure(&error))?;
    let replayed = Replayed::new(&resource, chunks.all());
    Ok((resource, replayed))
}

/// Shows a search on a cluster while it runs, and its result when it has ended.
///
/// # Errors
/// When the search fails or is deleted, or can't be read.
pub(crate) async fn watch(arguments: WatchArgs) -> Result<(), Failure> {
    let connection = Connection::open(&arguments.search).await?;
    // What is wrong from the start is said at once; only later is it waited for.
    let resource = connection.search().await.map_err(|error| connection.failure(&error))?;
    let objectives = resource.spec.objectives.iter().map(|objective| objective.name.clone()).collect();
    let display =
        if io::stdout().is_terminal() { Display::new(objectives) } else { Display::plain(objectives) };
    let mut follower = Follower::new(&connection, &resource, display);
    let ending = Box::pin(until_ended(&connection, &mut follower, resource)).await;
    follower.finish();
    let Ending { account, replayed, failure } = ending?;
    if let Some(Replayed { search, .. }) = &replayed
        && let Some(report) = &account.report
    {
        console::output(tables(search, report)).map_err(Failure::run)?;
    }
    failure.map_or(Ok(()), |sentence| Err(Failure::Run(sentence)))
}

/// Follows a search through every change of its object, and through times in which nothing is heard of it.
async fn until_ended(
    connection: &Connection,
    follower: &mut Follower<'_>,
    resource: MergeSearch,
) -> Result<Ending, Failure> {
    let mut changes = Box::pin(watch_object(connection.searches(), connection.name()).default_backoff());
    let mut due = Some(resource);
    loop {
        if let Some(resource) = due.take() {
            match follower.follow(&resource).await {
                Ok(None) => {}
                Ok(Some(ending)) => return Ok(ending),
                Err(Interruption::Final(failure)) => return Err(failure),
                Err(Interruption::Unheard) => due = Some(resource),
            }
        }
        let mut change = tokio::select! {
            change = changes.next() => change,
            () = sleep(RETRY), if due.is_some() => continue,
        };
        // What has been overtaken while the last state was shown is passed over.
        while let Some(Some(later)) = changes.next().now_or_never() {
            change = Some(later);
        }
        match change {
            Some(Ok(Some(resource))) => due = Some(resource),
            Some(Ok(None)) => return Err(connection.deleted()),
            Some(Err(error)) => match cause(&error) {
                Some(cause) if is_lasting(cause) => return Err(connection.failure(cause)),
                cause => follower.unheard(&cause.map_or_else(|| error.to_string(), said)),
            },
            None => return Err(Failure::Run("internal: the watch has ended".to_owned())),
        }
    }
}

/// What the client said; `None` for what the watch itself found.
fn cause(error: &watcher::Error) -> Option<&kube::Error> {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => Some(error),
        watcher::Error::WatchError(_) | watcher::Error::NoResourceVersion => None,
    }
}
