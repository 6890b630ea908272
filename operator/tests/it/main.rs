//! Whole searches against an in-memory API server, with everything going wrong that can.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod api;
mod contribution;
mod evaluator;
mod handoff;
mod node;
mod operator;
mod simulation;
mod stuck;
