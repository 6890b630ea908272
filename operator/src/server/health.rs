//! What a process says of its own health. Alive is not ready: who is not alive is restarted, who is not ready only waits.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A sign of life from the main loop. Clones share it.
#[derive(Debug, Clone)]
pub struct Heartbeat {
    limit: Duration,
    last: Arc<Mutex<Instant>>,
}

impl Heartbeat {
    /// A heart that has just beaten, and that may be silent for less than `limit`.
    pub fn new(limit: Duration) -> Self {
        Self { limit, last: Arc::new(Mutex::new(Instant::now())) }
    }

    /// The main loop moves.
    pub fn beat(&self) {
        *lock(&self.last) = Instant::now();
    }

    /// The time since the last beat when it has reached the limit.
    pub fn silent_too_long(&self) -> Option<Duration> {
        Some(lock(&self.last).elapsed()).filter(|silence| *silence >= self.limit)
    }
}

/// What the process waits for before it can do its work; ready when that is nothing. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<Mutex<BTreeMap<&'static str, String>>>);

impl Readiness {
    /// Waiting for things, each with the reason.
    pub fn waiting_for<const COUNT: usize>(things: [(&'static str, &str); COUNT]) -> Self {
        Self(Arc::new(Mutex::new(things.map(|(what, why)| (what, why.to_owned())).into())))
    }

    /// `what` is missing, whether or not it was there before; `why` replaces an earlier reason.
    pub fn wait_for(&self, what: &'static str, why: impl Into<String>) {
        lock(&self.0).insert(what, why.into());
    }

    /// `what` is there.
    pub fn met(&self, what: &'static str) {
        lock(&self.0).remove(what);
    }

    /// What is missing and why, by name.
    pub fn missing(&self) -> BTreeMap<&'static str, String> {
        lock(&self.0).clone()
    }
}

fn lock<Value>(mutex: &Mutex<Value>) -> MutexGuard<'_, Value> {
    // Whole values are put in: a panic elsewhere leaves nothing half done.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
