//! What the recipe crate promises to its callers, through its public face only.

#![expect(clippy::unwrap_used, reason = "a failed test is a panic")]

mod mergekit_adapters;
mod mergekit_read;
mod mergekit_write;
mod yaml;
