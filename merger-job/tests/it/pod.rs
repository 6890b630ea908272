//! `merger pod` as a pod runs it: a request in the environment, an answer in the termination log, an exit code.

mod handoff;
mod interrupted;
mod outputs;
mod pool;
mod trial;
mod web_identity;

use std::fs;
use std::process::Command;

use assert_cmd::assert::OutputAssertExt;
use mergesearch_recipe::{MergeMethod, Recipe};
use mergesearch_search::contract::{
    FaultClass, Message, PoolFacts, PreflightRequest, Request, SearchIdentity, StageRequest, StorageAccess,
    TrialRequest,
};
use mergesearch_search::results::MetricName;
use mergesearch_search::{Stage, TrialId};
use safetensors::Dtype;

use crate::pools::{Folder, Model};
use crate::shapes::model;

/// Two checkpoints, of 24 KB each, and whatever a pod leaves beside them.
pub(crate) struct Pods {
    pub(crate) folder: Folder,
}

impl Pods {
    fn new() -> Self {
        Self::with_checkpoints(2)
    }

    fn with_checkpoints(count: usize) -> Self {
        let form = [
            ("model.embed_tokens.weight", vec![60, 100]),
            ("model.layers.0.mlp.up_proj.weight", vec![60, 100]),
        ];
        let form = form.map(|(name, shape)| (name.to_owned(), shape)).to_vec();
        let models: Vec<Model> = (0..count).map(|seed| model(&form, Dtype::BF16, seed as u64)).collect();
        Self { folder: Folder::new(&models) }
    }

    /// The command of one step in a pod of its own.
    fn command(&self, step: &str, request: &Request) -> Command {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("merger"));
        command.env_clear().env("AWS_ACCESS_KEY_ID", "key").env("AWS_SECRET_ACCESS_KEY", "secret");
        command.envs(request.to_environment().unwrap());
        let _ = fs::remove_file(self.folder.path("termination"));
        command.args(["pod", step]);
        for (option, name) in [
            ("--termination-log", "termination"),
            ("--model-dir", "model"),
            ("--results-dir", "results"),
            ("--claims-dir", "claims"),
        ] {
            command.arg(option).arg(self.folder.path(name));
        }
        command
    }

    /// Runs a step to its end; its answer, if any.
    #[track_caller]
    fn run(&self, step: &str, request: &Request, code: i32) -> Option<Message> {
        self.command(step, request).assert().code(code);
        self.answer()
    }

    fn answer(&self) -> Option<Message> {
        let text = fs::read_to_string(self.folder.path("termination")).ok()?;
        Some(serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text}")))
    }

    /// Runs a step that fails; its class and sentence.
    #[track_caller]
    fn fault(&self, step: &str, request: &Request, code: i32) -> (FaultClass, String) {
        match self.run(step, request, code) {
            Some(Message::Fault { class, message }) => (class, message),
            other => panic!("no fault: {other:?}"),
        }
    }

    fn recipe(&self) -> Recipe {
        self.folder.recipe(MergeMethod::Linear, &[0.75, 0.25])
    }

    fn preflight_request(&self, checkpoints: usize) -> PreflightRequest {
        PreflightRequest {
            search: search(),
            storage: StorageAccess::default(),
            checkpoints: (0..checkpoints).map(|place| self.folder.checkpoint(place)).collect(),
            base: None,
            dtype: None,
            tokenizer_from: None,
            vocabulary: None,
            align: None,
            max_shard_size: 5_000_000_000,
            outputs: vec![self.folder.uri("output")],
        }
    }

    #[track_caller]
    fn facts(&self, request: PreflightRequest) -> PoolFacts {
        match self.run("preflight", &Request::Preflight(request), 0) {
            Some(Message::Pool(facts)) => facts,
            other => panic!("no facts: {other:?}"),
        }
    }

    /// A trial of the first two checkpoints, with the fingerprints that they have now.
    fn trial_request(&self) -> TrialRequest {
        TrialRequest {
            search: search(),
            storage: StorageAccess::default(),
            trial: trial(),
            attempt: 1,
            recipe: self.recipe(),
            recipe_hash: "0123456789abcdef".to_owned(),
            fingerprints: self.facts(self.preflight_request(2)).fingerprints,
            stages: vec![stage(Stage::Test, 2), stage(Stage::HeldOut, 1)],
            max_shard_size: 5_000_000_000,
            memory: None,
            output: search().trial_folder(&self.folder.uri("output"), &trial()),
            candidate: None,
        }
    }

    /// A file of the search's trial in storage.
    fn stored(&self, name: &str) -> std::path::PathBuf {
        self.folder.path("output/team/recycle/1-2/trials/g0004-c012").join(name)
    }

    /// Leaves results as an evaluator does: `metric-0`, `metric-1`... in each stage.
    fn evaluate(&self, stages: &[StageRequest]) {
        for StageRequest { stage, metrics } in stages {
            let folder = self.folder.path("results").join(stage.as_str());
            fs::create_dir_all(&folder).unwrap();
            let values =
                metrics.iter().enumerate().map(|(index, name)| (name.to_string(), 0.1 + index as f64));
            let results: serde_json::Map<_, _> = values.map(|(name, value)| (name, value.into())).collect();
            fs::write(folder.join("results.json"), serde_json::Value::from(results).to_string()).unwrap();
        }
    }
}

fn search() -> SearchIdentity {
    SearchIdentity { namespace: "team".into(), name: "recycle".into(), uid: "1-2".into() }
}

fn trial() -> TrialId {
    "g0004-c012".parse().unwrap()
}

fn stage(stage: Stage, metrics: usize) -> StageRequest {
    let metric = |index| MetricName::try_from(format!("metric-{index}").as_str()).unwrap();
    StageRequest { stage, metrics: (0..metrics).map(metric).collect() }
}
