//! Whole searches against an in-memory API server, with everything going wrong that can.

mod api;
mod evaluator;
mod node;
mod operator;
mod simulation;
mod stuck;
