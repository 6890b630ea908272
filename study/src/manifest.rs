//! The manifest of one search of the study, made from the quickstart's own.

use std::fs;
use std::path::Path;

use mergesearch_crds::{Manifest, MergeSearch, Place};

use crate::error::StudyError;
use crate::pool::choose;
use crate::settings::Setting;

/// The quickstart's manifest, seen from the repository's root.
const QUICKSTART: &str = "examples/quickstart/mergesearch.yaml";

/// The manifest of a search: the quickstart's with what the setting changes, publishing nothing.
///
/// `repository` is the root of the repository and has to be absolute.
///
/// # Errors
/// When the quickstart's manifest can't be read, keeps not all rules, or lacks an objective of the setting.
pub fn manifest(
    repository: &Path,
    setting: &Setting,
    seed: u64,
    max_trials: i32,
) -> Result<MergeSearch, StudyError> {
    let path = repository.join(QUICKSTART);
    let wrong = |problem: String| StudyError::Manifest { path: path.clone(), problem };
    let text = fs::read_to_string(&path).map_err(StudyError::at(&path))?;
    let mut resource =
        Manifest::parse(&text, Place::Local).map_err(|error| wrong(error.to_string()))?.resource;
    resource.metadata.name = Some(format!("{}-{seed}", setting.name));
    let spec = &mut resource.spec;
    spec.pool.checkpoints = choose(std::mem::take(&mut spec.pool.checkpoints), setting.pool, seed);
    spec.objectives.retain(|objective| setting.objectives.contains(&objective.name.as_str()));
    if spec.objectives.len() != setting.objectives.len() {
        return Err(wrong(format!("expected the objectives {}", setting.objectives.join(", "))));
    }
    spec.merge.weights.non_negative = setting.non_negative;
    spec.search.population_size = setting.population;
    spec.search.seed = seed.cast_signed();
    spec.budget.max_trials = max_trials;
    spec.publish.top = 0;
    spec.resolve_files(path.parent().unwrap_or(repository));
    Ok(resource)
}

/// The manifest as text.
///
/// # Errors
/// Never for a resource that was read from a manifest.
pub fn text(resource: &MergeSearch, path: &Path) -> Result<String, StudyError> {
    serde_saphyr::to_string(resource)
        .map_err(|error| StudyError::Manifest { path: path.to_owned(), problem: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{MAX_TRIALS, SETTINGS};

    fn repository() -> &'static Path {
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
    }

    #[test]
    fn every_setting_is_a_manifest_that_keeps_all_rules() {
        let folder = std::path::absolute(repository()).unwrap();
        for setting in SETTINGS {
            let resource = manifest(&folder, setting, 5, MAX_TRIALS).unwrap();
            let text = text(&resource, Path::new("manifest.yaml")).unwrap();
            let read = Manifest::parse(&text, Place::Local)
                .unwrap_or_else(|error| panic!("{}: {error}", setting.name));
            assert_eq!(read.resource, resource, "{}", setting.name);
            let uri = &resource.spec.pool.checkpoints[0].uri;
            assert!(Path::new(uri.strip_prefix("file://").unwrap()).is_dir(), "{uri}");
        }
    }

    #[test]
    fn the_first_setting_is_the_quickstart_itself() {
        let text = fs::read_to_string(repository().join(QUICKSTART)).unwrap();
        let quickstart = Manifest::parse(&text, Place::Local).unwrap().resource.spec;
        let ours = manifest(repository(), &SETTINGS[0], 1, MAX_TRIALS).unwrap().spec;
        assert_eq!(
            (ours.objectives, ours.held_out, ours.search, ours.merge, ours.budget),
            (
                quickstart.objectives,
                quickstart.held_out,
                quickstart.search,
                quickstart.merge,
                quickstart.budget
            )
        );
        assert_eq!(ours.pool.checkpoints.len(), quickstart.pool.checkpoints.len());
    }
}
