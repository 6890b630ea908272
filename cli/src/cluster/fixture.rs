//! A search on a cluster for the tests of this folder: its object and its journal, made by a real `Search`.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use mergesearch_crds::conditions::{COMPLETED, PROGRESSING, reason};
use mergesearch_crds::{
    JournalStart, Manifest, MergeSearch, MergeSearchJournal, MergeSearchJournalSpec, MergeSearchStatus,
    Place, PublishedTrial, search_config,
};
use mergesearch_search::results::Measurement;
use mergesearch_search::{
    Chain, Record, Search, Stage, StageScores, Trial, TrialOutcome, TrialResult, TrialTime,
};

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
  budget: {maxTrials: 40}
  evaluation:
    template:
      spec:
        containers:
          - {name: evaluator, image: example.com/evaluator:1, command: [evaluate]}
  storage: {output: s3://models/recycled}
";

/// A search.
pub(super) struct Fixture {
    /// Its object, with its status.
    pub(super) resource: MergeSearch,
    /// Its journal.
    pub(super) chunks: Vec<MergeSearchJournal>,
}

impl Fixture {
    /// One that has ended with a result; its journal has three chunks.
    pub(super) fn completed() -> Self {
        let resource = Manifest::parse(MANIFEST, Place::Cluster).unwrap().resource;
        let mut search = Search::new(search_config(&resource, 0).unwrap()).unwrap();
        // 2026-01-01, and one trial a minute.
        let mut started = 1_767_225_600.0;
        while let Some(trial) = search.trials(1).pop() {
            let time = TrialTime { started, merged: Some(started + 10.0), ended: started + 60.0 };
            search.record(TrialResult { time: Some(time), ..evaluated(&trial) }).unwrap();
            started = time.ended;
        }
        let best = search.to_publish(1).pop().unwrap().to_string();
        let mut fixture = Self::with(resource, &search.take_records(), 3);
        let status = fixture.resource.status.as_mut().unwrap();
        status.conditions = vec![
            condition(PROGRESSING, "False", reason::ENDED, "the search has completed"),
            condition(COMPLETED, "True", reason::MAX_TRIALS, "the trial budget is used up"),
        ];
        status.gpu_hours = Some(2.5);
        status.start_time = Some(Time("2026-01-01T00:00:00Z".parse().unwrap()));
        status.completion_time = Some(Time("2026-01-01T02:00:00Z".parse().unwrap()));
        status.published = vec![PublishedTrial { uri: format!("s3://models/recycled/{best}"), trial: best }];
        fixture
    }

    /// One whose first trial has ended and whose next three run.
    pub(super) fn running() -> Self {
        let resource = Manifest::parse(MANIFEST, Place::Cluster).unwrap().resource;
        let mut search = Search::new(search_config(&resource, 0).unwrap()).unwrap();
        let first = search.trials(1).pop().unwrap();
        search.record(evaluated(&first)).unwrap();
        search.trials(3);
        let mut fixture = Self::with(resource, &search.take_records(), 1);
        let status = fixture.resource.status.as_mut().unwrap();
        status.conditions =
            vec![condition(PROGRESSING, "True", reason::BASELINES, "baselines are evaluated")];
        fixture
    }

    fn with(mut resource: MergeSearch, records: &[Record], count: usize) -> Self {
        let (mut chunks, mut chain, mut previous_hash) = (Vec::new(), Chain::default(), String::new());
        for (index, part) in (0..).zip(records.chunks(records.len().div_ceil(count))) {
            let spec = MergeSearchJournalSpec {
                search_uid: resource.metadata.uid.clone().unwrap(),
                index,
                sealed: usize::try_from(index).unwrap() + 1 < count,
                start: (index == 0).then(JournalStart::default),
                previous_hash,
                records: part.iter().map(|record| chain.line(record).unwrap()).collect(),
            };
            previous_hash = spec.hash();
            chunks.push(MergeSearchJournal::new(&format!("recycle-journal-{index:04}"), spec));
        }
        let journal = chunks.iter().filter_map(|chunk| chunk.metadata.name.clone()).collect();
        resource.status =
            Some(MergeSearchStatus { observed_generation: Some(1), journal, ..MergeSearchStatus::default() });
        Self { resource, chunks }
    }
}

/// A condition.
pub(super) fn condition(type_: &str, status: &str, reason: &str, message: &str) -> Condition {
    Condition {
        type_: type_.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message: message.to_owned(),
        observed_generation: None,
        last_transition_time: Time("2026-01-01T00:00:00Z".parse().unwrap()),
    }
}

/// What an evaluator that likes the first checkpoint, and mixtures, says of a trial.
fn evaluated(trial: &Trial) -> TrialResult {
    let weights = &trial.recipe.groups[0].weights;
    let spread: f64 = weights.iter().map(|weight| (weight - 0.4).powi(2)).sum();
    let measured = |value: f64| Measurement { value, stderr: Some(0.01), items: None };
    let scores = |stage| match stage {
        Stage::Search | Stage::Test => vec![measured(0.8 - spread / 4.0), measured(0.5 + weights[0] / 10.0)],
        Stage::HeldOut => vec![measured(0.6)],
    };
    let stages = trial.stages.iter().map(|&stage| StageScores { stage, scores: scores(stage) });
    let outcome = TrialOutcome::Succeeded(stages.collect());
    TrialResult { id: trial.id.clone(), outcome, gpu_seconds: 60.0, time: None }
}
