//! `mergesearch`: runs a `MergeSearch` manifest on one machine, and shows, exports and publishes what came out; shows
//! searches on Kubernetes.
//!
//! The search engine decides, the merger merges, the evaluator is the user's own program; this crate is what is between
//! them. `run` is the executor, `state` what survives a crash, `supervise` what keeps an evaluator from
//! outliving the run, `cluster` what looks at searches on Kubernetes, `judge` what says how much a search was worth.

mod args;
mod cluster;
mod commands;
mod console;
mod evaluator;
mod export;
mod failure;
mod history;
mod judge;
mod merging;
mod preflight;
mod progress;
mod project;
mod publish;
mod report;
mod run;
mod scores;
mod show;
mod state;
mod supervise;
mod validate;

pub use commands::main;
