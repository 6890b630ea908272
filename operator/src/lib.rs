//! The operator: keeps every [`MergeSearch`](mergesearch_crds::MergeSearch) of a cluster going.
//!
//! Level-triggered: `observe` (all reads), `decide` (pure), `act` (all writes), again and again.

pub mod identity;
pub mod lease;
pub mod metrics;
pub mod pods;
pub mod server;
pub mod settings;
pub mod telemetry;
