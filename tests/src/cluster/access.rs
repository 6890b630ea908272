//! A cluster as its administrator uses it: through kubectl and helm.

use std::ffi::OsStr;
use std::fs;
use std::io::{Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::home::KEEP_LOGS;
use super::namespace::Namespace;
use super::programs::{on_path, program};

const EXISTING: &str = "MERGESEARCH_TEST_KUBECONFIG";
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// A handle on a running cluster; clones are handles on the same one.
#[derive(Debug, Clone)]
pub struct Cluster(Arc<Handle>);

#[derive(Debug)]
struct Handle {
    kubeconfig: PathBuf,
    /// The folder of the cluster, if it is one of ours.
    folder: Option<PathBuf>,
    /// What kubectl and helm write for themselves.
    scratch: TempDir,
}

impl Cluster {
    /// The cluster that `MERGESEARCH_TEST_KUBECONFIG` names.
    pub(crate) fn existing() -> Option<Self> {
        let kubeconfig = PathBuf::from(std::env::var_os(EXISTING).filter(|name| !name.is_empty())?);
        assert!(
            kubeconfig.is_file(),
            "{EXISTING} must name a kubeconfig, but {} is no file",
            kubeconfig.display()
        );
        Some(Self::new(fs::canonicalize(kubeconfig).unwrap(), None))
    }

    pub(crate) fn own(kubeconfig: PathBuf, folder: &Path) -> Self {
        Self::new(kubeconfig, Some(folder.to_owned()))
    }

    fn new(kubeconfig: PathBuf, folder: Option<PathBuf>) -> Self {
        // Below the cluster's own folder, which goes even when this process is killed.
        let below = folder.clone().unwrap_or_else(std::env::temp_dir);
        let scratch = TempDir::with_prefix_in("mergesearch-kubectl-", below).unwrap();
        Self(Arc::new(Handle { kubeconfig, folder, scratch }))
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> &Path {
        &self.0.kubeconfig
    }

    /// Whether the cluster was there before and stays.
    pub fn is_existing(&self) -> bool {
        self.0.folder.is_none()
    }

    /// Runs kubectl and returns its standard output; panics with what it said when it fails.
    #[track_caller]
    pub fn kubectl<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> String {
        self.kubectl_with_input(arguments, "")
    }

    /// Runs kubectl; `Err` is what it said on standard error.
    pub fn try_kubectl<S: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = S>,
    ) -> Result<String, String> {
        self.try_kubectl_with_input(arguments, "")
    }

    /// [`Cluster::kubectl`] with a standard input.
    #[track_caller]
    pub fn kubectl_with_input<S: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = S>,
        input: &str,
    ) -> String {
        self.run_or_fail("kubectl", self.command("kubectl", arguments), input)
    }

    /// [`Cluster::try_kubectl`] with a standard input.
    pub fn try_kubectl_with_input<S: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = S>,
        input: &str,
    ) -> Result<String, String> {
        run(self.command("kubectl", arguments), input)
    }

    /// Runs `kubectl get ... --output json` and returns the object.
    #[track_caller]
    pub fn get<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Value {
        let mut words = vec!["get".into(), "--output=json".into()];
        words.extend(arguments.into_iter().map(|word| word.as_ref().to_owned()));
        serde_json::from_str(&self.kubectl(words)).unwrap()
    }

    /// Applies manifests on the client's side, as users do.
    #[track_caller]
    pub fn apply(&self, manifests: &str) -> String {
        self.kubectl_with_input(["apply", "--filename=-"], manifests)
    }

    /// Runs helm and returns its standard output; panics with what it said when it fails.
    #[track_caller]
    pub fn helm<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> String {
        self.run_or_fail("helm", self.command("helm", arguments), "")
    }

    /// Runs helm; `Err` is what it said on standard error.
    pub fn try_helm<S: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = S>,
    ) -> Result<String, String> {
        run(self.command("helm", arguments), "")
    }

    /// kubectl or helm about to run as the administrator, for a test that must hold the process itself.
    pub fn command<S: AsRef<OsStr>>(&self, name: &str, arguments: impl IntoIterator<Item = S>) -> Command {
        let file = if self.is_existing() { on_path(name) } else { program(name) };
        let scratch = |name: &str| self.0.scratch.path().join(name);
        let mut command = Command::new(file);
        command
            .args(arguments)
            .env("KUBECONFIG", self.kubeconfig())
            .env("KUBECACHEDIR", scratch("kubectl"))
            .env("HELM_CACHE_HOME", scratch("helm-cache"))
            .env("HELM_CONFIG_HOME", scratch("helm-config"))
            .env("HELM_DATA_HOME", scratch("helm-data"));
        command
    }

    #[track_caller]
    fn run_or_fail(&self, name: &str, command: Command, input: &str) -> String {
        let words: Vec<_> = command.get_args().map(OsStr::to_string_lossy).collect();
        let line = words.join(" ");
        run(command, input).unwrap_or_else(|said| self.fail(&format!("{name} {line} failed: {said}")))
    }

    /// Makes a namespace whose name begins so, and waits until pods can be made in it.
    #[track_caller]
    pub fn namespace(&self, prefix: &str) -> Namespace {
        Namespace::make(self.clone(), prefix)
    }

    /// Waits until the closure returns something; on timeout panics with what goes on in the namespace.
    #[track_caller]
    pub fn wait_for<T>(
        &self,
        namespace: &str,
        description: &str,
        deadline: Duration,
        mut look: impl FnMut() -> Option<T>,
    ) -> T {
        let begun = Instant::now();
        loop {
            if let Some(seen) = look() {
                return seen;
            }
            if begun.elapsed() > deadline {
                let seconds = deadline.as_secs();
                self.fail(&format!("{description}: not within {seconds} s\n{}", self.describe(namespace)));
            }
            sleep(POLL_INTERVAL);
        }
    }

    /// What goes on in a namespace, for people.
    pub fn describe(&self, namespace: &str) -> String {
        let commands: [&[&str]; 4] = [
            &["get", "nodes,pods,jobs,mergesearches", "--output=wide", "--ignore-not-found"],
            &["get", "events", "--sort-by=.lastTimestamp"],
            &["describe", "pods"],
            &["get", "mergesearches", "--output=yaml"],
        ];
        let mut text = String::new();
        for words in commands {
            let answer = self.try_kubectl(words.iter().chain(&["--namespace", namespace]));
            let answer = answer.unwrap_or_else(|said| said);
            text.extend(["--- kubectl ", &words.join(" "), "\n", &answer, "\n"]);
        }
        text
    }

    /// Panics, and has the logs kept.
    #[track_caller]
    pub fn fail(&self, message: &str) -> ! {
        let Some(folder) = &self.0.folder else { panic!("{message}") };
        fs::write(folder.join(KEEP_LOGS), "").unwrap();
        panic!("{message}\nThe logs of the cluster's programs are in {}", folder.join("logs").display());
    }
}

fn run(mut command: Command, input: &str) -> Result<String, String> {
    // A file, not a pipe: the program may end before it has read everything.
    let mut stdin = tempfile::tempfile().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    stdin.rewind().unwrap();
    let output = command
        .stdin(Stdio::from(stdin))
        .output()
        .unwrap_or_else(|error| panic!("can't run {}: {error}", command.get_program().display()));
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}
