//! The operator: keeps every [`MergeSearch`](mergesearch_crds::MergeSearch) of a cluster going.
//!
//! Level-triggered: `observe` (all reads), `decide` (pure), `act` (all writes), again and again.

mod cluster;
pub mod controller;
pub mod decide;
#[cfg(test)]
mod fixtures;
pub mod identity;
mod journal;
pub mod lease;
pub mod metrics;
pub mod observe;
pub mod pods;
pub mod server;
pub mod settings;
pub mod telemetry;
