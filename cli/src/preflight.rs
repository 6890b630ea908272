//! What is checked before the first trial: the pool's headers, the output, and the search they make.

use mergesearch_crds::search_config;
use mergesearch_merger::{Location, MergeOptions, Sources, Stores};
use mergesearch_search::SearchConfig;

use crate::failure::Failure;
use crate::merging::{Merging, failure_of, storage_options};
use crate::project::Project;
use crate::state::PoolFacts;

/// What the checks give.
#[derive(Debug)]
pub(crate) struct Preflight {
    pub(crate) merging: Merging,
    pub(crate) config: SearchConfig,
    pub(crate) facts: PoolFacts,
    /// Where merges are published.
    pub(crate) output: Location,
    /// Sentences about the pool.
    pub(crate) warnings: Vec<String>,
}

/// Reads all headers, tries the output, and makes the search's configuration. Wrong input fails with exit code 2, a
/// storage that can't be reached with 1.
pub(crate) async fn preflight(project: &Project, memory: u64) -> Result<Preflight, Failure> {
    let spec = project.spec();
    let output = published_under(project)?;
    let stores = Stores::new(storage_options(&spec.storage)).map_err(Failure::input)?;
    // Locations are the same whatever the layers are; groups need them.
    let sources = search_config(&project.resource, u32::MAX).map_err(Failure::input)?;
    let sources = Sources {
        checkpoints: sources.checkpoints,
        base: sources.base,
        vocabulary: sources.vocabulary,
        align: sources.align,
        tokenizer_from: sources.tokenizer_from,
    };
    let max_shard_size = mergesearch_crds::bytes(&spec.merge.max_shard_size);
    let options = MergeOptions { memory_budget: memory, ..MergeOptions::default() };
    let options = MergeOptions {
        max_shard_size: max_shard_size.unwrap_or(options.max_shard_size),
        overwrite: true,
        ..options
    };
    let first = sources.checkpoints.first().map(|checkpoint| checkpoint.uri.parse::<Location>());
    let merging = Merging::open(stores, &sources, options).await.map_err(|error| failure_of(&error))?;
    merging.check_writable(&output).await.map_err(|error| failure_of(&error.into()))?;
    let dtype = match first {
        Some(Ok(location)) => merging.main_dtype(&location).await.map_err(|error| failure_of(&error))?,
        _ => None,
    };
    let pool = merging.pool();
    let config = search_config(&project.resource, pool.layer_count().unwrap_or(0)).map_err(Failure::input)?;
    Ok(Preflight {
        facts: PoolFacts::of(pool, dtype),
        warnings: pool.warnings().iter().map(ToString::to_string).collect(),
        config,
        output,
        merging,
    })
}

/// `publish.uri`, else `published` under the search's own folder in `storage.output`.
fn published_under(project: &Project) -> Result<Location, Failure> {
    let parse = |uri: &str| uri.parse::<Location>().map_err(Failure::input);
    match &project.spec().publish.uri {
        Some(uri) => parse(uri),
        None => Ok(parse(&project.spec().storage.output)?.join(&project.name).join("published")),
    }
}
