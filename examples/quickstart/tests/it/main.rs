//! Tests of the quickstart programs as their users run them, on the checkpoints of the pool.

mod evaluator;
mod pool;
