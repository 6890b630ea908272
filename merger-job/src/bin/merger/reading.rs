//! Reads recipe files, ours or mergekit's, and opens their pool.

use std::path::{Path, PathBuf};

use mergesearch_merger::{Error, Fault, Location, Pool, Sources, StorageError, Stores, inspect};
use mergesearch_recipe::mergekit::MergekitError;
use mergesearch_recipe::{Recipe, YamlError};

use crate::terminal::note;

/// The recipes in the files.
pub(crate) async fn read_all(stores: &Stores, paths: &[PathBuf]) -> Result<Vec<Recipe>, Error> {
    let mut recipes = Vec::new();
    for path in paths {
        recipes.push(read(stores, path).await?);
    }
    Ok(recipes)
}

/// The pool; its warnings are printed.
pub(crate) async fn open_pool(stores: &Stores, sources: &Sources) -> Result<Pool, Error> {
    let pool = Pool::open(stores, sources).await?;
    for warning in pool.warnings() {
        note(&format!("warning: {warning}"));
    }
    Ok(pool)
}

/// The recipe in the file.
async fn read(stores: &Stores, path: &Path) -> Result<Recipe, Error> {
    let fail = |error: &std::io::Error| StorageError {
        location: format!("recipe {:?}", path.display().to_string()),
        fault: Fault::from_io(error),
    };
    let text = tokio::fs::read_to_string(path).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::InvalidData => Error::Yaml(YamlError::Yaml(error.to_string())),
        _ => fail(&error).into(),
    })?;
    // Relative model paths of a mergekit YAML start where it lies.
    let path = std::path::absolute(path).map_err(|error| fail(&error))?;
    let folder = path.parent().unwrap_or_else(|| Path::new("/")).to_string_lossy().into_owned();
    match Recipe::from_yaml_any(&text, &folder, None) {
        Err(YamlError::Mergekit(MergekitError::LayersNeeded { uri })) => {
            let location: Location = uri.parse()?;
            let layers = inspect(stores, &location).await?.layers;
            Ok(Recipe::from_yaml_any(&text, &folder, layers)?)
        }
        read => Ok(read?),
    }
}
