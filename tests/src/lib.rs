//! What the cross-crate tests stand on: real S3 servers, a meddling proxy, generated pools and the built programs.
//!
//! Everything here is for tests only and panics where a program would report an error: a test that can't set up its
//! world has failed.
#![allow(
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::panic,
    clippy::unwrap_used,
    reason = "this library is part of the tests"
)]

mod bucket;
pub mod cluster;
mod pool;
mod programs;
mod proxy;
mod server;

pub use bucket::Bucket;
pub use pool::{Pool, Shape, folder_bytes};
pub use programs::{Finished, Program, Running, file_uri, merger, mergesearch, operator, workspace};
pub use proxy::{Action, Proxy, Request};
pub use server::{Kind, Server};
