//! CPU, memory and disk of our containers, and the size of the volume that a candidate is written to.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use mergesearch_crds::{ScratchMedium, bytes};

use super::Blueprint;

const MEBIBYTE: u64 = 1 << 20;
/// What the merger requests unless the search says otherwise.
const MERGER_CPU: &str = "2";
const MERGER_MEMORY: &str = "4Gi";

/// What copying a candidate takes: 8 ranges of 16 MiB, TLS, and what is on its way to the disk.
const FETCH_CPU: &str = "500m";
const FETCH_MEMORY: &str = "512Mi";

/// What a candidate's volume is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Medium {
    /// The node's disk.
    Disk,
    /// The node's memory, which counts against the pod's.
    Memory,
    /// A claim of its own.
    Claim,
}

impl Blueprint<'_> {
    /// What the volume of a candidate is made of.
    pub(super) fn scratch_medium(&self) -> Medium {
        match &self.resource.spec.execution.scratch {
            Some(scratch) if scratch.volume_claim_template.is_some() => Medium::Claim,
            Some(scratch) if scratch.medium == Some(ScratchMedium::Memory) => Medium::Memory,
            Some(_) | None => Medium::Disk,
        }
    }

    /// The size of the volume of a candidate: as the search says, else that of a candidate and a tenth more. `None` while
    /// the candidate's size is not known.
    pub(super) fn scratch_size(&self) -> Option<Quantity> {
        let given =
            self.resource.spec.execution.scratch.as_ref().and_then(|scratch| scratch.size_limit.clone());
        given.or_else(|| {
            let candidate = u64::try_from(self.start?.candidate_bytes).ok()?;
            Some(mebibytes(candidate.saturating_add(candidate.div_ceil(10))))
        })
    }

    /// What a container that merges requests. With `writes_candidate` also the volume of the candidate, on disk or in
    /// memory.
    pub(super) fn merger_resources(&self, writes_candidate: bool) -> ResourceRequirements {
        self.resources_of_merger(MERGER_CPU, MERGER_MEMORY, writes_candidate)
    }

    /// What a container requests that copies a candidate into its volume.
    pub(super) fn fetch_resources(&self) -> ResourceRequirements {
        self.resources_of_merger(FETCH_CPU, FETCH_MEMORY, true)
    }

    /// What the search says of the merger; where it is silent, this.
    fn resources_of_merger(&self, cpu: &str, memory: &str, writes_candidate: bool) -> ResourceRequirements {
        let mut resources = self.resource.spec.execution.merger.resources.clone().unwrap_or_default();
        let volume = self.scratch_size().filter(|_| writes_candidate);
        let in_memory = volume.as_ref().filter(|_| self.scratch_medium() == Medium::Memory).and_then(bytes);
        let memory = Quantity(memory.to_owned());
        let own = bytes(&memory).unwrap_or(0);
        let memory = in_memory.map_or(memory, |volume| mebibytes(own.saturating_add(volume)));
        let mut defaults = vec![("cpu", Quantity(cpu.to_owned())), ("memory", memory)];
        if let Some(volume) = volume.filter(|_| self.scratch_medium() == Medium::Disk) {
            defaults.push(("ephemeral-storage", volume));
        }
        let limits = resources.limits.clone().unwrap_or_default();
        let requests = resources.requests.get_or_insert_default();
        for (name, amount) in defaults {
            // A limit without a request is the request, too.
            if !limits.contains_key(name) {
                requests.entry(name.to_owned()).or_insert(amount);
            }
        }
        resources
    }

    /// The merger's memory budget in bytes: three quarters of its limit, or of its request when it has none. The rest is
    /// for what the budget does not count: files on their way to the disk, TLS, the allocator. A candidate in memory
    /// counts against the same limit, so it is taken off first.
    pub(super) fn merger_memory(&self, writes_candidate: bool) -> Option<u64> {
        let resources = self.merger_resources(writes_candidate);
        let amount = |amounts: Option<BTreeMap<String, Quantity>>| amounts?.get("memory").and_then(bytes);
        let memory = amount(resources.limits).or_else(|| amount(resources.requests))?;
        let in_memory = writes_candidate && self.scratch_medium() == Medium::Memory;
        let volume = self.scratch_size().filter(|_| in_memory).as_ref().and_then(bytes).unwrap_or(0);
        // Nothing left: the merger's own default, and the kernel says the rest.
        let left = memory.checked_sub(volume).filter(|&left| left > 0)?;
        Some(left / 4 * 3)
    }
}

/// Requests of CPU and memory, and a limit of memory.
pub(super) fn small(cpu: &str, memory: &str, most_memory: &str) -> ResourceRequirements {
    let amounts = |amounts: &[(&str, &str)]| {
        amounts.iter().map(|(name, amount)| ((*name).to_owned(), Quantity((*amount).to_owned()))).collect()
    };
    ResourceRequirements {
        requests: Some(amounts(&[("cpu", cpu), ("memory", memory)])),
        limits: Some(amounts(&[("memory", most_memory)])),
        ..ResourceRequirements::default()
    }
}

fn mebibytes(bytes: u64) -> Quantity {
    Quantity(format!("{}Mi", bytes.div_ceil(MEBIBYTE).max(1)))
}
