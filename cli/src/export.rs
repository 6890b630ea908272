//! `mergesearch export`: the recipe of a trial, in mergekit's language or our own.

use mergesearch_recipe::{Recipe, mergekit};

use crate::args::{ExportArgs, Format};
use crate::console;
use crate::failure::Failure;
use crate::history::{find, reopen, trial};
use crate::state::pool_facts;

/// Prints a recipe.
///
/// # Errors
/// When there is no such trial, or mergekit's language can't say the recipe.
pub(crate) fn export(arguments: &ExportArgs) -> Result<(), Failure> {
    let ExportArgs { trial: name, format, state } = arguments;
    let folder = find(state)?;
    let search = reopen(&folder)?;
    let id = trial(&search, name)?;
    let recipe = search
        .recipe_of(&id)
        .ok_or_else(|| Failure::Input(format!("trial {id}: this search has no such trial")))?;
    let text = match format {
        Format::Recipe => recipe.to_yaml().map_err(Failure::input)?,
        Format::Mergekit => {
            let facts = pool_facts(&folder).map_err(Failure::run)?.unwrap_or_default();
            // Without a type mergekit would compute in that of the models, which loses bits.
            let explicit = Recipe { dtype: recipe.dtype.or(facts.dtype), ..recipe.clone() };
            mergekit::write(&explicit, facts.layers).map_err(Failure::input)?
        }
    };
    console::output(text).map_err(Failure::run)
}
