//! A node with the operator on it, and a team's namespace with a pool in a bucket: where whole searches run in pods.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;
use std::{env, fs};

use mergesearch_tests::cluster::{Namespace, Node};
use mergesearch_tests::{Bucket, file_uri, mergesearch, workspace};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The longest that a search of these tests may take on a slow machine.
pub(crate) const SEARCH: Duration = Duration::from_mins(10);
pub(crate) const MINUTES: Duration = Duration::from_mins(3);
/// The fewest that make a search.
const CHECKPOINTS: [&str; 2] = ["sft-1", "pref-2"];
pub(crate) const NAME: &str = "small";

/// A node with the chart installed: two replicas of the operator.
pub(crate) struct Installation {
    // Dropped in this order.
    pub(crate) home: Namespace,
    pub(crate) node: Node,
}

impl Installation {
    /// Builds the images, starts a node, and installs the chart as a person would.
    pub(crate) fn start() -> Self {
        let images = images();
        let node = Node::start();
        for name in ["operator", "merger", "quickstart"] {
            node.import_image(&images.join(format!("{name}.tar")));
        }
        let home = node.namespace("operators");
        let chart = workspace().join("charts/mergesearch");
        home.helm([OsStr::new("install"), OsStr::new("mergesearch"), chart.as_os_str()]);
        home.wait_for("two replicas are ready", MINUTES, || {
            (home.get(["deployment", "mergesearch"])["status"]["readyReplicas"] == 2).then_some(())
        });
        Self { home, node }
    }

    /// A namespace that enforces the `restricted` level, with the credentials of a bucket that has the pool.
    pub(crate) fn team(&self) -> Team<'_> {
        let namespace = self.node.namespace("team");
        let name = namespace.name();
        namespace.kubectl(["label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted"]);
        let credential = |wanted: &str| {
            let variables = self.node.store_environment();
            let (_, value) = variables.into_iter().find(|(name, _)| *name == wanted).unwrap();
            format!("--from-literal={wanted}={value}")
        };
        let credentials = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"].map(credential);
        namespace
            .kubectl(["create", "secret", "generic", "s3"].map(str::to_owned).into_iter().chain(credentials));
        let bucket = self.node.store().bucket(name);
        for checkpoint in CHECKPOINTS {
            bucket.put_folder(&format!("pool/{checkpoint}"), &pool(checkpoint));
        }
        Team { installation: self, namespace, bucket }
    }
}

/// A namespace of a team that searches.
pub(crate) struct Team<'a> {
    pub(crate) installation: &'a Installation,
    pub(crate) namespace: Namespace,
    pub(crate) bucket: Bucket,
}

impl Team<'_> {
    /// Applies the search.
    pub(crate) fn apply(&self) {
        let mut search =
            search(|name| self.bucket.uri(&format!("pool/{name}")), &self.bucket.uri("searches"));
        search["spec"]["storage"] = json!({
            "endpoint": self.installation.node.store_endpoint(),
            "region": "us-east-1",
            "pathStyle": true,
            "credentialsSecret": "s3",
            "output": self.bucket.uri("searches"),
        });
        self.namespace.apply(&search.to_string());
    }

    /// Suspends the search or lets it go on.
    pub(crate) fn suspend(&self, suspend: bool) {
        let patch = format!("--patch={}", json!({"spec": {"suspend": suspend}}));
        self.namespace.kubectl(["patch", "mergesearch", NAME, "--type=merge", &patch]);
    }

    /// Has pods of their own merge what others evaluate, from now on.
    pub(crate) fn hand_over(&self) {
        let handoff = json!({"uri": self.bucket.uri("handoff")});
        let execution =
            json!({"strategy": "PerGeneration", "handoff": handoff, "merger": {"parallelism": 2}});
        let patch = format!("--patch={}", json!({"spec": {"execution": execution}}));
        self.namespace.kubectl(["patch", "mergesearch", NAME, "--type=merge", &patch]);
    }

    /// The search as it is now.
    pub(crate) fn search(&self) -> Value {
        self.namespace.get(["mergesearch", NAME])
    }

    /// Waits until so many trials have succeeded or the search has completed.
    pub(crate) fn wait_for_trials(&self, count: u64) {
        self.namespace.wait_for(&format!("{count} trials succeed"), SEARCH, || {
            let search = self.search();
            let succeeded = search["status"]["trials"]["succeeded"].as_u64().unwrap_or(0);
            (succeeded >= count || is(&search, "Completed")).then_some(())
        });
    }

    /// Waits until the search has completed, and returns it.
    pub(crate) fn wait_until_completed(&self) -> Value {
        self.namespace.wait_for("the search completes", SEARCH, || {
            let search = self.search();
            if is(&search, "Failed") {
                self.namespace.cluster().fail(&format!("the search failed: {:#}", search["status"]));
            }
            is(&search, "Completed").then_some(search)
        })
    }

    /// The pods of trials and other Jobs.
    pub(crate) fn pods(&self) -> Vec<Value> {
        self.namespace.get(["pods"])["items"].as_array().unwrap().clone()
    }
}

/// Whether none of a pod's containers runs or will.
pub(crate) fn has_ended(pod: &Value) -> bool {
    matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"))
}

/// Whether a condition of the search is true.
pub(crate) fn is(search: &Value, condition: &str) -> bool {
    let conditions = search["status"]["conditions"].as_array();
    conditions.into_iter().flatten().any(|found| found["type"] == condition && found["status"] == "True")
}

/// The front of a search's status: the trials with their search and test scores, in order.
pub(crate) fn front(search: &Value) -> Vec<(String, Value)> {
    let row = |row: &Value| {
        let scores = row["scores"].as_array().unwrap();
        let scores: Vec<Value> =
            scores.iter().map(|score| json!([score["search"]["value"], score["test"]["value"]])).collect();
        (row["trial"].as_str().unwrap().to_owned(), Value::from(scores))
    };
    sorted(search["status"]["front"].as_array().unwrap().iter().map(row).collect())
}

/// What the program on this machine makes of the same search.
pub(crate) struct Local {
    /// As [`front`].
    pub(crate) front: Vec<(String, Value)>,
    /// The folder of the published model.
    pub(crate) published: PathBuf,
    _folder: TempDir,
}

/// The same search run on this machine, once.
pub(crate) fn local() -> &'static Local {
    static LOCAL: OnceLock<Local> = OnceLock::new();
    LOCAL.get_or_init(search_locally)
}

fn search_locally() -> Local {
    let folder = TempDir::with_prefix("mergesearch-local-").unwrap();
    let manifest = folder.path().join("mergesearch.yaml");
    let search = search(|name| file_uri(&pool(name)), &file_uri(&folder.path().join("output")));
    // JSON is YAML.
    fs::write(&manifest, search.to_string()).unwrap();
    let run = |command: &str, more: &[&str]| {
        let file = manifest.to_str().unwrap();
        let ended = mergesearch().args([command, "--file", file]).args(more).run();
        ended.assert_code(0);
        ended.stdout
    };
    run("run", &[]);
    let report: Value = serde_json::from_str(&run("show", &["--output", "json"])).unwrap();
    let row = |row: &Value| {
        let value = |stage: &str, index: usize| row[stage][index]["value"].clone();
        let objectives = 0..row["search"].as_array().unwrap().len();
        let scores: Vec<Value> =
            objectives.map(|index| json!([value("search", index), value("test", index)])).collect();
        (row["trial"].as_str().unwrap().to_owned(), Value::from(scores))
    };
    let front = sorted(report["front"].as_array().unwrap().iter().map(row).collect());
    let published = report["published"][0]["uri"].as_str().unwrap().strip_prefix("file://").unwrap();
    Local { front, published: published.into(), _folder: folder }
}

fn sorted(mut front: Vec<(String, Value)>) -> Vec<(String, Value)> {
    front.sort_by(|one, other| one.0.cmp(&other.0));
    front
}

fn pool(name: &str) -> PathBuf {
    workspace().join("examples/quickstart/pool").join(name)
}

/// Two checkpoints, two objectives, few items, the fewest trials.
fn search(source: impl Fn(&str) -> String, output: &str) -> Value {
    let checkpoint = |name: &str| json!({"name": name, "uri": source(name)});
    let evaluator = json!({
        "name": "evaluator",
        "image": "ghcr.io/mergesearch/quickstart:0.1.0",
        "imagePullPolicy": "IfNotPresent",
        "command": ["quickstart-evaluate", "--items", "25"],
        "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "512Mi", "nvidia.com/gpu": 1}},
    });
    let small = json!({"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}});
    json!({
        "apiVersion": "mergesearch.dev/v1alpha1",
        "kind": "MergeSearch",
        "metadata": {"name": NAME},
        "spec": {
            "pool": {"checkpoints": CHECKPOINTS.map(checkpoint)},
            "merge": {"method": "Linear"},
            "objectives": [
                {"name": "descending", "metric": "sort_descending/exact_match", "direction": "Maximize"},
                {"name": "addition", "metric": "addition/exact_match", "direction": "Maximize"},
            ],
            "heldOut": [{"name": "sort", "metric": "sort/exact_match", "direction": "Maximize"}],
            "search": {"seed": 7, "finalists": 1, "greedy": {"maxSteps": 1}},
            "budget": {"maxTrials": 25},
            "evaluation": {"template": {"spec": {"containers": [evaluator]}}},
            "execution": {"parallelTrials": 3, "merger": {"resources": small}},
            "storage": {"output": output},
        },
    })
}

/// The folder of the images, packed from the programs of the test's own profile.
fn images() -> PathBuf {
    let test = env::current_exe().unwrap();
    // TARGET/PROFILE/deps/it-HASH
    let folder: &Path = test.ancestors().nth(2).unwrap();
    let images = folder.join("node-images");
    let run = Command::new(workspace().join("images/build"))
        .args([
            OsStr::new("--profile"),
            folder.file_name().unwrap(),
            OsStr::new("--output"),
            images.as_os_str(),
        ])
        .env("CARGO_TARGET_DIR", folder.parent().unwrap())
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    images
}
