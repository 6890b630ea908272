//! Volume claims with checkpoints: the merger finds `pvc://claim/path` as the folder `path` below the claim's mount.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{PersistentVolumeClaimVolumeSource, Volume, VolumeMount};
use mergesearch_crds::Location;
use mergesearch_recipe::Checkpoint;
use mergesearch_search::contract::CLAIMS_FOLDER;

use super::volumes::{self, Mounted};

/// The claims that checkpoints lie on, each mounted once and never written to; but for one that candidates are handed over
/// on.
pub(super) fn volumes<'a>(
    checkpoints: impl IntoIterator<Item = &'a Checkpoint>,
    handoff: Option<&str>,
) -> Vec<Mounted> {
    let claims: BTreeSet<String> = checkpoints
        .into_iter()
        .filter_map(|checkpoint| match Location::parse(&checkpoint.uri) {
            Ok(Location::Claim { claim, .. }) => Some(claim),
            Ok(_) | Err(_) => None,
        })
        .chain(handoff.map(str::to_owned))
        .collect();
    claims
        .into_iter()
        .enumerate()
        .map(|(index, claim)| {
            let read_only = handoff != Some(&claim);
            // A claim's name may be longer than that of a volume.
            let name = format!("{}{index}", volumes::CLAIM_PREFIX);
            let mount = VolumeMount {
                name: name.clone(),
                mount_path: format!("{CLAIMS_FOLDER}/{claim}"),
                read_only: read_only.then_some(true),
                ..VolumeMount::default()
            };
            let source =
                PersistentVolumeClaimVolumeSource { claim_name: claim, read_only: read_only.then_some(true) };
            let volume = Volume { name, persistent_volume_claim: Some(source), ..Volume::default() };
            Mounted { volume, mount }
        })
        .collect()
}
