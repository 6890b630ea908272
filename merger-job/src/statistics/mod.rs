//! What methods have to know of a whole tensor before they can combine its elements.
#![expect(
    clippy::inline_always,
    reason = "what isn't inlined into a kernel isn't compiled for its instructions"
)]

mod divergence;
mod histogram;
mod sums;

pub(crate) use divergence::divergences;
pub(crate) use histogram::{BYTES_PER_SERIES, Census, Rank, Ranks};
pub(crate) use sums::{Sums, Totals, sums, unit};
