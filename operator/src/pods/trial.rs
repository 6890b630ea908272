//! The pod of a trial: it merges or takes what others have merged, runs the user's template on the merge, and reports.

use k8s_openapi::api::core::v1::{Container, PodSecurityContext, PodSpec, Volume, VolumeMount};
use mergesearch_crds::{EVALUATOR, labels};
use mergesearch_search::contract::{MODEL_FOLDER, RESULTS_FOLDER, Request};
use mergesearch_search::{Stage, Trial};

use super::environment::variable;
use super::handoff::Handed;
use super::program::MESSAGE_POLICY;
use super::volumes::{self, Mounted};
use super::{Blueprint, claims, environment, resources, security};

impl Blueprint<'_> {
    /// The containers run in this order: `merge` or `fetch-candidate`, the template's own init containers, the evaluator once
    /// for each stage, and `report`, the only one that is not an init container. Native sidecars of the template begin after
    /// the first and end with the pod.
    pub(super) fn trial_pod(&self, trial: &Trial, request: &Request) -> PodSpec {
        let template = self.pod_template();
        let security = security::pod(template.security_context.as_ref());
        let results = volumes::results();
        let temporary = volumes::temporary();
        let memory = volumes::shared_memory();
        let certificates = self.certificates();
        let common = certificates.iter().chain([&temporary]).map(|mounted| mounted.mount.clone());
        let common: Vec<VolumeMount> = common.collect();
        let Source { first, model, volumes: of_source, claim } =
            self.source(trial, request, &security, &common);
        let report = self.program(
            labels::REPORT_CONTAINER,
            "report",
            request,
            resources::small("100m", "128Mi", "1Gi"),
            &security,
            [results.read_only()].into_iter().chain(claim).chain(common).collect(),
        );

        let room = Room { model: &model, results: &results, temporary: &temporary, memory: &memory };
        let theirs = template.init_containers.unwrap_or_default().into_iter().map(|mut container| {
            room.furnish(&mut container);
            environment::add(&mut container, [variable(labels::MODEL_DIR, MODEL_FOLDER)]);
            container
        });
        let evaluators = trial
            .stages
            .iter()
            .enumerate()
            .map(|(index, &stage)| room.evaluator(self.evaluator(), index, stage));
        let init_containers = [first].into_iter().chain(theirs).chain(evaluators).collect();
        let ours = [results.volume.clone(), temporary.volume.clone(), memory.volume.clone()];
        let ours = of_source.into_iter().chain(ours);
        let more = certificates.into_iter().map(|mounted| mounted.volume);
        let all = template.volumes.unwrap_or_default().into_iter().chain(ours).chain(more).collect();
        PodSpec {
            init_containers: Some(init_containers),
            containers: vec![report],
            volumes: Some(all),
            security_context: Some(security),
            restart_policy: Some("Never".to_owned()),
            active_deadline_seconds: self.resource.spec.evaluation.active_deadline_seconds,
            service_account_name: self.service_account(),
            // The deprecated alias would contradict it.
            service_account: None,
            automount_service_account_token: Some(false),
            ..template
        }
    }

    /// Where the pod's model comes from: merged here, copied from object storage, or lying on a claim that is mounted.
    fn source(
        &self,
        trial: &Trial,
        request: &Request,
        security: &PodSecurityContext,
        common: &[VolumeMount],
    ) -> Source {
        let program = |name, command, resources, mounts: Vec<VolumeMount>| {
            self.program(name, command, request, resources, security, [mounts, common.to_vec()].concat())
        };
        let fetch = |resources, mount| program(labels::FETCH_CONTAINER, "fetch", resources, vec![mount]);
        let handed = self.handed(&trial.id);
        if let Some((model, claim)) = handed.as_ref().and_then(Handed::mounted) {
            let first = fetch(resources::small("100m", "128Mi", "1Gi"), claim.mount.clone());
            return Source { first, model, volumes: vec![claim.volume], claim: Some(claim.mount) };
        }
        let model = self.model_volume();
        let mut volumes = vec![model.volume.clone()];
        let first = if handed.is_some() {
            fetch(self.fetch_resources(), model.mount.clone())
        } else {
            let claims = claims::volumes(trial.recipe.checkpoints.iter().chain(&trial.recipe.base), None);
            let mounts = claims.iter().chain([&model]).map(|mounted| mounted.mount.clone()).collect();
            volumes.extend(claims.into_iter().map(|claim| claim.volume));
            program(labels::MERGE_CONTAINER, "merge", self.merger_resources(true), mounts)
        };
        Source { first, model: model.read_only(), volumes, claim: None }
    }
}

/// See [`Blueprint::source`].
struct Source {
    /// The container that runs first.
    first: Container,
    /// Where the user's containers find the model.
    model: VolumeMount,
    /// Volumes of these.
    volumes: Vec<Volume>,
    /// The claim of the handoff, from which the candidate is deleted at the end.
    claim: Option<VolumeMount>,
}

/// What the user's containers find in the pod.
struct Room<'a> {
    model: &'a VolumeMount,
    results: &'a Mounted,
    temporary: &'a Mounted,
    memory: &'a Mounted,
}

impl Room<'_> {
    /// What every container of the user's gets where its own words leave room.
    fn furnish(&self, container: &mut Container) {
        volumes::mount(container, self.model.clone());
        volumes::mount(container, self.temporary.mount.clone());
        volumes::mount(container, self.memory.mount.clone());
        security::complete(container);
    }

    /// The user's evaluator for a stage. The first keeps its name; a later one is named after its stage.
    fn evaluator(&self, mut container: Container, index: usize, stage: Stage) -> Container {
        if index > 0 {
            container.name = format!("{EVALUATOR}-{stage}");
        }
        self.furnish(&mut container);
        let folder = format!("{RESULTS_FOLDER}/{stage}");
        // The kubelet makes the folder of the stage, and the evaluator sees that of no other.
        let results = VolumeMount {
            mount_path: folder.clone(),
            sub_path: Some(stage.to_string()),
            ..self.results.mount.clone()
        };
        volumes::mount(&mut container, results);
        let ours = [
            variable(labels::MODEL_DIR, MODEL_FOLDER),
            variable(labels::RESULTS_DIR, folder),
            variable(labels::STAGE_VARIABLE, stage.as_str()),
        ];
        environment::add(&mut container, ours);
        container.termination_message_policy.get_or_insert_with(|| MESSAGE_POLICY.to_owned());
        // Kubernetes refuses it on init containers.
        container.resize_policy = None;
        container
    }
}
