//! Tests of the quickstart programs as their users run them, on the checkpoints of the pool.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod evaluator;
mod pool;
