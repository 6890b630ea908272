//! A folder with a tiny pool, an evaluator and a manifest, and the program run on it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A search of 48 trials over 4 checkpoints, in a folder of its own.
pub(crate) struct Fixture {
    folder: TempDir,
    /// The manifest, to be changed before a run.
    pub(crate) manifest: Value,
}

impl Fixture {
    /// Checkpoints that are the corners of a simplex: what is merged are the weights themselves.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        fs::write(at("evaluator.sh"), include_str!("evaluator.sh")).unwrap();
        fs::create_dir(at("seen")).unwrap();
        for corner in 0..4 {
            let values: [f32; 4] = std::array::from_fn(|index| if index == corner { 1.0 } else { 0.0 });
            checkpoint(&at(&format!("pool/c{corner}")), &values);
        }
        let text = |path: &str| at(path).display().to_string();
        let manifest = json!({
            "apiVersion": "mergesearch.dev/v1alpha1",
            "kind": "MergeSearch",
            "metadata": {"name": "tiny"},
            "spec": {
                "pool": {"checkpoints": (0..4).map(|corner| json!({
                    "name": format!("c{corner}"), "uri": format!("file://./pool/c{corner}"),
                })).collect::<Vec<_>>()},
                "objectives": [
                    {"name": "left", "metric": "left/acc"},
                    {"name": "right", "metric": "right/acc,none"},
                ],
                "heldOut": [{"name": "old", "metric": "old/acc"}],
                "search": {"seed": 7},
                "budget": {"maxTrials": 48},
                "evaluation": {"backoffLimit": 0, "template": {"spec": {"containers": [{
                    "name": "evaluator",
                    "command": ["sh", "./evaluator.sh"],
                    "env": [
                        {"name": "SEEN_DIR", "value": text("seen")},
                        {"name": "TRIALS_DIR", "value": text("tiny.mergesearch/trials")},
                        {"name": "DELAY", "value": ""},
                        {"name": "SABOTAGE", "value": ""},
                    ],
                }]}}},
                "execution": {"parallelTrials": 2},
                "storage": {"output": "file://./out"},
            },
        });
        Self { folder, manifest }
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// Sets a value of the manifest by its JSON pointer below `/spec`.
    pub(crate) fn set(&mut self, pointer: &str, value: Value) -> &mut Self {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let parent = self.manifest["spec"].pointer_mut(parent).unwrap();
        match key.parse::<usize>() {
            Ok(index) => parent[index] = value,
            Err(_) => parent[key] = value,
        }
        self
    }

    /// Shell commands that every evaluation runs first.
    pub(crate) fn sabotage(&mut self, commands: &str) -> &mut Self {
        // In a manifest `$$` is a plain `$`.
        self.set("/evaluation/template/spec/containers/0/env/3/value", json!(commands.replace('$', "$$")))
    }

    /// Evaluations take a while, each another.
    pub(crate) fn delayed(&mut self) -> &mut Self {
        self.set("/evaluation/template/spec/containers/0/env/2/value", json!("yes"))
    }

    /// `mergesearch`, in the fixture's folder, with the manifest as it is now.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        // JSON is YAML.
        fs::write(self.path("mergesearch.yaml"), self.manifest.to_string()).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_mergesearch"));
        command.args(arguments).current_dir(self.folder.path()).stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self) -> Ended {
        self.mergesearch(&["run", "-f", "mergesearch.yaml"])
    }

    pub(crate) fn mergesearch(&self, arguments: &[&str]) -> Ended {
        self.command(arguments).output().unwrap().into()
    }

    pub(crate) fn start(&self) -> Child {
        let mut command = self.command(&["run", "-f", "mergesearch.yaml"]);
        command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// What came out, as data.
    pub(crate) fn shown(&self) -> Value {
        let shown = self.mergesearch(&["show", "-f", "mergesearch.yaml", "-o", "json"]);
        assert_eq!(shown.code, 0, "{}", shown.stderr);
        serde_json::from_str(&shown.stdout).unwrap()
    }

    /// The part of what came out that is the same for the same search.
    pub(crate) fn report(&self) -> Value {
        let mut report = self.shown();
        // When it happened.
        report["timeline"].take();
        // The places of this fixture's own folder.
        for published in report["published"].as_array_mut().unwrap() {
            published["uri"].take();
        }
        let text = report.to_string().replace(&*self.folder.path().to_string_lossy(), "");
        serde_json::from_str(&text).unwrap()
    }

    /// Trial and stage of every evaluation that began.
    pub(crate) fn evaluations(&self) -> Vec<String> {
        lines(&self.path("seen/evaluations"))
    }

    /// Trials that were evaluated although they had their result already.
    pub(crate) fn repeated(&self) -> Vec<String> {
        lines(&self.path("seen/repeated"))
    }
}

/// What a finished command left.
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

fn lines(path: &Path) -> Vec<String> {
    fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

/// Writes a checkpoint of one tensor.
pub(crate) fn checkpoint(folder: &Path, values: &[f32]) {
    fs::create_dir_all(folder).unwrap();
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let tensor = TensorView::new(Dtype::F32, vec![values.len()], &bytes).unwrap();
    let metadata = Some([("format".to_owned(), "pt".to_owned())].into());
    let model = safetensors::serialize([("model.layers.0.weight", tensor)], metadata).unwrap();
    fs::write(folder.join("model.safetensors"), model).unwrap();
    let config =
        json!({"model_type": "llama", "architectures": ["LlamaForCausalLM"], "num_hidden_layers": 1});
    fs::write(folder.join("config.json"), config.to_string()).unwrap();
}
