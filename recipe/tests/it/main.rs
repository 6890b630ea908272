//! What the recipe crate promises to its callers, through its public face only.

mod mergekit_read;
mod mergekit_write;
mod yaml;
