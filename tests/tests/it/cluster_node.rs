//! The test cluster's larger size: pods run, reach the S3 server, and leave nothing behind however the cluster ends.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use std::{env, process};

use mergesearch_tests::cluster::{Image, Namespace, Node};
use tempfile::TempDir;

const IMAGE: &str = "mergesearch.test/busybox:1";
const MINUTES: Duration = Duration::from_mins(3);
/// Names the file in which the child that is killed says which folder its cluster has.
const TELL: &str = "MERGESEARCH_TEST_TELL_FOLDER";

fn import_busybox(node: &Node) {
    let folder = TempDir::with_prefix("mergesearch-image-").unwrap();
    let archive = folder.path().join("busybox.tar");
    Image::new(IMAGE)
        .program("/bin/busybox", Path::new("/bin/busybox"))
        .link("/bin/sh", "busybox")
        .write(&archive);
    node.import_image(&archive);
}

/// A Job whose init container leaves words for its container, which takes 2 GPUs and runs a script.
fn job(script: &str) -> String {
    format!(
        "
apiVersion: batch/v1
kind: Job
metadata:
  name: job
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      terminationGracePeriodSeconds: 0
      initContainers:
        - name: first
          image: {IMAGE}
          command: [/bin/sh, -c, echo from the init container >/shared/words]
          volumeMounts: [{{name: shared, mountPath: /shared}}]
      containers:
        - name: main
          image: {IMAGE}
          command: [/bin/sh, -c, {script:?}]
          resources: {{limits: {{nvidia.com/gpu: 2, memory: 64Mi}}}}
          volumeMounts: [{{name: shared, mountPath: /shared}}]
      volumes:
        - name: shared
          emptyDir: {{}}
"
    )
}

fn wait_for_running(namespace: &Namespace) {
    namespace.wait_for("the job's pod runs", MINUTES, || {
        let pods = namespace.get(["pods"]);
        (pods["items"][0]["status"]["phase"] == "Running").then_some(())
    });
}

/// What a node consists of outside its folder, so that what is left of it can be found.
struct Traces {
    folder: PathBuf,
    network: u64,
}

impl Traces {
    fn of(folder: &Path) -> Self {
        let first = fs::read_to_string(folder.join("first-process")).unwrap();
        let network = fs::metadata(format!("/proc/{}/ns/net", first.trim())).unwrap().ino();
        Self { folder: folder.to_owned(), network }
    }

    /// Everything that is still there, as sentences.
    fn left(&self) -> Vec<String> {
        let name = self.folder.file_name().unwrap().to_str().unwrap();
        let mut left = Vec::new();
        for entry in fs::read_dir("/proc").unwrap() {
            let process = entry.unwrap().path();
            // Processes end while they are looked at.
            let mentions = |file: &str| fs::read(process.join(file)).is_ok_and(|text| contains(&text, name));
            for file in ["cmdline", "cgroup", "mountinfo"] {
                if mentions(file) {
                    left.push(format!("{} mentions it", process.join(file).display()));
                }
            }
            if fs::metadata(process.join("ns/net")).is_ok_and(|network| network.ino() == self.network) {
                left.push(format!("{} is in its network namespace", process.display()));
            }
        }
        let roots = fs::read_dir("/sys/fs/cgroup").unwrap().map(|entry| entry.unwrap().path());
        let groups = roots.chain([PathBuf::from("/sys/fs/cgroup")]).map(|root| root.join(name));
        left.extend(groups.filter(|group| group.exists()).map(|group| format!("{} exists", group.display())));
        if self.folder.exists() {
            left.push(format!("{} exists", self.folder.display()));
        }
        left
    }
}

fn contains(text: &[u8], name: &str) -> bool {
    text.windows(name.len()).any(|window| window == name.as_bytes())
}

#[test]
fn a_node_runs_jobs_with_gpus_that_reach_the_store_and_leaves_nothing() {
    let node = Node::start();
    import_busybox(&node);
    let namespace = node.namespace("jobs");
    let address = node.store_endpoint().replace("http://", "").replace(':', " ");
    let ask = "printf 'GET /models HTTP/1.0\\r\\n\\r\\n'";
    let script =
        format!("cat /shared/words; {ask} | busybox nc {address} | busybox grep -i 'server: VERSITYGW'");
    namespace.apply(&job(&script));
    namespace.wait_for("the job completes", MINUTES, || {
        let status = &namespace.get(["job", "job"])["status"];
        assert_eq!(status["failed"].as_u64().unwrap_or(0), 0, "{}", namespace.kubectl(["logs", "job/job"]));
        (status["succeeded"] == 1).then_some(())
    });
    assert!(namespace.kubectl(["logs", "job/job"]).starts_with("from the init container\n"));
    if node.is_existing() {
        return;
    }

    namespace.kubectl(["delete", "job", "job"]);
    namespace.apply(&job("busybox sleep 1000"));
    wait_for_running(&namespace);
    let traces = Traces::of(node.kubeconfig().parent().unwrap());
    assert!(!traces.left().is_empty(), "a running node is seen");
    drop(namespace);
    drop(node);
    assert_eq!(traces.left(), Vec::<String>::new());
}

#[test]
fn a_node_whose_process_is_killed_leaves_nothing() {
    if env::var_os("MERGESEARCH_TEST_KUBECONFIG").is_some() {
        return;
    }
    let told = TempDir::with_prefix("mergesearch-tell-").unwrap();
    let file = told.path().join("folder");
    let child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "cluster_node::child_that_is_killed", "--ignored", "--nocapture"])
        .env(TELL, &file)
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let mut child = KilledOnDrop(child);
    let folder = wait(|| fs::read_to_string(&file).ok().or_else(|| ended(&mut child.0)));
    let traces = Traces::of(Path::new(&folder));
    assert!(!traces.left().is_empty(), "a running node is seen");
    drop(child);
    wait(|| traces.left().is_empty().then_some(()));
}

/// Ends the child with SIGKILL.
struct KilledOnDrop(Child);

impl Drop for KilledOnDrop {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn ended(child: &mut Child) -> Option<String> {
    let status = child.try_wait().unwrap()?;
    panic!("the child has ended with {status}; what it said is above")
}

fn wait<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(begun.elapsed() < 2 * MINUTES, "not within {} s", 2 * MINUTES.as_secs());
        sleep(Duration::from_millis(100));
    }
}

#[test]
#[ignore = "run by the test above in a process of its own"]
fn child_that_is_killed() {
    let Some(file) = env::var_os(TELL) else { return };
    let node = Node::start();
    import_busybox(&node);
    let namespace = node.namespace("jobs");
    namespace.apply(&job("busybox sleep 1000"));
    wait_for_running(&namespace);
    let part = PathBuf::from(&file).with_extension(process::id().to_string());
    fs::write(&part, node.kubeconfig().parent().unwrap().to_str().unwrap()).unwrap();
    fs::rename(part, file).unwrap();
    loop {
        sleep(MINUTES);
    }
}
