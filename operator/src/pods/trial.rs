//! The pod of a trial: it merges, runs the user's template on the merge, and reports.

use k8s_openapi::api::core::v1::{Container, PodSpec, VolumeMount};
use mergesearch_crds::{EVALUATOR, labels};
use mergesearch_search::contract::{MODEL_FOLDER, RESULTS_FOLDER, Request};
use mergesearch_search::{Stage, Trial};

use super::environment::variable;
use super::program::MESSAGE_POLICY;
use super::volumes::{self, Mounted};
use super::{Blueprint, claims, environment, resources, security};

impl Blueprint<'_> {
    /// The containers run in this order: `merge`, the template's own init containers, the evaluator once for each stage,
    /// and `report`, the only one that is not an init container. Native sidecars of the template begin after the merge
    /// and end with the pod.
    pub(super) fn trial_pod(&self, trial: &Trial, request: &Request) -> PodSpec {
        let template = self.pod_template();
        let security = security::pod(template.security_context.as_ref());
        let model = self.model_volume();
        let results = volumes::results();
        let temporary = volumes::temporary();
        let memory = volumes::shared_memory();
        let certificates = self.certificates();
        let claims = claims::volumes(trial.recipe.checkpoints.iter().chain(&trial.recipe.base));

        let common = certificates.iter().chain([&temporary]).map(|mounted| mounted.mount.clone());
        let common: Vec<VolumeMount> = common.collect();
        let mounts = claims.iter().chain([&model]).map(|mounted| mounted.mount.clone());
        let merge = self.program(
            labels::MERGE_CONTAINER,
            "merge",
            request,
            self.merger_resources(true),
            &security,
            mounts.chain(common.clone()).collect(),
        );
        let report = self.program(
            labels::REPORT_CONTAINER,
            "report",
            request,
            resources::small("100m", "128Mi", "1Gi"),
            &security,
            [results.read_only()].into_iter().chain(common).collect(),
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
        let init_containers = [merge].into_iter().chain(theirs).chain(evaluators).collect();
        let ours =
            [model.volume.clone(), results.volume.clone(), temporary.volume.clone(), memory.volume.clone()];
        let more = certificates.into_iter().chain(claims).map(|mounted| mounted.volume);
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
}

/// What the user's containers find in the pod.
struct Room<'a> {
    model: &'a Mounted,
    results: &'a Mounted,
    temporary: &'a Mounted,
    memory: &'a Mounted,
}

impl Room<'_> {
    /// What every container of the user's gets where its own words leave room.
    fn furnish(&self, container: &mut Container) {
        volumes::mount(container, self.model.read_only());
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
