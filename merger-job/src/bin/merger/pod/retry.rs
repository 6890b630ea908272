//! Another chance for what may pass.

use std::time::Duration;

use mergesearch_search::contract::FaultClass;

use super::fault::PodFault;
use crate::terminal::note;

/// Waits between attempts grow from here.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// Longest wait between attempts.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Does the work until it succeeds, fails for good, or has been tried so often. The client of the storage has by then
/// tried every single request several times.
pub(super) async fn retry<T>(
    attempts: u32,
    work: impl AsyncFn() -> Result<T, PodFault>,
) -> Result<T, PodFault> {
    let mut wait = FIRST_WAIT;
    let mut attempt = 1;
    loop {
        match work().await {
            Err(fault) if attempt < attempts && fault.retry => {
                note(&format!("{}; trying again in {} s", fault.message, wait.as_secs()));
                tokio::time::sleep(wait).await;
                wait = LONGEST_WAIT.min(2 * wait);
                attempt += 1;
            }
            outcome => return outcome,
        }
    }
}

/// The work's outcome, or a fault of storage when the time is over.
pub(super) async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, PodFault>>,
) -> Result<T, PodFault> {
    let over = |_| {
        let message = format!("storage: it did not answer well within {} seconds", limit.as_secs());
        PodFault::new(FaultClass::Storage, &message)
    };
    tokio::time::timeout(limit, work).await.unwrap_or_else(|elapsed| Err(over(elapsed)))
}
