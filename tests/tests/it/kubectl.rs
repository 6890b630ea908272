//! `kubectl mergesearch`: a search on a real API server as its object and its journal tell it. No operator runs; what one
//! would write is written here, with a journal that a real search made.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use std::{env, iter};

use mergesearch_crds::{
    JournalStart, MergeSearch, MergeSearchJournal, MergeSearchJournalSpec, labels, search_config,
};
use mergesearch_search::results::Measurement;
use mergesearch_search::{Chain, Record, Search, StageScores, Trial, TrialOutcome, TrialResult};
use mergesearch_tests::cluster::{ApiServer, Namespace};
use mergesearch_tests::{mergesearch, workspace};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::cluster_api::apply_definitions;

const PATIENCE: Duration = Duration::from_mins(1);

/// A search in a namespace of its own, the journal it will have, and kubectl with the plugin on its path.
struct World {
    namespace: Namespace,
    folder: TempDir,
    /// Three chunks; all but the last sealed.
    chunks: Vec<MergeSearchJournal>,
}

/// A program that has ended.
struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl World {
    fn new(prefix: &str) -> Self {
        let server = ApiServer::shared();
        apply_definitions(server);
        let namespace = server.namespace(prefix);
        let manifest = fs::read_to_string(workspace().join("crds/examples/small.yaml")).unwrap();
        let manifest = manifest.replace("file:///pool/", "s3://models/").replace("file://./", "s3://models/");
        namespace.apply(&manifest);
        let resource: MergeSearch = serde_json::from_value(namespace.get(["mergesearch", "small"])).unwrap();
        let folder = TempDir::with_prefix("mergesearch-plugin-").unwrap();
        symlink(built_program(), folder.path().join("kubectl-mergesearch")).unwrap();
        let chunks = journal(&resource);
        Self { namespace, folder, chunks }
    }

    /// `kubectl mergesearch ...`, its output in files.
    fn start(&self, arguments: &[&str]) -> Child {
        let words = iter::once("mergesearch").chain(arguments.iter().copied());
        let mut command: Command = self.namespace.cluster().command("kubectl", words);
        let file = |name: &str| File::create(self.folder.path().join(name)).unwrap();
        let mut path = OsString::from(self.folder.path());
        path.push(":");
        path.push(env::var_os("PATH").unwrap_or_default());
        command.env("PATH", path).stdin(Stdio::null()).stdout(file("stdout")).stderr(file("stderr"));
        command.spawn().unwrap()
    }

    fn end(&self, mut child: Child) -> Ended {
        let status = child.wait().unwrap();
        Ended { code: status.code(), stdout: self.read("stdout"), stderr: self.read("stderr") }
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join(name)).unwrap()
    }

    /// `kubectl mergesearch ...` about the search, to its end.
    fn run(&self, arguments: &[&str]) -> Ended {
        let own = ["small", "--namespace", self.namespace.name()];
        let arguments: Vec<&str> =
            arguments[..1].iter().chain(&own).chain(&arguments[1..]).copied().collect();
        self.end(self.start(&arguments))
    }

    /// Writes a chunk as far as it has come.
    fn write(&self, chunk: &MergeSearchJournal) {
        let words = ["apply", "--server-side", "--filename=-", "--namespace", self.namespace.name()];
        self.namespace.cluster().kubectl_with_input(words, &json!(chunk).to_string());
    }

    fn set_status(&self, status: &Value) {
        let patch = json!({ "status": status }).to_string();
        let words =
            ["patch", "mergesearch", "small", "--subresource=status", "--type=merge", "--patch", &patch];
        self.namespace.kubectl(words);
    }

    fn names(&self) -> Vec<&str> {
        self.chunks.iter().filter_map(|chunk| chunk.metadata.name.as_deref()).collect()
    }

    #[track_caller]
    fn wait_until_said(&self, words: &str) {
        self.namespace.wait_for(&format!("watch says {words:?}"), PATIENCE, || {
            self.read("stderr").contains(words).then_some(())
        });
    }
}

impl Ended {
    #[track_caller]
    fn assert_code(&self, code: i32) {
        let Self { code: got, stdout, stderr } = self;
        assert_eq!(*got, Some(code), "standard output:\n{stdout}\nstandard error:\n{stderr}");
    }
}

/// `kubectl proxy`: the API server at an address of its own, until this is dropped.
struct ApiProxy {
    process: Child,
    port: u16,
}

impl ApiProxy {
    /// On this port, or on a free one when it is 0.
    fn start(world: &World, port: u16) -> Self {
        let mut command = world.namespace.cluster().command("kubectl", ["proxy", &format!("--port={port}")]);
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        // "Starting to serve on 127.0.0.1:8001"
        let port = line.trim_end().rsplit(':').next().and_then(|port| port.parse().ok());
        Self { process, port: port.unwrap_or_else(|| panic!("kubectl proxy said {line:?}")) }
    }
}

impl Drop for ApiProxy {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The program beside this test's own folder, built if need be.
fn built_program() -> PathBuf {
    drop(mergesearch());
    let test = env::current_exe().unwrap();
    test.ancestors().nth(2).map(|folder: &Path| folder.join("mergesearch")).unwrap()
}

/// The whole journal of a search that was driven to its end, in three chunks.
fn journal(resource: &MergeSearch) -> Vec<MergeSearchJournal> {
    let mut search = Search::new(search_config(resource, 0).unwrap()).unwrap();
    while let Some(trial) = search.trials(1).pop() {
        search.record(evaluated(&trial)).unwrap();
    }
    let records: Vec<Record> = search.take_records();
    let uid = resource.metadata.uid.clone().unwrap();
    let (mut chunks, mut chain, mut previous_hash) = (Vec::new(), Chain::default(), String::new());
    for (index, part) in (0..).zip(records.chunks(records.len().div_ceil(3))) {
        let spec = MergeSearchJournalSpec {
            search_uid: uid.clone(),
            index,
            sealed: index < 2,
            start: (index == 0).then(JournalStart::default),
            previous_hash,
            records: part.iter().map(|record| chain.line(record).unwrap()).collect(),
        };
        previous_hash = spec.hash();
        let mut chunk = MergeSearchJournal::new(&format!("small-journal-{index:04}"), spec);
        chunk.metadata.labels = Some([(labels::SEARCH_UID.to_owned(), uid.clone())].into());
        chunks.push(chunk);
    }
    chunks
}

/// What an evaluator that likes even mixtures of the first two checkpoints says.
fn evaluated(trial: &Trial) -> TrialResult {
    let weights = &trial.recipe.groups[0].weights;
    let distance = (weights[0] - 0.5).powi(2) + (weights[1] - 0.5).powi(2);
    let score = Measurement { value: 0.9 - distance / 2.0, stderr: Some(0.001), items: None };
    let stages = trial.stages.iter().map(|&stage| StageScores { stage, scores: vec![score] }).collect();
    TrialResult {
        id: trial.id.clone(),
        outcome: TrialOutcome::Succeeded(stages),
        gpu_seconds: 0.0,
        time: None,
    }
}

fn condition(type_: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({
        "type": type_, "status": status, "reason": reason, "message": message,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    })
}

/// The first half of a chunk's lines, before it was sealed.
fn half(chunk: &MergeSearchJournal) -> MergeSearchJournal {
    let mut chunk = chunk.clone();
    let lines = chunk.spec.records.lines().count() / 2;
    chunk.spec.records = chunk.spec.records.split_inclusive('\n').take(lines).collect();
    chunk.spec.sealed = false;
    chunk
}

#[test]
fn kubectl_shows_a_search_before_it_begins_while_it_runs_and_when_its_journal_is_damaged() {
    let world = World::new("status");
    let help = world.end(world.start(&["status", "--help"]));
    help.assert_code(0);
    assert!(help.stdout.contains("Usage: kubectl mergesearch status [OPTIONS] <NAME>"), "{}", help.stdout);

    let unknown = world.end(world.start(&["status", "large", "--namespace", world.namespace.name()]));
    unknown.assert_code(2);
    let sentence = format!("error: search large: not in namespace {};", world.namespace.name());
    assert!(unknown.stderr.starts_with(&sentence), "{}", unknown.stderr);

    let untouched = world.run(&["status"]);
    untouched.assert_code(0);
    for words in ["no operator has taken it up yet", "The search has not begun"] {
        assert!(untouched.stdout.contains(words), "{}", untouched.stdout);
    }

    for chunk in &world.chunks[..2] {
        world.write(chunk);
    }
    let waits =
        condition("Progressing", "False", "Queued", "pod small-uniform-abcde waits for a node: no GPU");
    world.set_status(
        &json!({ "observedGeneration": 1, "conditions": [waits], "journal": world.names()[..2] }),
    );
    let running = world.run(&["status"]);
    running.assert_code(0);
    for words in
        ["Queued  pod small-uniform-abcde waits for a node: no GPU", "not finished: ", "searched merges:"]
    {
        assert!(running.stdout.contains(words), "{words}:\n{}", running.stdout);
    }
    let data = world.run(&["status", "-o", "json"]);
    data.assert_code(0);
    let data: Value = serde_json::from_str(&data.stdout).unwrap();
    assert_eq!(data["conditions"][0]["reason"], "Queued");
    assert_eq!(data["report"]["progress"]["phase"], "generations");
    let yaml = world.run(&["status", "--output=yaml"]);
    assert_eq!(serde_saphyr::from_str::<Value>(&yaml.stdout).unwrap(), data);

    world.namespace.kubectl(["delete", "mergesearchjournal", world.names()[0]]);
    let damaged = world.run(&["status"]);
    damaged.assert_code(1);
    assert!(damaged.stdout.contains("Queued"), "{}", damaged.stdout);
    assert_eq!(
        damaged.stderr,
        "error: journal chunk small-journal-0000 is missing; restore it from a backup, or delete the search\n"
    );
}

#[test]
fn kubectl_watches_a_search_from_its_beginning_to_its_result() {
    let world = World::new("watch");
    let child = world.start(&["watch", "small", "--namespace", world.namespace.name()]);
    world.wait_until_said("the search has not begun");

    world.write(&half(&world.chunks[0]));
    let queued = condition("Progressing", "False", "Queued", "pod p waits for a node");
    world.set_status(
        &json!({ "observedGeneration": 1, "conditions": [queued], "journal": world.names()[..1] }),
    );
    world.wait_until_said("waiting: Queued: pod p waits for a node");
    world.wait_until_said("small: 3 checkpoints, 1 objectives, about ");

    // The chunk that was read has grown, and there are new ones.
    for chunk in &world.chunks {
        world.write(chunk);
    }
    let searching = condition("Progressing", "True", "Searching", "generation 3");
    world.set_status(&json!({ "conditions": [searching], "journal": world.names() }));
    world.wait_until_said("ended: ");
    let best = "s3://models/out/best";
    world.set_status(&json!({
        "conditions": [condition("Completed", "True", "MaxTrials", "the trial budget is used up")],
        "published": [{"trial": "uniform", "uri": best}],
    }));
    let ended = world.end(child);
    ended.assert_code(0);
    for words in ["going on\n", "generation 2: best fitness "] {
        assert!(ended.stderr.contains(words), "{words}:\n{}", ended.stderr);
    }
    for words in ["completed: ", "over the best baseline", &format!("published uniform to {best}")] {
        assert!(ended.stdout.contains(words), "{words}:\n{}", ended.stdout);
    }

    let folder = world.folder.path().join("report");
    let reported = world.run(&["report", "--output", folder.to_str().unwrap()]);
    reported.assert_code(0);
    assert_eq!(reported.stdout, format!("{}/report.html\n", folder.display()));
    assert!(folder.join("convergence.png").is_file());
    let page = fs::read_to_string(folder.join("report.html")).unwrap();
    assert!(page.contains(r#""exportCommand":"kubectl mergesearch status small --namespace "#));

    world.set_status(&json!({
        "conditions": [condition("Failed", "True", "MaxFailedTrials", "17 trials failed")],
    }));
    let failed = world.run(&["watch"]);
    failed.assert_code(1);
    assert!(
        failed.stderr.ends_with("error: the search failed (MaxFailedTrials): 17 trials failed\n"),
        "{}",
        failed.stderr
    );
}

#[test]
fn kubectl_stops_watching_a_search_that_is_deleted() {
    let world = World::new("deleted");
    let child = world.start(&["watch", "small", "--namespace", world.namespace.name()]);
    world.wait_until_said("the search has not begun");
    world.namespace.kubectl(["delete", "mergesearch", "small"]);
    let ended = world.end(child);
    ended.assert_code(1);
    assert!(ended.stderr.contains("error: search small: it was deleted from namespace "), "{}", ended.stderr);
}

#[test]
fn kubectl_goes_on_watching_when_the_api_server_was_away() {
    let world = World::new("away");
    let proxy = ApiProxy::start(&world, 0);
    let port = proxy.port;
    let kubeconfig = world.folder.path().join("kubeconfig");
    let cluster = json!({ "name": "proxy", "cluster": { "server": format!("http://127.0.0.1:{port}") } });
    let context = json!({ "cluster": "proxy", "user": "", "namespace": world.namespace.name() });
    let written = json!({
        "apiVersion": "v1", "kind": "Config", "clusters": [cluster], "users": [],
        "contexts": [{ "name": "there", "context": context }],
    });
    fs::write(&kubeconfig, written.to_string()).unwrap();
    let words = ["watch", "small", "--context", "there", "--kubeconfig", kubeconfig.to_str().unwrap()];
    let child = world.start(&words);
    world.wait_until_said("the search has not begun");
    drop(proxy);
    world.wait_until_said("the API server does not answer (");
    for chunk in &world.chunks {
        world.write(chunk);
    }
    let completed = condition("Completed", "True", "MaxTrials", "the trial budget is used up");
    world
        .set_status(&json!({ "observedGeneration": 1, "conditions": [completed], "journal": world.names() }));
    let _proxy = ApiProxy::start(&world, port);
    let ended = world.end(child);
    ended.assert_code(0);
    assert!(ended.stderr.contains("the API server answers again\n"), "{}", ended.stderr);
    assert!(ended.stdout.contains("over the best baseline"), "{}", ended.stdout);
}
