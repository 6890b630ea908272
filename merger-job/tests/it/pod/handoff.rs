//! Candidates that some pods merge and others evaluate: in parts, from one pass, never half.

use std::fs;
use std::path::PathBuf;

use assert_cmd::assert::OutputAssertExt;
use mergesearch_recipe::Recipe;
use mergesearch_search::TrialId;
use mergesearch_search::contract::{
    Candidate, CleanupRequest, FaultClass, MergeRequest, Message, Request, StorageAccess, TrialRequest,
};

use super::{Pods, search};

const TRIALS: [&str; 2] = ["g0004-c012", "g0004-c013"];

fn id(trial: &str) -> TrialId {
    trial.parse().unwrap()
}

impl Pods {
    /// Where a trial's candidate goes on the claim `scratch`.
    fn handed(&self, trial: &str) -> PathBuf {
        self.folder.path("claims/scratch/team/recycle/1-2/candidates").join(trial)
    }

    /// Two candidates of the pool, in parts.
    fn merge_request(&self, parts: u32) -> MergeRequest {
        let trial = self.trial_request();
        let candidate = |(index, trial): (usize, &&str)| {
            let mut recipe = self.recipe();
            recipe.groups[0].weights = vec![0.5 + index as f64, 0.25];
            Candidate {
                trial: id(trial),
                recipe,
                output: search().candidate_folder("pvc://scratch", &id(trial)),
            }
        };
        MergeRequest {
            search: search(),
            storage: StorageAccess::default(),
            candidates: TRIALS.iter().enumerate().map(candidate).collect(),
            fingerprints: trial.fingerprints,
            parts,
            max_shard_size: 10_000,
            memory: None,
        }
    }

    fn merge_part(&self, request: &MergeRequest, index: u32) {
        let mut command = self.command("merge", &Request::Merge(Box::new(request.clone())));
        command.env("JOB_COMPLETION_INDEX", index.to_string()).assert().code(0);
        assert_eq!(self.answer(), Some(Message::Done));
    }

    /// The trial that evaluates a candidate.
    fn evaluation(&self, candidate: &Candidate) -> TrialRequest {
        TrialRequest {
            trial: candidate.trial.clone(),
            recipe: candidate.recipe.clone(),
            candidate: Some(candidate.output.clone()),
            output: search().trial_folder(&self.folder.uri("output"), &candidate.trial),
            ..self.trial_request()
        }
    }

    /// The bytes of a merge of the recipe alone, by shard.
    fn alone(&self, recipe: Recipe, parts: u32) -> Vec<(String, Vec<u8>)> {
        let output = search().candidate_folder("pvc://scratch", &id("uniform"));
        let candidates = vec![Candidate { trial: id("uniform"), recipe, output }];
        let request = MergeRequest { candidates, ..self.merge_request(parts) };
        for index in 0..parts {
            self.merge_part(&request, index);
        }
        let files = weights(&self.handed("uniform"));
        fs::remove_dir_all(self.handed("uniform")).unwrap();
        files
    }
}

/// The files with weights and what they hold, by name.
fn weights(folder: &std::path::Path) -> Vec<(String, Vec<u8>)> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = names
        .filter(|path| path.extension().is_some_and(|extension| extension == "safetensors"))
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(path).unwrap()))
        .collect();
    files.sort();
    files
}

#[test]
fn pods_that_share_a_merge_leave_whole_candidates_in_any_order_and_again() {
    let pods = Pods::new();
    let request = pods.merge_request(2);
    let evaluations = request.candidates.iter().map(|candidate| pods.evaluation(candidate));
    let evaluations: Vec<Request> =
        evaluations.map(|evaluation| Request::Trial(Box::new(evaluation))).collect();
    pods.merge_part(&request, 1);
    for evaluation in &evaluations {
        let (class, message) = pods.fault("fetch", evaluation, 67);
        assert_eq!(class, FaultClass::Candidate);
        assert!(message.contains("merged again"), "{message}");
    }
    pods.merge_part(&request, 0);
    let made = TRIALS.map(|trial| weights(&pods.handed(trial)));
    // A pod that is run again although everything is there changes nothing.
    pods.merge_part(&request, 0);
    for ((trial, made), candidate) in TRIALS.iter().zip(made).zip(&request.candidates) {
        assert!(made.len() > 1, "{} files", made.len());
        assert_eq!(weights(&pods.handed(trial)), made);
        assert_eq!(pods.alone(candidate.recipe.clone(), 2), made);
    }
    for evaluation in &evaluations {
        assert_eq!(pods.run("fetch", evaluation, 0), None);
    }
}

#[test]
fn a_candidate_of_another_recipe_is_none() {
    let pods = Pods::new();
    let request = pods.merge_request(1);
    pods.merge_part(&request, 0);
    let mut evaluation = pods.evaluation(&request.candidates[0]);
    evaluation.recipe = request.candidates[1].recipe.clone();
    let (class, _) = pods.fault("fetch", &Request::Trial(Box::new(evaluation)), 67);
    assert_eq!(class, FaultClass::Candidate);
}

#[test]
fn a_candidate_goes_when_its_report_is_stored_and_the_rest_at_the_end() {
    let pods = Pods::new();
    let request = pods.merge_request(1);
    pods.merge_part(&request, 0);
    let evaluation = pods.evaluation(&request.candidates[0]);
    pods.evaluate(&evaluation.stages);
    // Storage that takes no report leaves the candidate: the trial may have to be evaluated again.
    let unreachable = TrialRequest { output: "s3://".to_owned(), ..evaluation.clone() };
    pods.run("report", &Request::Trial(Box::new(unreachable)), 0);
    assert!(pods.handed(TRIALS[0]).exists());
    pods.run("report", &Request::Trial(Box::new(evaluation)), 0);
    assert!(!pods.handed(TRIALS[0]).exists() && pods.handed(TRIALS[1]).exists());
    let folders = vec![search().candidates_folder("pvc://scratch")];
    let cleanup = CleanupRequest { search: search(), storage: StorageAccess::default(), folders };
    assert_eq!(pods.run("cleanup", &Request::Cleanup(cleanup), 0), Some(Message::Done));
    assert!(!pods.handed(TRIALS[1]).exists() && pods.folder.path("output/team/recycle/1-2/trials").exists());
}

#[test]
fn a_pod_without_an_index_makes_nothing() {
    let pods = Pods::new();
    let request = Request::Merge(Box::new(pods.merge_request(2)));
    let (class, message) = pods.fault("merge", &request, 75);
    assert_eq!(class, FaultClass::Other);
    assert!(message.contains("JOB_COMPLETION_INDEX"), "{message}");
}
