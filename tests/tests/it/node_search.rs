//! A whole search on a node: real pods merge, evaluate, report and publish, in a namespace that enforces `restricted`.

use mergesearch_tests::folder_bytes;
use serde_json::Value;

use crate::node_metrics::prometheus_sees;
use crate::node_world::{Installation, MINUTES, Team, front, has_ended, is, local};
use crate::world::{assert_same_model, model};

#[test]
fn a_search_in_pods_is_the_search_of_this_machine_and_suspending_it_frees_its_gpus() {
    let installation = Installation::start();
    let team = installation.team();
    team.apply();
    let pods = team.namespace.wait_for("a trial's pod", MINUTES, || {
        let pods = team.pods();
        pods.iter().any(|pod| pod["metadata"]["labels"]["mergesearch.dev/role"] == "trial").then_some(pods)
    });
    for pod in &pods {
        assert_without_token(pod);
    }

    team.wait_for_trials(3);
    team.suspend(true);
    team.namespace.wait_for("no pod runs", MINUTES, || {
        let suspended = is(&team.search(), "Suspended");
        (suspended && team.pods().iter().all(has_ended)).then_some(())
    });
    let suspended = team.search();
    assert!(!is(&suspended, "Completed"), "{:#}", suspended["status"]);
    // The rest of it merges each generation at once, in two pods, and hands the candidates over.
    team.hand_over();
    team.suspend(false);
    team.namespace.wait_for("two pods merge a generation", MINUTES, || {
        let pods = team.pods();
        let of_generation = pods.iter().filter(|pod| {
            let labels = &pod["metadata"]["labels"];
            labels["mergesearch.dev/role"] == "merge"
                && !labels["batch.kubernetes.io/job-completion-index"].is_null()
        });
        (of_generation.count() > 1).then_some(())
    });

    let search = team.wait_until_completed();
    assert_eq!(search["status"]["trials"]["failed"], 0, "{:#}", search["status"]);
    assert_eq!(front(&search), local().front);
    assert_published(&team, &search);
    let judgement = search["status"]["judgement"].as_str().unwrap();
    let best = search["status"]["best"]["trial"].as_str().unwrap();
    assert!(judgement.starts_with(best) && judgement.contains(" over the best baseline ("), "{judgement}");
    team.namespace.wait_for("nothing is left in the handoff", MINUTES, || {
        (team.bucket.keys("handoff").is_empty() && team.pods().iter().all(has_ended)).then_some(())
    });
    prometheus_sees(&installation, &team, &search);
}

fn assert_without_token(pod: &Value) {
    let spec = &pod["spec"];
    assert_eq!(spec["automountServiceAccountToken"], false);
    let volumes = spec["volumes"].as_array().unwrap();
    assert!(!volumes.is_empty());
    assert!(
        volumes.iter().all(|volume| volume["projected"].is_null() && volume["secret"].is_null()),
        "{volumes:#?}"
    );
}

/// The model in the bucket is the one that this machine's run has published.
fn assert_published(team: &Team<'_>, search: &Value) {
    let [published] = search["status"]["published"].as_array().unwrap().as_slice() else {
        panic!("expected one published merge: {:#}", search["status"])
    };
    let uri = published["uri"].as_str().unwrap();
    let prefix = uri.strip_prefix(&team.bucket.uri("")).unwrap();
    let here = folder_bytes(&local().published);
    assert_same_model(&model(team.bucket.folder_bytes(prefix)), &model(here));
    assert_eq!(team.bucket.dangling_uploads(), 0);
}
