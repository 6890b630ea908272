//! The program as its users meet it: real checkpoints, a real evaluator, real signals.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, its helpers too"
)]

mod failures;
mod fixture;
mod input;
mod interruption;
mod outputs;
mod parallelism;
mod processes;
