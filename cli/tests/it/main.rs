//! The program as its users meet it: real checkpoints, a real evaluator, real signals.

mod failures;
mod fixture;
mod input;
mod interruption;
mod outputs;
mod parallelism;
mod processes;
