//! `merger merge`.

use std::time::Instant;

use bytesize::ByteSize;
use mergesearch_merger::{Error, Progress, Publication, Stores, publish};

use crate::arguments::Merge;
use crate::progress::watch;
use crate::reading;
use crate::terminal::{note, print};

pub(crate) async fn run(stores: &Stores, arguments: &Merge) -> Result<(), Error> {
    let begun = Instant::now();
    let (recipe, pool) = reading::open(stores, &arguments.recipe.path).await?;
    let progress = Progress::default();
    let options = arguments.limits.options(arguments.overwrite);
    let publication = Publication::default();
    let merge = publish(stores, &pool, &recipe, &arguments.output, &options, &progress, &publication);
    let report = watch(&progress, merge).await?;
    for warning in &report.warnings {
        note(&format!("warning: {warning}"));
    }
    let size = |bytes: u64| ByteSize(bytes).display().si();
    print(&format!(
        "merged {} checkpoints into {}: {} in {} file(s), {} read, {:.1} s",
        recipe.checkpoints.len(),
        arguments.output,
        size(report.bytes_written),
        report.shards.len(),
        size(report.bytes_read),
        begun.elapsed().as_secs_f64(),
    ));
    Ok(())
}
