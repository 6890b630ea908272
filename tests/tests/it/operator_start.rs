//! The operator's program where searches are already, as after it was killed or another replica led.

use std::fs;
use std::time::Duration;

use mergesearch_tests::cluster::ApiServer;
use mergesearch_tests::{operator, workspace};

use crate::cluster_api::apply_definitions;

/// Which of its caches are filled first differs from start to start.
const STARTS: usize = 8;
const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn every_start_looks_after_the_searches_that_are_there() {
    let server = ApiServer::shared();
    apply_definitions(server);
    let namespace = server.namespace("start");
    let manifest = fs::read_to_string(workspace().join("crds/examples/small.yaml")).unwrap();
    let manifest = manifest.replace("file:///pool/", "s3://models/").replace("file://./", "s3://models/");
    namespace.apply(&manifest);
    for start in 1..=STARTS {
        // The status has to be written anew.
        namespace.kubectl([
            "patch",
            "mergesearch",
            "small",
            "--subresource=status",
            "--type=merge",
            "--patch={\"status\":null}",
        ]);
        let _operator = operator()
            .args(["--listen", "127.0.0.1:0", "--watch-namespaces", namespace.name()])
            .envs([("KUBECONFIG", server.kubeconfig().display().to_string())])
            .start();
        namespace.wait_for(&format!("start {start} writes the status"), PATIENCE, || {
            let search = namespace.get(["mergesearch", "small"]);
            search["status"]["conditions"].is_array().then_some(())
        });
    }
}
