//! Volumes of a pod and where its containers find them. Ours have names that a template may not use.

use k8s_openapi::api::core::v1::{
    ConfigMapVolumeSource, Container, EmptyDirVolumeSource, EphemeralVolumeSource, KeyToPath, Volume,
    VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use mergesearch_search::contract::{CA_BUNDLE_FILE, MODEL_FOLDER, RESULTS_FOLDER};

use super::Blueprint;
use super::resources::Medium;

const MODEL: &str = "mergesearch-model";
const RESULTS: &str = "mergesearch-results";
const TEMPORARY: &str = "mergesearch-tmp";
const SHARED_MEMORY: &str = "mergesearch-shm";
const CERTIFICATES: &str = "mergesearch-ca";
/// Begins the names of volumes of claims; a number follows.
pub(super) const CLAIM_PREFIX: &str = "mergesearch-claim-";

/// The most that evaluators may leave as results: far more than scores and samples need, and it keeps a pod that writes
/// without end from filling its node.
const MOST_RESULTS: &str = "10Gi";

/// A volume, and how a container of ours mounts it.
#[derive(Debug, Clone)]
pub(super) struct Mounted {
    /// For the pod.
    pub(super) volume: Volume,
    /// For its containers.
    pub(super) mount: VolumeMount,
}

impl Mounted {
    fn at(path: &str, volume: Volume) -> Self {
        let mount =
            VolumeMount { name: volume.name.clone(), mount_path: path.to_owned(), ..VolumeMount::default() };
        Self { volume, mount }
    }

    /// The same mount without the right to write.
    pub(super) fn read_only(&self) -> VolumeMount {
        VolumeMount { read_only: Some(true), ..self.mount.clone() }
    }
}

impl Blueprint<'_> {
    /// The volume that a candidate is written to.
    pub(super) fn model_volume(&self) -> Mounted {
        let scratch = self.resource.spec.execution.scratch.as_ref();
        let volume = match self.scratch_medium() {
            Medium::Claim => {
                let volume_claim_template = scratch.and_then(|scratch| scratch.volume_claim_template.clone());
                let ephemeral = Some(EphemeralVolumeSource { volume_claim_template });
                Volume { name: MODEL.to_owned(), ephemeral, ..Volume::default() }
            }
            Medium::Disk => empty(MODEL, None, self.scratch_size()),
            Medium::Memory => empty(MODEL, Some("Memory"), self.scratch_size()),
        };
        Mounted::at(MODEL_FOLDER, volume)
    }

    /// The certificates to trust, if the search names some.
    pub(super) fn certificates(&self) -> Option<Mounted> {
        let bundle = self.resource.spec.storage.ca_bundle.as_ref()?;
        let (folder, file) = CA_BUNDLE_FILE.rsplit_once('/')?;
        let item = KeyToPath { key: bundle.key.clone(), path: file.to_owned(), mode: None };
        let config_map = ConfigMapVolumeSource {
            name: bundle.config_map.clone(),
            items: Some(vec![item]),
            ..ConfigMapVolumeSource::default()
        };
        let volume =
            Volume { name: CERTIFICATES.to_owned(), config_map: Some(config_map), ..Volume::default() };
        let mut mounted = Mounted::at(folder, volume);
        mounted.mount.read_only = Some(true);
        Some(mounted)
    }
}

/// The volume for the results of all stages.
pub(super) fn results() -> Mounted {
    Mounted::at(RESULTS_FOLDER, empty(RESULTS, None, Some(Quantity(MOST_RESULTS.to_owned()))))
}

/// A `/tmp` that every user may write to.
pub(super) fn temporary() -> Mounted {
    Mounted::at("/tmp", empty(TEMPORARY, None, None))
}

/// A `/dev/shm` as large as the pod's memory: the 64 MiB of container runtimes are too small for data loaders and NCCL.
pub(super) fn shared_memory() -> Mounted {
    Mounted::at("/dev/shm", empty(SHARED_MEMORY, Some("Memory"), None))
}

/// Adds a mount to a container of the user's, unless it has one of its own at that path.
pub(super) fn mount(container: &mut Container, mount: VolumeMount) {
    let mounts = container.volume_mounts.get_or_insert_default();
    let path = |mount: &VolumeMount| mount.mount_path.trim_end_matches('/').to_owned();
    if mounts.iter().all(|other| path(other) != path(&mount)) {
        mounts.push(mount);
    }
}

fn empty(name: &str, medium: Option<&str>, size_limit: Option<Quantity>) -> Volume {
    let source = EmptyDirVolumeSource { medium: medium.map(str::to_owned), size_limit };
    Volume { name: name.to_owned(), empty_dir: Some(source), ..Volume::default() }
}
