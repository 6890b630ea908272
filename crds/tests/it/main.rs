//! The manifest and the generated files, from outside.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a failing test panics")]

mod cel;
mod generated;
mod manifest;
mod mistakes;
mod search_config;
