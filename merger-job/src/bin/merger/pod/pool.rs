//! The pool of a recipe, as it was when the search began or not at all.

use mergesearch_merger::{Pool, Sources, Stores};
use mergesearch_recipe::Recipe;
use mergesearch_search::contract::FaultClass;

use super::fault::PodFault;

/// Opens the recipe's checkpoints and compares their fingerprints with those of the preflight.
pub(super) async fn open(
    stores: &Stores,
    recipe: &Recipe,
    fingerprints: &[String],
) -> Result<Pool, PodFault> {
    recipe.validate().map_err(|error| PodFault::new(FaultClass::Input, &error))?;
    let pool =
        Pool::open(stores, &Sources::from(recipe)).await.map_err(|error| PodFault::of_merge(&error))?;
    let found = pool.fingerprints();
    if found.len() != fingerprints.len() {
        let (expected, found) = (found.len(), fingerprints.len());
        let message =
            format!("fingerprints: expected {expected}, one for each checkpoint and the base, got {found}");
        return Err(PodFault::new(FaultClass::Input, &message));
    }
    let changed = pool.sources().zip(found.iter().zip(fingerprints)).find(|(_, (now, then))| now != then);
    match changed {
        Some((source, _)) => {
            let message = format!(
                "checkpoint {}: {:?} is not what it was when the search began; put it back, or begin a new search",
                source.name, source.uri
            );
            Err(PodFault::new(FaultClass::PoolChanged, &message))
        }
        None => Ok(pool),
    }
}
