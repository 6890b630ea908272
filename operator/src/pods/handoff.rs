//! The way of candidates from the pods that merge to those that evaluate.

use k8s_openapi::api::core::v1::VolumeMount;
use mergesearch_search::TrialId;
use mergesearch_search::contract::MODEL_FOLDER;

use super::volumes::Mounted;
use super::{Blueprint, claims, identity};

/// A candidate that other pods have merged.
pub(super) struct Handed {
    /// Its folder.
    pub(super) uri: String,
    /// The claim that it lies on; `None` for one in object storage.
    pub(super) claim: Option<String>,
    /// Its folder on the claim.
    path: String,
}

impl Blueprint<'_> {
    /// Where candidates are handed over, as a URI; `None` for a search that has no such place.
    pub(super) fn handoff(&self) -> Option<String> {
        self.resource.spec.execution.handoff.as_ref()?.location()
    }

    /// The claim of the handoff, if it is one.
    pub(super) fn handoff_claim(&self) -> Option<String> {
        self.resource.spec.execution.handoff.as_ref()?.claim_name.clone()
    }

    /// The candidate of a trial, where other pods merge it.
    pub(super) fn handed(&self, trial: &TrialId) -> Option<Handed> {
        let handoff = self.handoff().filter(|_| self.resource.spec.execution.strategy.hands_off())?;
        let search = identity(self.resource);
        let path = search.candidate_folder("", trial).trim_start_matches('/').to_owned();
        Some(Handed { uri: search.candidate_folder(&handoff, trial), claim: self.handoff_claim(), path })
    }
}

impl Handed {
    /// The candidate's own folder of the claim, where an evaluator finds its model; and the claim as our containers see it.
    pub(super) fn mounted(&self) -> Option<(VolumeMount, Mounted)> {
        let claim = claims::volumes([], self.claim.as_deref()).pop()?;
        let model = VolumeMount {
            name: claim.volume.name.clone(),
            mount_path: MODEL_FOLDER.to_owned(),
            sub_path: Some(self.path.clone()),
            read_only: Some(true),
            ..VolumeMount::default()
        };
        Some((model, claim))
    }
}
