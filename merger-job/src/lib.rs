//! The merger: streams safetensors shards through bounded memory, exactly.

mod blocks;
mod budget;
mod carried;
mod checkpoint;
mod config_rules;
mod contents;
mod element;
mod error;
mod header;
mod job;
mod kernel;
mod layout;
mod location;
mod merge;
mod pipeline;
mod pool;
mod progress;
mod roles;
mod slerp;
mod storage;
mod tokenizer;
mod unique_map;
mod warning;

pub use element::ElementType;
pub use error::{CheckpointError, Error, PoolError};
pub use header::HeaderError;
pub use location::{Location, LocationError};
pub use merge::{MergeOptions, MergeReport, merge};
pub use pool::{PinnedSource, Pool, Sources};
pub use progress::Progress;
pub use storage::{Entry, Fault, Object, StorageError, StorageOptions, Stores};
pub use warning::Warning;
