//! The chart on a real API server: upgraded, uninstalled and installed again without losing a search, and the rights that
//! its `ServiceAccount` then has. No node runs the operator here.

use std::fs;
use std::path::Path;
use std::time::Duration;

use mergesearch_tests::cluster::{ApiServer, Cluster, Namespace};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::chart::{chart, render, the};

const PATIENCE: Duration = Duration::from_mins(1);

/// Copies a folder with what is in it.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// The chart as it was before `spec.suspend` was thought of.
fn older_chart() -> TempDir {
    let folder = TempDir::with_prefix("mergesearch-chart-").unwrap();
    copy(&chart(), folder.path());
    let file = folder.path().join("files/crds/mergesearches.mergesearch.dev.yaml");
    let mut crd: Value = serde_saphyr::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    let fields =
        &mut crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"];
    assert!(fields.as_object_mut().unwrap().remove("suspend").is_some());
    // JSON is YAML.
    fs::write(file, crd.to_string()).unwrap();
    folder
}

fn search() -> String {
    let checkpoint = |name: &str| json!({"name": name, "uri": format!("s3://pool/{name}")});
    let container = json!({"name": "evaluator", "image": "evaluator:1", "command": ["evaluate"]});
    json!({
        "apiVersion": "mergesearch.dev/v1alpha1",
        "kind": "MergeSearch",
        "metadata": {"name": "kept"},
        "spec": {
            "pool": {"checkpoints": [checkpoint("a"), checkpoint("b")]},
            "objectives": [{"name": "accuracy", "metric": "task/acc"}],
            "budget": {"maxTrials": 60},
            "evaluation": {"template": {"spec": {"containers": [container]}}},
            "storage": {"output": "s3://results"},
            "suspend": true,
        },
    })
    .to_string()
}

fn install(home: &Namespace, chart: &Path, values: &[&str]) {
    let chart = chart.to_str().unwrap();
    let mut words = vec!["upgrade", "--install", "mergesearch", chart];
    words.extend(values.iter().flat_map(|value| ["--set", value]));
    home.helm(words);
    let established =
        ["wait", "--for=condition=Established", "--timeout=60s", "crd", "mergesearches.mergesearch.dev"];
    home.kubectl(established);
}

/// A cluster of our own: the CRDs belong to a whole cluster, and others may use an existing one.
fn start() -> Option<ApiServer> {
    let server = ApiServer::start();
    (!server.is_existing()).then_some(server)
}

#[test]
fn an_upgrade_brings_new_fields_and_uninstalling_keeps_every_search() {
    let Some(server) = start() else { return };
    let (home, team) = (server.namespace("operators"), server.namespace("team"));
    install(&home, older_chart().path(), &[]);
    let refused = team.try_apply(&search()).unwrap_err();
    assert!(refused.contains("spec.suspend"), "{refused}");

    install(&home, &chart(), &[]);
    // The API server takes a moment to publish a changed schema.
    team.wait_for("the new field is accepted", PATIENCE, || team.try_apply(&search()).ok());
    let made = team.get(["mergesearch", "kept"]);
    assert_eq!(made["spec"]["suspend"], true);

    home.helm(["uninstall", "mergesearch"]);
    assert!(home.try_kubectl(["get", "deployment", "mergesearch"]).is_err());
    assert!(home.try_kubectl(["get", "clusterrole", "mergesearch"]).is_err());
    let kept = team.get(["mergesearch", "kept"]);
    assert_eq!(kept["metadata"]["uid"], made["metadata"]["uid"]);
    assert_eq!(kept["spec"], made["spec"]);

    home.helm(["install", "mergesearch", chart().to_str().unwrap()]);
    let adopted = team.get(["mergesearch", "kept"]);
    assert_eq!(adopted["metadata"]["uid"], made["metadata"]["uid"]);
    assert_eq!(adopted["metadata"]["deletionTimestamp"], Value::Null);
}

/// Whether a user may do this, in words of `kubectl auth can-i`.
fn may(cluster: &Cluster, user: &str, namespace: &str, words: &str) -> bool {
    let user = format!("--as={user}");
    let namespace = format!("--namespace={namespace}");
    let words = ["auth", "can-i", &user, &namespace].into_iter().chain(words.split(' '));
    // It ends with an error when the answer is no.
    cluster.try_kubectl(words).is_ok_and(|answer| answer.trim() == "yes")
}

const NEEDED: [&str; 9] = [
    "watch mergesearches.mergesearch.dev",
    "patch mergesearches.mergesearch.dev --subresource=status",
    "update mergesearches.mergesearch.dev --subresource=finalizers",
    "create mergesearchjournals.mergesearch.dev",
    "create jobs.batch",
    "delete jobs.batch",
    "delete pods",
    "list events",
    "create events.events.k8s.io",
];
const FORBIDDEN: [&str; 14] = [
    "get secrets",
    "list secrets",
    "create secrets",
    "get configmaps",
    "list configmaps",
    "get pods --subresource=log",
    "create pods --subresource=exec",
    "create pods",
    "create mergesearches.mergesearch.dev",
    "delete mergesearches.mergesearch.dev",
    "delete mergesearchjournals.mergesearch.dev",
    "update jobs.batch",
    "create serviceaccounts --subresource=token",
    "get persistentvolumeclaims",
];

#[test]
fn the_operator_has_the_rights_it_needs_and_no_others() {
    let Some(server) = start() else { return };
    let (home, team) = (server.namespace("operators"), server.namespace("team"));
    let (home_name, team_name) = (home.name(), team.name());
    let account = format!("system:serviceaccount:{home_name}:mergesearch");

    install(&home, &chart(), &[]);
    for words in NEEDED {
        team.wait_for(words, PATIENCE, || may(&server, &account, team_name, words).then_some(()));
    }
    for words in FORBIDDEN {
        for namespace in [team_name, home_name] {
            assert!(!may(&server, &account, namespace, words), "may {words} in {namespace}");
        }
    }
    assert!(may(&server, &account, home_name, "update leases.coordination.k8s.io/mergesearch-operator"));
    assert!(may(&server, &account, home_name, "create leases.coordination.k8s.io"));
    assert!(!may(&server, &account, home_name, "update leases.coordination.k8s.io/another"));
    assert!(!may(&server, &account, home_name, "list leases.coordination.k8s.io"));
    assert!(!may(&server, &account, team_name, "update leases.coordination.k8s.io/mergesearch-operator"));

    install(&home, &chart(), &[&format!("watchNamespaces={{{team_name}}}")]);
    let elsewhere = "default";
    team.wait_for("the ClusterRole is gone", PATIENCE, || {
        (!may(&server, &account, elsewhere, "create jobs.batch")).then_some(())
    });
    for words in NEEDED {
        assert!(may(&server, &account, team_name, words), "may not {words}");
        assert!(!may(&server, &account, elsewhere, words), "may {words} in a namespace that is not watched");
    }
}

#[test]
fn writing_searches_is_for_whom_pods_may_be_created_by() {
    let Some(server) = start() else { return };
    let (home, team) = (server.namespace("operators"), server.namespace("team"));
    install(&home, &chart(), &[]);
    for role in ["admin", "edit", "view", "mergesearch-view"] {
        let (role_word, user) = (format!("--clusterrole={role}"), format!("--user={role}-user"));
        team.kubectl(["create", "rolebinding", role, &role_word, &user]);
    }
    let can = |role: &str, words: &str| may(&server, &format!("{role}-user"), team.name(), words);
    let create = "create mergesearches.mergesearch.dev";
    // A controller adds up the roles.
    for role in ["admin", "edit"] {
        team.wait_for(role, PATIENCE, || can(role, create).then_some(()));
    }
    assert!(can("mergesearch-view", "list mergesearches.mergesearch.dev"));
    assert!(!can("mergesearch-view", create));
    assert!(!can("view", "list mergesearches.mergesearch.dev"));
    assert!(!can("edit", "patch mergesearches.mergesearch.dev --subresource=status"));
}

#[test]
fn a_namespace_that_enforces_restricted_takes_the_operators_pod() {
    let Some(server) = start() else { return };
    let home = server.namespace("operators");
    home.kubectl(["label", "namespace", home.name(), "pod-security.kubernetes.io/enforce=restricted"]);
    let objects = render(&[]);
    let mut pod = the(&objects, "Deployment")["spec"]["template"].clone();
    pod["apiVersion"] = json!("v1");
    pod["kind"] = json!("Pod");
    pod["metadata"]["name"] = json!("operator");
    pod["spec"]["serviceAccountName"] = json!("default");
    home.apply(&pod.to_string());
    pod["metadata"]["name"] = json!("privileged");
    pod["spec"]["containers"][0]["securityContext"] = json!({"privileged": true});
    let refused = home.try_apply(&pod.to_string()).unwrap_err();
    assert!(refused.contains("violates PodSecurity"), "{refused}");
}
