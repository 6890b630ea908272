//! The steps of a search in pods against real S3 servers: the whole way of a trial, and servers in trouble.

use std::fs;
use std::path::PathBuf;

use mergesearch_search::contract::{
    Candidate, CleanupRequest, CollectRequest, FaultClass, INDEX_VARIABLE, MergeRequest, Message, PoolFacts,
    PreflightRequest, PublishRequest, Request, SearchIdentity, StageRequest, StorageAccess, TrialReport,
    TrialRequest,
};
use mergesearch_search::results::MetricName;
use mergesearch_search::{Stage, TrialId};
use mergesearch_tests::{Action, Finished, Kind, Proxy, folder_bytes, merger};
use rstest::rstest;
use serde_json::{Value, json};

use crate::world::{SEVERAL_PARTS, SMALL, World, assert_same_model, model};

/// What the pods of one search are told.
struct Pods {
    world: World,
    environment: Vec<(&'static str, String)>,
}

impl Pods {
    fn new(world: World) -> Self {
        Self { environment: world.server.environment(), world }
    }

    /// Runs a step; how it ended, and its answer.
    fn run(&self, step: &str, request: &Request) -> (Finished, Option<Message>) {
        let (termination, model) = (self.world.local("termination"), self.world.local("model"));
        let _none_yet = fs::remove_file(&termination);
        let places = [
            ("--termination-log", &termination),
            ("--model-dir", &model),
            ("--results-dir", &self.results()),
        ];
        let places =
            places.iter().flat_map(|(option, place)| [(*option).to_owned(), place.display().to_string()]);
        let mut request = request.to_environment().unwrap().into_iter();
        let (Some((_, request)), None) = (request.next(), request.next()) else {
            panic!("a request of one part")
        };
        let finished = merger()
            .args(["pod", step])
            .args(places)
            .envs(self.environment.clone())
            .envs([("MERGESEARCH_REQUEST", request)])
            .run();
        let answer = fs::read(&termination).ok().map(|text| serde_json::from_slice(&text).unwrap());
        (finished, answer)
    }

    #[track_caller]
    fn answer(&self, step: &str, request: &Request) -> Option<Message> {
        let (finished, answer) = self.run(step, request);
        finished.assert_code(0);
        answer
    }

    fn results(&self) -> PathBuf {
        self.world.local("results")
    }

    fn evaluate(&self) {
        fs::create_dir_all(self.results().join("search")).unwrap();
        fs::write(self.results().join("search/results.json"), r#"{"sorting": 0.75}"#).unwrap();
    }

    fn preflight(&self) -> PreflightRequest {
        let checkpoints = self.checkpoints();
        PreflightRequest {
            search: search(),
            storage: StorageAccess::default(),
            checkpoints: serde_json::from_value(checkpoints).unwrap(),
            base: None,
            dtype: None,
            tokenizer_from: None,
            vocabulary: None,
            align: None,
            max_shard_size: 7 << 20,
            outputs: vec![self.folder()],
        }
    }

    #[track_caller]
    fn facts(&self) -> PoolFacts {
        match self.answer("preflight", &Request::Preflight(self.preflight())) {
            Some(Message::Pool(facts)) => facts,
            other => panic!("no facts: {other:?}"),
        }
    }

    fn checkpoints(&self) -> Value {
        let checkpoint = |name: &String| json!({"name": name, "uri": self.world.bucket.uri(name)});
        self.world.pool.names().iter().map(checkpoint).collect()
    }

    /// The same weights as [`World::recipe`].
    fn trial(&self, fingerprints: Vec<String>) -> TrialRequest {
        let recipe = json!({
            "method": "linear", "checkpoints": self.checkpoints(), "groups": [{"weights": [1.0 / 3.0, 2.0 / 3.0]}],
        });
        TrialRequest {
            search: search(),
            storage: StorageAccess::default(),
            trial: trial(),
            attempt: 0,
            recipe: serde_json::from_value(recipe).unwrap(),
            recipe_hash: "0123456789abcdef".to_owned(),
            fingerprints,
            stages: vec![StageRequest {
                stage: Stage::Search,
                metrics: vec![MetricName::try_from("sorting").unwrap()],
            }],
            max_shard_size: 7 << 20,
            memory: Some(128 << 20),
            output: search().trial_folder(&self.world.bucket.uri("out"), &trial()),
            candidate: None,
        }
    }

    fn folder(&self) -> String {
        search().folder(&self.world.bucket.uri("out"))
    }
}

fn search() -> SearchIdentity {
    SearchIdentity { namespace: "team".into(), name: "recycle".into(), uid: "1-2".into() }
}

fn trial() -> TrialId {
    "g0004-c012".parse().unwrap()
}

fn collect(request: &TrialRequest, uid: &str) -> Request {
    Request::Collect(CollectRequest {
        search: SearchIdentity { uid: uid.to_owned(), ..request.search.clone() },
        storage: request.storage.clone(),
        trial: request.trial.clone(),
        recipe_hash: request.recipe_hash.clone(),
        stages: request.stages.clone(),
        output: request.output.clone(),
    })
}

fn cleanup(pods: &Pods) -> Request {
    Request::Cleanup(CleanupRequest {
        search: search(),
        storage: StorageAccess::default(),
        folders: vec![pods.folder()],
    })
}

/// Whether the answer has scores, and they are in storage.
fn uploaded(answer: Option<&Message>) -> Option<bool> {
    match answer {
        Some(Message::Scores { uploaded, .. }) => *uploaded,
        other => panic!("no scores: {other:?}"),
    }
}

#[rstest]
fn a_search_goes_its_whole_way_in_pods(#[values(Kind::Strict, Kind::Sloppy)] kind: Kind) {
    let pods = Pods::new(World::new(kind, SEVERAL_PARTS));
    let bucket = &pods.world.bucket;
    let facts = pods.facts();
    assert_eq!((facts.layers, facts.fingerprints.len()), (4, 2));
    assert_eq!(bucket.keys("out"), [""; 0]);

    let request = pods.trial(facts.fingerprints);
    assert_eq!(pods.answer("merge", &Request::Trial(Box::new(request.clone()))), None);
    let expected = pods.world.merged_locally(&["--max-shard-size", "7MiB"]);
    let merged = folder_bytes(&pods.world.local("model"));
    assert_same_model(&model(merged.clone()), &expected);
    assert_eq!(facts.candidate_bytes, merged.iter().map(|(_, bytes)| bytes.len() as u64).sum::<u64>());

    assert_eq!(pods.answer("collect", &collect(&request, "1-2")), Some(Message::Absent));
    pods.evaluate();
    let answer = pods.answer("report", &Request::Trial(Box::new(request.clone())));
    assert_eq!(uploaded(answer.as_ref()), Some(true));
    let folder = "out/team/recycle/1-2/trials/g0004-c012";
    assert_eq!(
        bucket.keys(folder),
        [format!("{folder}/report.json"), format!("{folder}/results/search/results.json")]
    );
    let report: TrialReport = serde_json::from_slice(&bucket.get(&format!("{folder}/report.json"))).unwrap();
    assert_eq!((&report.recipe, report.stages[0].scores[0].value), (&request.recipe, 0.75));
    assert_eq!(pods.answer("collect", &collect(&request, "1-2")), answer);
    let (refused, fault) = pods.run("collect", &collect(&request, "3-4"));
    refused.assert_fails(65, &["report.json", "another search", "1-2", "3-4"]);
    assert!(matches!(fault, Some(Message::Fault { class: FaultClass::Input, .. })), "{fault:?}");

    let publish = Request::Publish(Box::new(PublishRequest {
        search: search(),
        storage: StorageAccess::default(),
        trial: trial(),
        recipe: request.recipe,
        fingerprints: request.fingerprints,
        scores: vec![("sorting".to_owned(), "0.75".to_owned())],
        max_shard_size: 7 << 20,
        memory: Some(128 << 20),
        output: bucket.uri("published/g0004-c012"),
    }));
    let published = Some(Message::Published { uri: bucket.uri("published/g0004-c012") });
    for _ in 0..2 {
        assert_eq!(pods.answer("publish", &publish), published);
    }
    assert_same_model(&model(bucket.folder_bytes("published/g0004-c012")), &expected);

    assert_eq!(pods.answer("cleanup", &cleanup(&pods)), Some(Message::Done));
    assert_eq!(bucket.keys("out"), [""; 0]);
    assert!(bucket.keys("a").len() > 2 && bucket.keys("published").len() > 2);
}

#[rstest]
fn a_checkpoint_that_was_replaced_is_never_merged(#[values(Kind::Strict, Kind::Sloppy)] kind: Kind) {
    let pods = Pods::new(World::new(kind, SMALL));
    let request = pods.trial(pods.facts().fingerprints);
    let mut bytes = pods.world.bucket.get("b/model.safetensors");
    *bytes.last_mut().unwrap() ^= 1;
    pods.world.bucket.put("b/model.safetensors", bytes);
    let (finished, fault) = pods.run("merge", &Request::Trial(Box::new(request)));
    finished.assert_fails(66, &["checkpoint b", "s3://pool/b"]);
    assert!(matches!(fault, Some(Message::Fault { class: FaultClass::PoolChanged, .. })), "{fault:?}");
}

#[test]
fn storage_that_denies_access_is_no_fault_of_the_recipe() {
    let mut pods = Pods::new(World::new(Kind::Strict, SMALL));
    let request = pods.trial(pods.facts().fingerprints);
    pods.environment.push(("AWS_SECRET_ACCESS_KEY", "wrong".to_owned()));
    let (finished, fault) = pods.run("merge", &Request::Trial(Box::new(request)));
    finished.assert_fails(75, &["checkpoint a", "access denied"]);
    assert!(matches!(fault, Some(Message::Fault { class: FaultClass::Storage, .. })), "{fault:?}");
}

#[test]
fn a_report_outlasts_a_server_in_trouble() {
    let mut pods = Pods::new(World::new(Kind::Strict, SMALL));
    let request = pods.trial(pods.facts().fingerprints);
    pods.evaluate();
    // More refusals than the client of the storage bears for one request.
    let mut refusals = 0;
    let proxy = Proxy::start(pods.world.server.address(), move |request| {
        if request.method == "PUT" && refusals < 7 {
            refusals += 1;
            return Action::Answer(503, "SlowDown");
        }
        Action::Forward
    });
    pods.environment = pods.world.server.environment_through(proxy.address());
    let answer = pods.answer("report", &Request::Trial(Box::new(request)));
    assert_eq!(uploaded(answer.as_ref()), Some(true));
    assert_eq!(pods.world.bucket.keys("out/team/recycle/1-2/trials/g0004-c012").len(), 2);
}

#[test]
fn a_server_that_refuses_reports_costs_no_scores() {
    let mut pods = Pods::new(World::new(Kind::Strict, SMALL));
    let request = pods.trial(pods.facts().fingerprints);
    pods.evaluate();
    let proxy = Proxy::start(pods.world.server.address(), |_| Action::Answer(403, "AccessDenied"));
    pods.environment = pods.world.server.environment_through(proxy.address());
    let answer = pods.answer("report", &Request::Trial(Box::new(request)));
    assert_eq!(uploaded(answer.as_ref()), Some(false));
}

/// How a server answers a request to delete many objects.
#[rstest]
#[case::at_once(None)]
#[case::one_by_one(Some((501, "NotImplemented")))]
#[case::after_a_pause(Some((503, "SlowDown")))]
fn cleanup_deletes_more_than_a_page(#[case] answer: Option<(u16, &'static str)>) {
    let mut pods = Pods::new(World::new(Kind::Strict, SMALL));
    for index in 0..1050 {
        pods.world.bucket.put(&format!("out/team/recycle/1-2/trials/t/results/{index}.json"), vec![b'0']);
    }
    pods.world.bucket.put("out/team/recycle/1-20/report.json", vec![b'0']);
    let mut refusals = 0;
    let proxy = Proxy::start(pods.world.server.address(), move |request| match answer {
        Some((status, code)) if request.method == "POST" && (status == 501 || refusals < 7) => {
            refusals += 1;
            Action::Answer(status, code)
        }
        _ => Action::Forward,
    });
    pods.environment = pods.world.server.environment_through(proxy.address());
    assert_eq!(pods.answer("cleanup", &cleanup(&pods)), Some(Message::Done));
    assert_eq!(pods.world.bucket.keys("out"), ["out/team/recycle/1-20/report.json"]);
}

#[rstest]
fn a_candidate_is_handed_over_whole(#[values(Kind::Strict, Kind::Sloppy)] kind: Kind) {
    let mut pods = Pods::new(World::new(kind, SEVERAL_PARTS));
    pods.environment.push((INDEX_VARIABLE, "0".to_owned()));
    let trial = pods.trial(pods.facts().fingerprints);
    pods.answer("merge", &Request::Trial(Box::new(trial.clone())));
    let alone = folder_bytes(&pods.world.local("model"));
    let output = search().candidate_folder(&pods.world.bucket.uri("handoff"), &trial.trial);
    let merge = |trial: &TrialRequest| {
        Request::Merge(Box::new(MergeRequest {
            search: search(),
            storage: StorageAccess::default(),
            candidates: vec![Candidate {
                trial: trial.trial.clone(),
                recipe: trial.recipe.clone(),
                output: output.clone(),
            }],
            fingerprints: trial.fingerprints.clone(),
            parts: 1,
            max_shard_size: trial.max_shard_size,
            memory: trial.memory,
        }))
    };
    let handed = Request::Trial(Box::new(TrialRequest { candidate: Some(output.clone()), ..trial.clone() }));
    let (finished, fault) = pods.run("fetch", &handed);
    finished.assert_code(67);
    assert!(matches!(fault, Some(Message::Fault { class: FaultClass::Candidate, .. })), "{fault:?}");
    assert_eq!(pods.answer("merge", &merge(&trial)), Some(Message::Done));
    // A leftover in the volume is no part of the model.
    fs::write(pods.world.local("model").join("model-00009-of-00009.safetensors"), "old").unwrap();
    assert_eq!(pods.answer("fetch", &handed), None);
    let mut fetched = folder_bytes(&pods.world.local("model"));
    let files = fetched.len();
    fetched.retain(|(name, _)| name != "recipe.yaml");
    assert_eq!(fetched.len(), files - 1);
    assert_same_model(&model(fetched), &model(alone));
    pods.evaluate();
    pods.answer("report", &handed);
    assert!(pods.world.bucket.keys("handoff").is_empty(), "{:?}", pods.world.bucket.keys("handoff"));
    assert_eq!(pods.world.bucket.dangling_uploads(), 0);
}
