//! Holding the Lease: renewals, until it is released or lost.

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::api::PostParams;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep_until};

use super::step::{holder, released, renewed, same_tenure};
use super::{API_TIMEOUT, Fault, LOST_AFTER, Loss, NAME, RENEW_EVERY, RENEW_TIMEOUT, RETRY_EVERY, answered};

/// A held Lease.
pub(super) struct Tenure {
    api: Api<Lease>,
    /// As the API server last answered it.
    held: Lease,
    /// When the last renewal that arrived was sent.
    renewed: Instant,
}

/// Why a renewal did not succeed.
enum Failure {
    Lost(Loss),
    /// It may still be ours.
    Fault(Fault),
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl Tenure {
    /// The Lease as answered to the claim that was sent at a moment.
    pub(super) const fn new(api: Api<Lease>, held: Lease, renewed: Instant) -> Self {
        Self { api, held, renewed }
    }

    /// Renews until told to release, or, with a word to `verdict`, until the Lease is not ours any more.
    ///
    /// Ends without releasing when the other end of `release` is dropped.
    pub(super) async fn keep(
        mut self,
        mut release: oneshot::Receiver<()>,
        verdict: watch::Sender<Option<Loss>>,
    ) {
        let mut next = self.renewed + RENEW_EVERY;
        let mut reason = String::new();
        loop {
            let end = self.renewed + LOST_AFTER;
            tokio::select! {
                biased;
                asked = &mut release => {
                    if asked.is_ok() {
                        self.give_back().await;
                    }
                    return;
                }
                () = sleep_until(next.min(end)) => {}
            }
            if Instant::now() >= end {
                verdict.send_replace(Some(Loss::NotRenewed { reason }));
                return;
            }
            let started = Instant::now();
            match self.renew(started).await {
                Ok(()) => next = self.renewed + RENEW_EVERY,
                Err(Failure::Lost(loss)) => {
                    verdict.send_replace(Some(loss));
                    return;
                }
                Err(Failure::Fault(fault)) => {
                    tracing::warn!(lease = NAME, %fault, "the lease is not renewed");
                    reason = fault.to_string();
                    next = started + RETRY_EVERY;
                }
            }
        }
    }

    async fn renew(&mut self, started: Instant) -> Result<(), Failure> {
        let until = (started + RENEW_TIMEOUT).min(self.renewed + LOST_AFTER);
        let lease = renewed(&self.held, Timestamp::now());
        match answered(until, self.api.replace(NAME, &PostParams::default(), &lease)).await {
            Ok(held) => {
                self.held = held;
                self.renewed = started;
                Ok(())
            }
            // Not yet a loss: a renewal whose answer was lost, or an annotation, changes the version too.
            Err(fault) if fault.lost_race() => {
                self.look(until).await?;
                Err(Failure::Fault(fault))
            }
            Err(fault) => Err(Failure::Fault(fault)),
        }
    }

    /// Reads the Lease, and keeps it when it is still ours.
    async fn look(&mut self, until: Instant) -> Result<(), Failure> {
        let Some(found) = answered(until, self.api.get_opt(NAME)).await? else {
            return Err(Failure::Lost(Loss::Deleted));
        };
        if same_tenure(&self.held, &found) {
            self.held = found;
            return Ok(());
        }
        let now = holder(&found).unwrap_or("nobody").to_owned();
        Err(Failure::Lost(if holder(&found) == holder(&self.held) {
            Loss::SameIdentity { identity: now }
        } else {
            Loss::Taken { holder: now }
        }))
    }

    /// Clears the holder.
    async fn give_back(&mut self) {
        let until = Instant::now() + API_TIMEOUT;
        let parameters = PostParams::default();
        loop {
            let lease = released(&self.held, Timestamp::now());
            let Err(fault) = answered(until, self.api.replace(NAME, &parameters, &lease)).await else {
                tracing::info!(lease = NAME, "released");
                return;
            };
            // Another version of our own Lease: once more. Anything else ends it, as the lease expires anyway.
            if !fault.lost_race() || self.look(until).await.is_err() {
                tracing::warn!(lease = NAME, %fault, "the lease is not released, and expires");
                return;
            }
        }
    }
}
