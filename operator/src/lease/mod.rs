//! One replica leads: whoever holds the Lease `mergesearch-operator`.
//!
//! A holder that can't renew for [`LOST_AFTER`] has lost the Lease, whatever the API server would say; another takes it
//! only after [`DURATION`] without a change. In between, every request that the old leader had under way runs into
//! [`API_TIMEOUT`]: `LOST_AFTER + API_TIMEOUT` is not more than `DURATION`. What has lost the Lease must exit: there is no
//! way back but to start anew, because its caches and its journal are then those of a replica that does not lead.

use std::pin::pin;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::jiff::Timestamp;
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout_at};

#[cfg(test)]
mod fake;
mod step;
mod tenure;
#[cfg(test)]
mod tests;

pub use step::{Observed, Step, decide, holder};
use tenure::Tenure;

/// The name of the Lease.
pub const NAME: &str = "mergesearch-operator";
/// How long a silent holder keeps the Lease.
pub const DURATION: Duration = Duration::from_secs(15);
/// How often the holder renews.
pub const RENEW_EVERY: Duration = Duration::from_secs(5);
/// How long after the last renewal the holder gives itself up.
pub const LOST_AFTER: Duration = Duration::from_secs(10);
/// How long a request may take. The leader's other requests have to keep to it too.
pub const API_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a replica that waits looks.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How long one renewal may take: short enough that one lost answer leaves time for two more attempts.
const RENEW_TIMEOUT: Duration = Duration::from_secs(3);
/// How often a holder tries again after a failed renewal.
const RETRY_EVERY: Duration = Duration::from_secs(1);

const _: () = assert!(LOST_AFTER.as_secs() + API_TIMEOUT.as_secs() <= DURATION.as_secs());

/// The Lease, held and renewed in the background until it is released, lost, or dropped.
#[derive(Debug)]
#[must_use = "a dropped Leadership stops renewing, and the Lease expires"]
pub struct Leadership {
    lost: watch::Receiver<Option<Loss>>,
    release: oneshot::Sender<()>,
    renewing: JoinHandle<()>,
}

/// Why a replica does not lead yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standby {
    /// Another replica holds the Lease.
    Behind {
        /// Its identity.
        holder: String,
    },
    /// The Lease can't be read or written: the API server is away, or RBAC does not allow it.
    Unreachable {
        /// What the API server says.
        reason: String,
    },
}

/// Why the Lease is not ours any more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Loss {
    /// Another replica has it, or somebody has cleared its holder.
    #[error("the lease {NAME} is now held by {holder}")]
    Taken {
        /// The new holder.
        holder: String,
    },
    /// A second process goes by our name.
    #[error(
        "another process holds the lease {NAME} as {identity} too: each replica needs its own --identity"
    )]
    SameIdentity {
        /// The name.
        identity: String,
    },
    /// Somebody deleted it.
    #[error("the lease {NAME} was deleted")]
    Deleted,
    /// No renewal arrived in time.
    #[error("the lease {NAME} could not be renewed for {} s: {reason}", LOST_AFTER.as_secs())]
    NotRenewed {
        /// What happened to the last attempt.
        reason: String,
    },
    /// The task that renews has ended.
    #[error("the task that renews the lease {NAME} has ended")]
    Stopped,
}

impl Leadership {
    /// Waits until this replica leads; `None` when `shutdown` resolves first.
    ///
    /// `identity` is this replica's name, which no other may have. `standby` is told, at every look, why it is not yet
    /// its turn. Faults of the API server are waited out.
    pub async fn acquire(
        client: Client,
        namespace: &str,
        identity: &str,
        shutdown: impl Future<Output = ()>,
        mut standby: impl FnMut(&Standby),
    ) -> Option<Self> {
        let api = Api::namespaced(client, namespace);
        let mut shutdown = pin!(shutdown);
        let mut observed = None;
        loop {
            // Not raced with the shutdown: a claim that is cut off may still arrive, and nobody would release it.
            let next = match campaign(&api, identity, &mut observed).await {
                Ok(Campaign::Won(tenure)) => return Some(Self::of(*tenure)),
                Ok(Campaign::Behind { holder, until }) => {
                    standby(&Standby::Behind { holder });
                    until.min(Instant::now() + LOOK_EVERY)
                }
                Ok(Campaign::Beaten) => Instant::now() + LOOK_EVERY,
                Err(fault) => {
                    tracing::warn!(namespace, lease = NAME, %fault, "can't read or write the lease");
                    standby(&Standby::Unreachable { reason: fault.to_string() });
                    Instant::now() + LOOK_EVERY
                }
            };
            tokio::select! {
                biased;
                () = &mut shutdown => return None,
                () = sleep_until(next) => {}
            }
        }
    }

    /// Resolves when the Lease is lost: the process has to exit at once, without another write.
    pub async fn lost(&self) -> Loss {
        match self.lost.clone().wait_for(Option::is_some).await {
            Ok(loss) => loss.clone().unwrap_or(Loss::Stopped),
            Err(_) => Loss::Stopped,
        }
    }

    /// Hands the Lease back, so that another replica leads within two seconds instead of fifteen.
    ///
    /// Only after the last write of this leader has been answered. When the API server does not answer within five
    /// seconds, or the Lease is lost already, nothing is handed back and the Lease expires.
    pub async fn release(self) {
        let Self { lost: _, release, renewing } = self;
        // Fails when the Lease is lost already: then there is nothing to hand back.
        let _ = release.send(());
        if let Err(error) = renewing.await {
            tracing::warn!(lease = NAME, %error, "the lease is not released");
        }
    }

    fn of(tenure: Tenure) -> Self {
        let (sender, lost) = watch::channel(None);
        let (release, released) = oneshot::channel();
        let renewing = tokio::spawn(tenure.keep(released, sender));
        Self { lost, release, renewing }
    }
}

/// How one attempt to lead went.
enum Campaign {
    Won(Box<Tenure>),
    /// Another replica holds the Lease.
    Behind {
        holder: String,
        until: Instant,
    },
    /// Another replica wrote first.
    Beaten,
}

async fn campaign(
    api: &Api<Lease>,
    identity: &str,
    observed: &mut Option<Observed>,
) -> Result<Campaign, Fault> {
    let found = answered(Instant::now() + API_TIMEOUT, api.get_opt(NAME)).await?;
    let now = Instant::now();
    *observed = found.map(|lease| Observed::next(observed.as_ref(), lease, now));
    let seen = observed.as_ref().map(Observed::lease);

    let step = decide(observed.as_ref(), identity, now);
    if let Step::Wait(until) = step {
        let holder = seen.and_then(holder).unwrap_or_default().to_owned();
        return Ok(Campaign::Behind { holder, until });
    }
    let claim = step::claimed(seen, identity, Timestamp::now());
    let parameters = PostParams::default();
    let answer = if step == Step::Create {
        answered(now + API_TIMEOUT, api.create(&parameters, &claim)).await
    } else {
        answered(now + API_TIMEOUT, api.replace(NAME, &parameters, &claim)).await
    };
    match answer {
        Ok(held) => {
            tracing::info!(lease = NAME, identity, ?step, "leading");
            // From before the request: others count from when they see it.
            Ok(Campaign::Won(Box::new(Tenure::new(api.clone(), held, now))))
        }
        Err(fault) if fault.lost_race() => Ok(Campaign::Beaten),
        Err(fault) => Err(fault),
    }
}

/// Why a request has no useful answer.
#[derive(Debug, thiserror::Error)]
enum Fault {
    // The client's messages tell their source already.
    #[error("{0}")]
    Api(kube::Error),
    #[error("the API server did not answer in time")]
    Timeout,
}

impl Fault {
    /// Whether the object is not the one that the write was for.
    fn lost_race(&self) -> bool {
        matches!(self, Self::Api(kube::Error::Api(status))
            if status.is_conflict() || status.is_already_exists() || status.is_not_found())
    }
}

/// A request's answer, waited for until a moment.
async fn answered<Answer>(
    until: Instant,
    request: impl Future<Output = kube::Result<Answer>>,
) -> Result<Answer, Fault> {
    timeout_at(until, request).await.map_err(|_| Fault::Timeout)?.map_err(Fault::Api)
}
