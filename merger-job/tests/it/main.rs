//! The merger from outside: merges on real files compared with a plain in-memory reference.

#![allow(clippy::unwrap_used, clippy::panic, reason = "whatever fails in a test fails the test")]

mod adjusted;
mod experts;
mod hostile;
mod merging;
mod methods;
mod planning;
mod pod;
mod pools;
mod program;
mod reference;
mod server;
mod shapes;
mod vocabularies;
