//! Whole searches whose operator is killed and whose pods and Jobs are taken away: they end as if nothing had happened.
//! `make chaos` runs them.

use std::fs;
use std::hash::{BuildHasher as _, RandomState};
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::node_world::{Installation, MINUTES, Team, front, has_ended, local};

const BLOWS: u64 = 5;
/// Trials between two blows: the search has about 25.
const TRIALS_BETWEEN: u64 = 4;

#[test]
#[ignore = "takes many minutes; make chaos runs it"]
fn killing_the_operator_and_evicting_pods_changes_nothing() {
    let installation = Installation::start();
    let team = installation.team();
    team.apply();
    let blow = |blow| {
        let moment = wait_for_a_moment(&team, blow);
        let running = team.pods().into_iter().filter(|pod| pod["status"]["phase"] == "Running");
        let evicted = running.filter(|pod| evict(&team, pod)).count();
        format!("{moment}: evicted {evicted} pods, killed {}", kill_operator(&installation))
    };
    let blows: Vec<String> = (0..BLOWS).map(blow).collect();
    assert_undisturbed(&team, &blows);
}

#[test]
#[ignore = "takes many minutes; make chaos runs it"]
fn deleting_pods_and_jobs_behind_the_operators_back_changes_nothing() {
    let installation = Installation::start();
    let team = installation.team();
    team.apply();
    let blow = |blow| {
        let moment = wait_for_a_moment(&team, blow);
        let kind = if blow % 2 == 0 { "jobs" } else { "pods" };
        let how = if blow % 3 == 0 { "--force" } else { "--wait=false" };
        format!("{moment}: {}", team.namespace.kubectl(["delete", kind, "--all", how]))
    };
    let blows: Vec<String> = (0..BLOWS).map(blow).collect();
    assert_undisturbed(&team, &blows);
}

/// Waits until some more trials have succeeded, and then a time that nobody has chosen.
fn wait_for_a_moment(team: &Team<'_>, blow: u64) -> String {
    let trials = blow * TRIALS_BETWEEN;
    team.wait_for_trials(trials);
    let milliseconds = RandomState::new().hash_one(blow) % 5000;
    sleep(Duration::from_millis(milliseconds));
    format!("{milliseconds} ms after {trials} trials")
}

/// Asks the Eviction API, as draining a node does.
fn evict(team: &Team<'_>, pod: &Value) -> bool {
    let (namespace, name) = (team.namespace.name(), pod["metadata"]["name"].as_str().unwrap());
    let eviction = json!({
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": name, "namespace": namespace},
    });
    let path = format!("/api/v1/namespaces/{namespace}/pods/{name}/eviction");
    // It may have ended by now.
    team.namespace
        .cluster()
        .try_kubectl_with_input(["create", "--raw", &path, "--filename=-"], &eviction.to_string())
        .is_ok()
}

/// Ends the leading replica with SIGKILL, where its process is within reach; otherwise its pod goes, without any grace.
fn kill_operator(installation: &Installation) -> String {
    let home = &installation.home;
    let lease = home.get(["lease", "mergesearch-operator"]);
    let leader = lease["spec"]["holderIdentity"].as_str().unwrap().to_owned();
    let Ok(pod) = home.try_kubectl(["get", "pod", &leader, "--output=jsonpath={.metadata.uid}"]) else {
        return format!("nobody, {leader} is gone already");
    };
    match process_of(pod.trim()) {
        Some(process) => {
            // It may have ended by itself.
            let _killed = kill_process(process, Signal::KILL);
        }
        None => {
            home.kubectl(["delete", "pod", &leader, "--force", "--grace-period=0"]);
        }
    }
    leader
}

/// The operator's process in the pod with this uid.
fn process_of(uid: &str) -> Option<Pid> {
    fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path()).find_map(|process| {
        let read = |file: &str| fs::read_to_string(process.join(file)).unwrap_or_default();
        let ours = read("cmdline").contains("mergesearch-operator") && read("cgroup").contains(uid);
        ours.then(|| number(&process)).flatten()
    })
}

fn number(process: &Path) -> Option<Pid> {
    Pid::from_raw(process.file_name()?.to_str()?.parse().ok()?)
}

fn assert_undisturbed(team: &Team<'_>, blows: &[String]) {
    let search = team.wait_until_completed();
    assert_eq!(search["status"]["trials"]["failed"], 0, "{blows:#?}\n{:#}", search["status"]);
    assert_eq!(front(&search), local().front, "{blows:#?}");
    // Jobs of what is in the journal are deleted, and the pods with them.
    team.namespace.wait_for("no pod runs", MINUTES, || team.pods().iter().all(has_ended).then_some(()));
    assert_eq!(team.bucket.dangling_uploads(), 0, "{blows:#?}");
}
