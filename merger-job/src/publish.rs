//! Publishes a merge: the model with its card and its recipe in both languages, complete or not looking so.

use bytes::Bytes;
use mergesearch_recipe::{Recipe, mergekit};

use crate::card::{self, Publication};
use crate::job::jobs;
use crate::merge::{Merging, main_float, merge_all};
use crate::output::is_complete;
use crate::pool::Pool;
use crate::storage::{Fault, Stores};
use crate::{Error, Location, MergeOptions, MergeReport, Progress, Warning};

/// The file with a model's recipe.
pub(crate) const RECIPE: &str = "recipe.yaml";
/// Longest recipe that is read back.
const MAX_RECIPE: u64 = 64 << 20;

/// Whether the output is already a whole model that was published by this very recipe.
pub async fn is_published(stores: &Stores, recipe: &Recipe, output: &Location) -> Result<bool, Error> {
    let names = match stores.list(output).await {
        Ok(names) => names,
        Err(error) if matches!(error.fault, Fault::NotFound(_)) => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    let has = |name: &str| names.iter().any(|entry| entry.name == name);
    if !is_complete(has) || !has(RECIPE) {
        return Ok(false);
    }
    Ok(stores.get(&output.join(RECIPE), MAX_RECIPE).await? == recipe.to_yaml()?)
}

/// Like [`crate::merge()`], with `README.md` (a model card), `recipe.yaml` and `mergekit_config.yml` beside the model.
///
/// The last is left out, with a warning, when mergekit's language can't say the recipe.
pub async fn publish(
    stores: &Stores,
    pool: &Pool,
    recipe: &Recipe,
    output: &Location,
    options: &MergeOptions,
    progress: &Progress,
    publication: &Publication,
) -> Result<MergeReport, Error> {
    let mut reports = publish_all(stores, pool, &[(recipe, output)], options, progress, publication).await?;
    Ok(reports.remove(0))
}

/// Like [`merge_all`](crate::merge_all()), each model with the files that [`publish`] puts beside it.
pub async fn publish_all(
    stores: &Stores,
    pool: &Pool,
    merges: &[(&Recipe, &Location)],
    options: &MergeOptions,
    progress: &Progress,
    publication: &Publication,
) -> Result<Vec<MergeReport>, Error> {
    let (mut mergings, mut warnings) = (Vec::new(), Vec::new());
    // Told the output's type, mergekit computes in float32; else in the models' own, which loses bits.
    let float = match merges {
        [(recipe, _), ..] => main_float(&jobs(pool, std::slice::from_ref(*recipe))?),
        [] => None,
    };
    for &(recipe, output) in merges {
        let yaml = recipe.to_yaml()?;
        let readme = card::write(publication, pool, recipe, &yaml);
        let mut beside = vec![("README.md", Bytes::from(readme)), (RECIPE, Bytes::from(yaml))];
        let explicit = Recipe { dtype: recipe.dtype.or_else(|| float.map(Into::into)), ..recipe.clone() };
        if let Some(adapter) = pool.adapter() {
            warnings
                .push(Some(Warning::NoMergekit { reason: format!("checkpoint {adapter} is an adapter") }));
            mergings.push(Merging { recipe, output, beside });
            continue;
        }
        warnings.push(match mergekit::write(&explicit, pool.layer_count()) {
            Ok(yaml) => {
                beside.push(("mergekit_config.yml", Bytes::from(yaml)));
                None
            }
            Err(error) => Some(Warning::NoMergekit { reason: error.to_string() }),
        });
        mergings.push(Merging { recipe, output, beside });
    }
    let mut reports = merge_all(stores, pool, mergings, options, progress).await?;
    for (report, warning) in reports.iter_mut().zip(warnings) {
        report.warnings.extend(warning);
    }
    Ok(reports)
}
