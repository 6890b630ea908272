//! The merger: streams safetensors shards through bounded memory, exactly.
//!
//! [`Pool::open`] reads the headers of all checkpoints and says, in one sentence, why they can't be merged, if they
//! can't. [`merge()`] and [`publish`] make one merge of a pool by a [`mergesearch_recipe::Recipe`]; [`plan()`] says what it
//! will take. Everything is read and written through [`Stores`]: local folders and S3.
//!
//! ```no_run
//! use mergesearch_merger::{Error, MergeOptions, Pool, Progress, Sources, StorageOptions, Stores, merge};
//! use mergesearch_recipe::Recipe;
//!
//! async fn make(recipe: &Recipe) -> Result<(), Error> {
//!     let stores = Stores::new(StorageOptions::default())?;
//!     let pool = Pool::open(&stores, &Sources::from(recipe)).await?;
//!     let output = "file:///data/merged".parse()?;
//!     let report = merge(&stores, &pool, recipe, &output, &MergeOptions::default(), &Progress::default()).await?;
//!     assert_eq!(report.nan, 0);
//!     stores.close().await;
//!     Ok(())
//! }
//! ```
//!
//! What a merge computes: every element in f64, terms added in the recipe's order, each product and sum one rounded
//! operation, then rounded once to the output's type. `docs/methods.md` has every method's formula. Sources of weight 0
//! are not read. Results are the same, bit for bit, whatever the memory, the number of threads, the vectors of the
//! processor and the size of the output's files.

mod adapter;
mod adjustment;
mod blocks;
mod budget;
mod card;
mod carried;
mod checkpoint;
mod config_rules;
mod contents;
mod element;
mod error;
mod experts;
mod fetch;
mod fingerprint;
#[cfg(fuzzing)]
pub mod fuzzing;
mod header;
mod inspect;
mod job;
mod kernel;
mod layout;
mod location;
mod merge;
mod methods;
mod output;
mod pipeline;
mod plan;
mod pool;
mod printable;
mod progress;
mod provenance;
mod publish;
mod results;
mod roles;
mod simd;
mod sphere;
mod statistics;
mod storage;
mod tokenizer;
mod unique_map;
mod vocabulary;
mod warning;

pub use card::Publication;
pub use element::ElementType;
pub use error::{CheckpointError, Error, PoolError};
pub use fetch::fetch;
pub use header::HeaderError;
pub use inspect::{InspectedFile, InspectedTensor, Inspection, inspect};
pub use location::{Location, LocationError};
pub use merge::{MergeOptions, MergeReport, Merging, Part, merge, merge_all};
pub use plan::{PartPlan, Plan, plan};
pub use pool::{PinnedSource, Pool, Sources};
pub use printable::printable;
pub use progress::Progress;
pub use publish::{is_published, publish, publish_all};
pub use results::{UnusableResults, newest_results, samples, stage_scores};
pub use storage::{Entry, Fault, Object, StorageError, StorageOptions, Stores};
pub use warning::Warning;
