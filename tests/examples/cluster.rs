//! A Kubernetes cluster with one node for a person to play with. `make cluster` and `make cluster-down` call it.
#![expect(clippy::unwrap_used, reason = "a tool of this project's developers")]

use std::env;
use std::fs::{self, File};
use std::io::{Write as _, stdout};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::thread::sleep;
use std::time::Duration;

use mergesearch_tests::cluster::{Images, Node, cache, program};
use rustix::process::{Pid, Signal, kill_process};
use tokio::signal::unix::{SignalKind, signal};

const USAGE: &str = "usage: cluster up | down | import ARCHIVE... | kubeconfig | s3 | s3-here

up          start a cluster that stays until `down`, and say how it is reached
down        take it away with everything in it
import      bring images from OCI archives onto its node
kubeconfig  print the path of its kubeconfig
s3          print the variables with which pods reach its S3 server
s3-here     print those with which this machine does";

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let place = Standing::find();
    let done = match words[..] {
        ["up"] => place.up(),
        ["down"] => place.down(),
        ["import", _, ..] => place.import(&words[1..]),
        ["kubeconfig"] => place.running(KUBECONFIG).map(|file| format!("{}\n", file.display())),
        ["s3"] => place.running(STORE).map(|file| fs::read_to_string(file).unwrap()),
        ["s3-here"] => place.running(STORE_HERE).map(|file| fs::read_to_string(file).unwrap()),
        // What `up` leaves running.
        ["keep"] => place.keep(),
        _ => Err(USAGE.to_owned()),
    };
    let (text, code) = match done {
        Ok(text) => (text, ExitCode::SUCCESS),
        Err(message) => (message + "\n", ExitCode::FAILURE),
    };
    // Nobody may be reading any more.
    let _read = stdout().write_all(text.as_bytes());
    code
}

/// Links to the cluster's own kubeconfig; made last, so that it says that the cluster is ready.
const KUBECONFIG: &str = "kubeconfig";
const STORE: &str = "s3.env";
const STORE_HERE: &str = "s3-here.env";
const LOG: &str = "log";
/// The number of the process that keeps the cluster, which holds a lock on this file.
const KEEPER: &str = "keeper";

/// The folder in which a cluster that stays is found again.
struct Standing(PathBuf);

impl Standing {
    fn find() -> Self {
        let folder = cache().join("cluster");
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The process that keeps the cluster, if there is one.
    fn keeper(&self) -> Option<Pid> {
        let file = File::open(self.file(KEEPER)).ok()?;
        if file.try_lock().is_ok() {
            return None;
        }
        Pid::from_raw(fs::read_to_string(self.file(KEEPER)).unwrap().trim().parse().ok()?)
    }

    #[expect(clippy::zombie_processes, reason = "the keeper lives on when this process has ended")]
    fn up(&self) -> Result<String, String> {
        if self.keeper().is_none() {
            let _missing = fs::remove_file(self.file(KUBECONFIG));
            let log = File::create(self.file(LOG)).unwrap();
            // Away from this terminal: an interrupt is not meant for the cluster.
            let mut keeper = Command::new(env::current_exe().unwrap())
                .arg("keep")
                .stdin(Stdio::null())
                .stdout(log.try_clone().unwrap())
                .stderr(log)
                .process_group(0)
                .spawn()
                .unwrap();
            while !self.file(KUBECONFIG).exists() {
                if let Some(status) = keeper.try_wait().unwrap() {
                    let said = fs::read_to_string(self.file(LOG)).unwrap();
                    return Err(format!("the cluster did not start ({status}):\n{said}"));
                }
                sleep(Duration::from_millis(100));
            }
        }
        self.tell()
    }

    fn tell(&self) -> Result<String, String> {
        let (kubeconfig, store) = (self.running(KUBECONFIG)?, self.running(STORE)?);
        Ok(format!(
            "export KUBECONFIG={}\nexport PATH={}:$PATH  # kubectl and helm\n\n\
             Pods reach an S3 server with these variables, which are also in {}:\n{}\n\
             The node has 8 nvidia.com/gpu. Images come from OCI archives by `cluster import`. `make cluster-down` ends it.\n",
            kubeconfig.display(),
            program("kubectl").parent().unwrap().display(),
            store.display(),
            fs::read_to_string(&store).unwrap(),
        ))
    }

    /// A file of the running cluster.
    fn running(&self, name: &str) -> Result<PathBuf, String> {
        let file = self.file(name);
        let there = self.keeper().is_some() && self.file(KUBECONFIG).exists();
        if there { Ok(file) } else { Err("no cluster is running; `make cluster` starts one".to_owned()) }
    }

    fn import(&self, archives: &[&str]) -> Result<String, String> {
        let kubeconfig = fs::canonicalize(self.running(KUBECONFIG)?).unwrap();
        let images = Images::of_running(&kubeconfig);
        for archive in archives {
            images.import(Path::new(archive));
        }
        Ok(format!("on the node: {}\n", archives.join(" ")))
    }

    fn down(&self) -> Result<String, String> {
        let Some(keeper) = self.keeper() else { return Ok("no cluster is running\n".to_owned()) };
        kill_process(keeper, Signal::TERM)
            .map_err(|error| format!("can't end process {keeper:?}: {error}"))?;
        while self.keeper().is_some() {
            sleep(Duration::from_millis(100));
        }
        fs::remove_dir_all(&self.0).unwrap();
        Ok("the cluster is gone\n".to_owned())
    }

    /// Holds a cluster until this process is told to end.
    fn keep(&self) -> Result<String, String> {
        let mut file =
            File::options().create(true).truncate(false).write(true).open(self.file(KEEPER)).unwrap();
        file.try_lock().map_err(|_| "a cluster is running already".to_owned())?;
        file.set_len(0).unwrap();
        file.write_all(std::process::id().to_string().as_bytes()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut end = runtime.block_on(async { signal(SignalKind::terminate()).unwrap() });
        let node = Node::start();
        if node.is_existing() {
            return Err("MERGESEARCH_TEST_KUBECONFIG names a cluster: there is nothing to start".to_owned());
        }
        for (file, variables) in [(STORE, node.store_environment()), (STORE_HERE, node.store().environment())]
        {
            let lines: Vec<String> =
                variables.into_iter().map(|(name, value)| format!("{name}={value}\n")).collect();
            fs::write(self.file(file), lines.concat()).unwrap();
        }
        std::os::unix::fs::symlink(node.kubeconfig(), self.file(KUBECONFIG)).unwrap();
        runtime.block_on(end.recv());
        drop(node);
        Ok(String::new())
    }
}
