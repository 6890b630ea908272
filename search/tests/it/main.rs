//! Integration tests of the search engine.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod ask_tell;
mod cma_fixtures;
mod cma_search;
mod contribution;
mod laboratory;
mod search_machine;
