//! Volume claims with checkpoints: `pvc://claim/path` as a folder in a pod.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{PersistentVolumeClaimVolumeSource, Volume, VolumeMount};
use mergesearch_crds::Location;
use mergesearch_recipe::{Checkpoint, Recipe};
use mergesearch_search::contract::CLAIMS_FOLDER;

use super::volumes::{self, Mounted};

/// A checkpoint as a pod finds it: on a claim it is a folder below [`CLAIMS_FOLDER`], elsewhere it is as it was.
pub(super) fn checkpoint(checkpoint: &Checkpoint) -> Checkpoint {
    let uri = match Location::parse(&checkpoint.uri) {
        Ok(Location::Claim { claim, path }) if path.is_empty() => format!("file://{CLAIMS_FOLDER}/{claim}"),
        Ok(Location::Claim { claim, path }) => format!("file://{CLAIMS_FOLDER}/{claim}/{path}"),
        Ok(_) | Err(_) => checkpoint.uri.clone(),
    };
    Checkpoint { name: checkpoint.name.clone(), uri }
}

/// A recipe as a pod finds its checkpoints.
pub(super) fn recipe(recipe: &Recipe) -> Recipe {
    Recipe {
        checkpoints: recipe.checkpoints.iter().map(checkpoint).collect(),
        base: recipe.base.as_ref().map(checkpoint),
        ..recipe.clone()
    }
}

/// The claims that checkpoints lie on, each mounted once and never written to.
pub(super) fn volumes<'a>(checkpoints: impl IntoIterator<Item = &'a Checkpoint>) -> Vec<Mounted> {
    let claims: BTreeSet<String> = checkpoints
        .into_iter()
        .filter_map(|checkpoint| match Location::parse(&checkpoint.uri) {
            Ok(Location::Claim { claim, .. }) => Some(claim),
            Ok(_) | Err(_) => None,
        })
        .collect();
    claims
        .into_iter()
        .enumerate()
        .map(|(index, claim)| {
            // A claim's name may be longer than that of a volume.
            let name = format!("{}{index}", volumes::CLAIM_PREFIX);
            let mount = VolumeMount {
                name: name.clone(),
                mount_path: format!("{CLAIMS_FOLDER}/{claim}"),
                read_only: Some(true),
                ..VolumeMount::default()
            };
            let source = PersistentVolumeClaimVolumeSource { claim_name: claim, read_only: Some(true) };
            let volume = Volume { name, persistent_volume_claim: Some(source), ..Volume::default() };
            Mounted { volume, mount }
        })
        .collect()
}
