//! Jobs as they are sent to the API server, and rules that all of them keep.

mod restricted;
mod rules;
mod snapshots;

use clap::Parser as _;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Container, PodSpec};
use mergesearch_crds::{JournalStart, Manifest, MergeSearch, Place, search_config};
use mergesearch_recipe::{Group, MergeMethod, Parameters, Recipe, Selection};
use mergesearch_search::{SearchConfig, Stage, Trial};

use super::Blueprint;
use crate::identity::Work;
use crate::settings::Settings;

/// The least that a search says, and what it may say beside it.
const PLAIN: &str = "
apiVersion: mergesearch.dev/v1alpha1
kind: MergeSearch
metadata: {name: recycle}
spec:
  pool:
    checkpoints:
      - {name: sft, uri: 's3://models/sft'}
      - {name: dpo, uri: 's3://models/dpo'}
  objectives:
    - {name: math, metric: gsm8k/exact_match, direction: Maximize}
  budget: {maxTrials: 100}
  evaluation:
    template:
      spec:
        containers:
          - name: evaluator
            image: registry.example/evaluator:1
            command: [evaluate]
            resources: {limits: {nvidia.com/gpu: 1}}
  storage: {output: 's3://models/searches'}
";

/// One search and its parts.
struct Made {
    resource: MergeSearch,
    config: SearchConfig,
    start: JournalStart,
    settings: Settings,
}

/// The plain search with texts replaced, as a cluster would hold it.
fn search(replaced: &[(&str, &str)]) -> Made {
    let mut text = PLAIN.to_owned();
    for (from, to) in replaced {
        assert!(text.contains(from), "{from:?} is not in the manifest");
        text = text.replace(from, to);
    }
    let mut resource = Manifest::parse(&text, Place::Cluster).unwrap().resource;
    resource.metadata.namespace = Some("team".to_owned());
    resource.metadata.uid = Some("5d5b9a4e-0b1f-4b8f-8a55-0f6a3c1a7f10".to_owned());
    resource.metadata.generation = Some(3);
    let config = search_config(&resource, 24).unwrap();
    let start = JournalStart {
        layers: 24,
        candidate_bytes: 10 << 30,
        fingerprints: ["of-sft", "of-dpo", "of-base"].map(str::to_owned).to_vec(),
        evaluator_hash: String::new(),
    };
    let settings = Settings::parse_from(["operator", "--merger-image", "registry.example/merger:1"]);
    Made { resource, config, start, settings }
}

impl Made {
    fn blueprint(&self) -> Blueprint<'_> {
        let Self { resource, config, start, settings } = self;
        Blueprint { resource, config, start: Some(start), settings }
    }

    fn job(&self, work: &Work, attempt: u32) -> Job {
        self.blueprint().job(work, attempt)
    }

    fn recipe(&self) -> Recipe {
        Recipe {
            method: MergeMethod::Linear,
            checkpoints: self.config.checkpoints.clone(),
            base: self.config.base.clone(),
            groups: vec![Group {
                select: Selection::default(),
                weights: vec![0.25, 0.75],
                parameters: Parameters::default(),
            }],
            dtype: None,
            tokenizer_from: None,
            seed: 0,
            stack: Vec::new(),
            vocabulary: None,
            align: None,
        }
    }

    fn trial(&self, id: &str, stages: &[Stage]) -> Trial {
        Trial { id: id.parse().unwrap(), recipe: self.recipe(), stages: stages.to_vec() }
    }

    /// A piece of work of every kind, and a final trial.
    fn works(&self) -> Vec<Work> {
        vec![
            Work::Preflight,
            Work::Trial(self.trial("g0004-c012", &[Stage::Search])),
            Work::Trial(self.trial("final-g0004-c012", &[Stage::Test, Stage::HeldOut])),
            Work::Collect(self.trial("g0004-c012", &[Stage::Search])),
            self.publish(),
            self.generation(),
            Work::Discard,
            Work::Cleanup,
        ]
    }

    /// Two candidates to be merged together.
    fn generation(&self) -> Work {
        Work::Merge(["g0004-c012", "g0004-c013"].map(|id| self.trial(id, &[Stage::Search])).to_vec())
    }

    fn publish(&self) -> Work {
        let scores = vec![("math".to_owned(), "0.512 ± 0.008".to_owned())];
        Work::Publish { trial: "g0004-c012".parse().unwrap(), recipe: self.recipe(), scores }
    }
}

/// A text of the plain search, and one that hands candidates over at a place in between.
fn handing_over(place: &str, parallelism: i32) -> (&'static str, String) {
    let execution = format!(
        "  execution: {{strategy: PerGeneration, handoff: {{{place}}}, merger: {{parallelism: {parallelism}}}}}"
    );
    ("  storage:", format!("{execution}\n  storage:"))
}

fn pod(job: &Job) -> &PodSpec {
    job.spec.as_ref().unwrap().template.spec.as_ref().unwrap()
}

/// All containers in the order in which they start.
fn containers(pod: &PodSpec) -> impl Iterator<Item = &Container> {
    pod.init_containers.iter().flatten().chain(&pod.containers)
}

fn container<'a>(job: &'a Job, name: &str) -> &'a Container {
    containers(pod(job)).find(|container| container.name == name).unwrap()
}

fn value<'a>(container: &'a Container, name: &str) -> Option<&'a str> {
    container.env.iter().flatten().find(|variable| variable.name == name)?.value.as_deref()
}
