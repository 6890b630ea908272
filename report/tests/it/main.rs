//! Tests of the report: its page and its pictures.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod example;
mod page;
mod pictures;
