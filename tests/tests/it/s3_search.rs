//! A whole search over the quickstart's checkpoints: from a bucket it takes the same course as from local folders.

use std::fs;
use std::path::{Path, PathBuf};

use mergesearch_tests::{Finished, Kind, Server, file_uri, folder_bytes, mergesearch, workspace};
use rstest::rstest;
use serde_json::Value;
use tempfile::TempDir;

use crate::world::{assert_same_model, model};

const CHECKPOINTS: [&str; 4] = ["sft-1", "sft-3", "pref-2", "pref-4"];

fn pool(name: &str) -> PathBuf {
    workspace().join("examples/quickstart/pool").join(name)
}

/// Four checkpoints, two objectives, few items, the fewest trials.
fn manifest(source: impl Fn(&str) -> String, output: &str) -> String {
    let checkpoint = |name: &&str| format!("      - {{name: {name}, uri: '{}'}}\n", source(name));
    let checkpoints: String = CHECKPOINTS.iter().map(checkpoint).collect();
    format!(
        "apiVersion: mergesearch.dev/v1alpha1
kind: MergeSearch
metadata: {{name: bucket}}
spec:
  pool:
    checkpoints:
{checkpoints}  merge: {{method: Linear}}
  objectives:
    - {{name: descending, metric: sort_descending/exact_match, direction: Maximize}}
    - {{name: addition, metric: addition/exact_match, direction: Maximize}}
  search: {{seed: 7, finalists: 1, greedy: {{maxSteps: 2}}}}
  budget: {{maxTrials: 48}}
  evaluation:
    template:
      spec:
        containers:
          - name: evaluator
            image: ghcr.io/mergesearch/quickstart:0.1.0
            command: [quickstart-evaluate, --items, '25']
  execution: {{parallelTrials: 2}}
  storage: {{output: '{output}'}}
"
    )
}

struct Run<'a> {
    folder: PathBuf,
    server: Option<&'a Server>,
}

impl<'a> Run<'a> {
    fn new(folder: &Path, manifest: &str, server: Option<&'a Server>) -> Self {
        fs::create_dir(folder).unwrap();
        fs::write(folder.join("mergesearch.yaml"), manifest).unwrap();
        Self { folder: folder.to_owned(), server }
    }

    fn mergesearch(&self, arguments: &[&str]) -> Finished {
        let state = self.folder.join("state.mergesearch");
        let environment = self.server.map(Server::environment).unwrap_or_default();
        mergesearch().args(arguments).args(["--state", state.to_str().unwrap()]).envs(environment).run()
    }

    fn search(&self) -> Finished {
        self.mergesearch(&["run", "--file", self.folder.join("mergesearch.yaml").to_str().unwrap()])
    }

    /// Everything that is shown, without the places and the times.
    fn result(&self, pool: &str) -> Value {
        let shown = self.mergesearch(&["show", "-o", "json"]);
        shown.assert_code(0);
        let mut result: Value = serde_json::from_str(&shown.stdout.replace(pool, "pool:")).unwrap();
        for field in ["published", "timeline"] {
            result.as_object_mut().unwrap().remove(field).unwrap();
        }
        result
    }
}

#[rstest]
fn from_a_bucket_a_search_takes_the_same_course(#[values(Kind::Strict, Kind::Sloppy)] kind: Kind) {
    let (server, folder) = (Server::start(kind), TempDir::with_prefix("mergesearch-search-").unwrap());
    let bucket = server.bucket("models");
    for name in CHECKPOINTS {
        bucket.put_folder(&format!("pool/{name}"), &pool(name));
    }
    let local_output = folder.path().join("output");
    let local = manifest(|name| file_uri(&pool(name)), &file_uri(&local_output));
    let local = Run::new(&folder.path().join("local"), &local, None);
    local.search().assert_code(0);

    let remote = manifest(|name| bucket.uri(&format!("pool/{name}")), &bucket.uri("searches"));
    let remote = Run::new(&folder.path().join("remote"), &remote, Some(&server));
    remote.search().assert_code(0);
    let result = remote.result(&bucket.uri("pool"));
    assert!(result["front"].as_array().is_some_and(|front| !front.is_empty()), "{result:#}");
    assert_eq!(result, local.result(file_uri(&pool("")).trim_end_matches('/')));

    // What is published by hand is the same model, whatever lies where.
    let by_hand = folder.path().join("by-hand");
    local.mergesearch(&["publish", "best", by_hand.to_str().unwrap()]).assert_code(0);
    remote.mergesearch(&["publish", "best", &bucket.uri("by-hand")]).assert_code(0);
    assert_same_model(&model(bucket.folder_bytes("by-hand")), &model(folder_bytes(&by_hand)));
    if kind == Kind::Strict {
        assert_eq!(bucket.dangling_uploads(), 0);
    }
}

#[test]
fn a_wrong_secret_ends_a_search_before_its_first_trial() {
    let (server, folder) =
        (Server::start(Kind::Strict), TempDir::with_prefix("mergesearch-search-").unwrap());
    let bucket = server.bucket("models");
    for name in CHECKPOINTS {
        bucket.put_folder(&format!("pool/{name}"), &pool(name));
    }
    let manifest = manifest(|name| bucket.uri(&format!("pool/{name}")), &bucket.uri("searches"));
    let run = Run::new(&folder.path().join("run"), &manifest, None);
    let mut environment = server.environment();
    environment.push(("AWS_SECRET_ACCESS_KEY", "wrong".to_owned()));
    let file = run.folder.join("mergesearch.yaml");
    let failed = mergesearch().args(["run", "--file", file.to_str().unwrap()]).envs(environment).run();
    failed.assert_fails(2, &["sft-1", "access denied"]);
}
