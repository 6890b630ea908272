//! `merger merge`.

use std::time::Instant;

use bytesize::ByteSize;
use mergesearch_merger::{Error, MergeReport, Part, Progress, Publication, Sources, Stores, publish_all};
use mergesearch_recipe::Recipe;

use crate::arguments::Merge;
use crate::progress::watch;
use crate::reading;
use crate::terminal::{note, print};

pub(crate) async fn run(stores: &Stores, arguments: &Merge) -> Result<(), Error> {
    let begun = Instant::now();
    let recipes = reading::read_all(stores, &arguments.recipes).await?;
    let Some(first) = recipes.first() else { return Ok(()) };
    let pool = reading::open_pool(stores, &Sources::from(first)).await?;
    let progress = Progress::default();
    let mut options = arguments.limits.options(arguments.overwrite);
    options.part = part(arguments)?;
    let publication = Publication::default();
    if recipes.len() != arguments.outputs.len() {
        return Err(Error::Outputs { recipes: recipes.len(), outputs: arguments.outputs.len() });
    }
    let mergings: Vec<_> = recipes.iter().zip(&arguments.outputs).collect();
    let merges = publish_all(stores, &pool, &mergings, &options, &progress, &publication);
    let reports = watch(&progress, "merging", merges).await?;
    for ((recipe, output), report) in mergings.into_iter().zip(&reports) {
        for warning in &report.warnings {
            note(&format!("warning: {warning}"));
        }
        print(&line(recipe, &output.to_string(), report, begun.elapsed().as_secs_f64()));
    }
    Ok(())
}

fn line(recipe: &Recipe, output: &str, report: &MergeReport, seconds: f64) -> String {
    let size = |bytes: u64| ByteSize(bytes).display().si();
    let rest = if report.complete { "" } else { "; other parts are still missing" };
    let count = recipe.checkpoints.len();
    format!(
        "merged {count} checkpoints into {output}: {} in {} file(s), {} read, {seconds:.1} s{rest}",
        size(report.bytes_written),
        report.shards.len(),
        size(report.bytes_read),
    )
}

/// Which part of the output is made; an index without a count is a Job's that isn't about shards.
fn part(arguments: &Merge) -> Result<Option<Part>, Error> {
    match (arguments.shard_index, arguments.shard_count) {
        (index, Some(count)) => {
            let index = index.unwrap_or(0);
            if index < count { Ok(Some(Part { index, count })) } else { Err(Error::Part { index, count }) }
        }
        (_, None) => Ok(None),
    }
}
