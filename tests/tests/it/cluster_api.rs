//! The test cluster's smaller size, and the resources of this project on a real API server.

use std::fs;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use mergesearch_tests::cluster::{ApiServer, Cluster};
use mergesearch_tests::workspace;

/// A real API server keeps what client-side apply sent in an annotation of at most 256 KiB; there is room to grow.
const LARGEST_MANIFEST: usize = 200 * 1024;

/// Has the API server know our resources.
pub(crate) fn apply_definitions(cluster: &Cluster) {
    // Of two that create the same object at once, one fails.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    cluster.kubectl([
        "apply",
        "--filename",
        workspace().join("crds/mergesearches.mergesearch.dev.yaml").to_str().unwrap(),
        "--filename",
        workspace().join("crds/mergesearchjournals.mergesearch.dev.yaml").to_str().unwrap(),
    ]);
    for name in ["mergesearches.mergesearch.dev", "mergesearchjournals.mergesearch.dev"] {
        // Not `kubectl wait`, which fails on an object that has no conditions yet.
        let established = "--output=jsonpath={.status.conditions[?(@.type==\"Established\")].status}";
        cluster.wait_for("default", &format!("{name} is established"), Duration::from_mins(1), || {
            let status = cluster.try_kubectl(["get", "crd", name, established]).ok()?;
            (status == "True").then_some(())
        });
    }
}

/// The smallest search; its files are on one machine, which a cluster has to refuse.
fn small_search() -> String {
    fs::read_to_string(workspace().join("crds/examples/small.yaml")).unwrap()
}

#[test]
fn an_api_server_is_healthy_and_lets_nobody_do_what_no_role_allows() {
    let server = ApiServer::shared();
    assert_eq!(server.kubectl(["get", "--raw", "/healthz"]), "ok");
    let namespace = server.namespace("denied");
    let account = format!("--as=system:serviceaccount:{}:default", namespace.name());
    let refused = namespace.try_kubectl(["get", "secrets", &account]).unwrap_err();
    assert!(refused.contains("Forbidden"), "{refused}");
    namespace.kubectl(["create", "role", "reader", "--verb=list", "--resource=secrets"]);
    let subject = format!("--serviceaccount={}:default", namespace.name());
    namespace.kubectl(["create", "rolebinding", "reader", "--role=reader", &subject]);
    namespace.wait_for("the role binding works", Duration::from_secs(30), || {
        namespace.try_kubectl(["get", "secrets", &account]).ok()
    });
}

#[test]
fn our_definitions_are_small_enough_for_client_side_apply() {
    let server = ApiServer::shared();
    apply_definitions(server);
    let definitions = server.get(["crd"]);
    let definitions = definitions["items"].as_array().unwrap();
    for name in ["mergesearches.mergesearch.dev", "mergesearchjournals.mergesearch.dev"] {
        let definition =
            definitions.iter().find(|definition| definition["metadata"]["name"] == name).unwrap();
        let applied =
            &definition["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"];
        let size = applied.as_str().unwrap().len();
        assert!(size <= LARGEST_MANIFEST, "{name}: {size} bytes");
    }
}

#[test]
fn a_search_is_kept_and_an_impossible_one_is_refused() {
    let server = ApiServer::shared();
    apply_definitions(server);
    let namespace = server.namespace("search");
    let refused = namespace.try_apply(&small_search()).unwrap_err();
    assert!(refused.contains("output: in a cluster, expected s3://bucket/prefix"), "{refused}");
    let possible =
        small_search().replace("file:///pool/", "s3://models/").replace("file://./", "s3://models/");
    namespace.apply(&possible);
    let kept = namespace.get(["mergesearch", "small"]);
    assert_eq!(kept["spec"]["budget"]["maxTrials"], 60);
}
