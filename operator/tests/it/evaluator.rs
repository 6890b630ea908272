//! Scores that are a function of the recipe alone, and the undisturbed search that every disturbed one must equal.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use mergesearch_crds::{Manifest, MergeSearch, Place, search_config};
use mergesearch_operator::identity::label_value;
use mergesearch_recipe::Recipe;
use mergesearch_search::contract::{Message, Scores, StageRequest, TrialRequest};
use mergesearch_search::results::Measurement;
use mergesearch_search::{Search, StageScores, TrialId, TrialOutcome, TrialResult};

/// Three checkpoints, two objectives, a held-out metric; as small as the rules allow.
const MANIFEST: &str = "
apiVersion: mergesearch.dev/v1alpha1
kind: MergeSearch
metadata: {name: recycle, namespace: team, uid: 1b4e28ba-2fa1-11d2-883f-0016d3cca427, generation: 1}
spec:
  pool:
    checkpoints:
      - {name: code, uri: s3://models/code}
      - {name: chat, uri: s3://models/chat}
      - {name: math, uri: s3://models/math}
  objectives:
    - {name: code, metric: code/acc}
    - {name: chat, metric: chat/acc}
  heldOut:
    - {name: old, metric: old/acc}
  search: {populationSize: 4, finalists: 2}
  budget: {maxTrials: 29, maxFailedTrials: 20}
  evaluation:
    template:
      spec:
        containers:
          - name: evaluator
            image: example.com/evaluator:1
            command: [evaluate]
            resources: {limits: {nvidia.com/gpu: 1}}
  execution: {parallelTrials: 3}
  storage: {output: s3://models/searches, credentialsSecret: s3, deletionPolicy: Retain}
";

/// The search as a user applies it.
pub(crate) fn resource(seed: u64) -> MergeSearch {
    let mut resource = Manifest::parse(MANIFEST, Place::Cluster).unwrap().resource;
    resource.spec.search.seed = i64::try_from(seed % 5).unwrap();
    resource
}

fn digits(trial: &TrialId) -> u32 {
    label_value(&trial.to_string()).bytes().map(u32::from).sum()
}

/// Whether pods that merge for others can merge a trial's recipe. One of those that the evaluator fails on, too.
pub(crate) fn can_be_merged(trial: &TrialId) -> bool {
    !(matches!(trial, TrialId::Candidate { .. }) && digits(trial).is_multiple_of(22))
}

/// What the evaluator makes of a trial; the same whenever it is asked.
pub(crate) fn outcome(
    trial: &TrialId,
    recipe: &Recipe,
    stages: &[StageRequest],
) -> Result<Vec<StageScores>, String> {
    // Some candidates are such that the evaluator always fails on them.
    if matches!(trial, TrialId::Candidate { .. }) && digits(trial).is_multiple_of(11) {
        return Err("out of luck".to_owned());
    }
    let weights = &recipe.groups[0].weights;
    let score = |target: usize| {
        let distance: f64 = weights
            .iter()
            .enumerate()
            .map(|(index, weight)| (weight - if index == target { 0.8 } else { 0.25 }).powi(2))
            .sum();
        Measurement { value: 1.0 - distance, stderr: Some(0.01), items: Some(100) }
    };
    let of_stage = |asked: &StageRequest| StageScores {
        stage: asked.stage,
        scores: (0..asked.metrics.len()).map(score).collect(),
    };
    Ok(stages.iter().map(of_stage).collect())
}

/// A trial's message.
pub(crate) fn message(request: &TrialRequest, scores: &[StageScores]) -> Message {
    Message::Scores {
        trial: request.trial.clone(),
        attempt: request.attempt,
        recipe_hash: request.recipe_hash.clone(),
        scores: Scores::pack(scores),
        uploaded: Some(true),
    }
}

/// The search as it goes with nothing in its way; computed once for each seed.
pub(crate) fn undisturbed(resource: &MergeSearch) -> Arc<Search> {
    static KNOWN: Mutex<BTreeMap<i64, Arc<Search>>> = Mutex::new(BTreeMap::new());
    let mut known = KNOWN.lock().unwrap();
    let seed = resource.spec.search.seed;
    Arc::clone(known.entry(seed).or_insert_with(|| Arc::new(run(resource))))
}

/// The search with nothing in its way, run here.
pub(crate) fn run(resource: &MergeSearch) -> Search {
    let mut search = Search::new(search_config(resource, 4).unwrap()).unwrap();
    while search.outcome().is_none() {
        let trials = search.trials(1);
        let trial = trials.first().unwrap();
        let stages = mergesearch_operator::pods::stage_requests(search.config(), &trial.stages);
        let outcome = match outcome(&trial.id, &trial.recipe, &stages) {
            Ok(scores) => TrialOutcome::Succeeded(scores),
            Err(reason) => TrialOutcome::Failed(reason),
        };
        search.record(TrialResult { id: trial.id.clone(), outcome, gpu_seconds: 0.0, time: None }).unwrap();
    }
    search
}
