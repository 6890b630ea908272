//! The chart's alerts: Prometheus reads them, and they fire when they should and not before.

use std::fs;
use std::process::Command;

use mergesearch_tests::cluster::program;
use serde_json::json;
use tempfile::TempDir;

use crate::chart::{render, the};

#[test]
fn alerts_fire_for_what_lasts_and_for_nothing_else() {
    let objects = render(&["prometheusRule.enabled=true"]);
    let folder = TempDir::with_prefix("mergesearch-alerts-").unwrap();
    // JSON is YAML.
    fs::write(folder.path().join("rules.yaml"), the(&objects, "PrometheusRule")["spec"].to_string()).unwrap();
    let waiting = r#"mergesearch_search_waiting{job="mergesearch",instance="a",namespace="team",search="s",reason="Queued"}"#;
    let trials = |state: &str| {
        format!(
            r#"mergesearch_search_trials{{job="mergesearch",instance="a",namespace="team",search="s",state="{state}"}}"#
        )
    };
    let leader = |instance: &str| format!(r#"mergesearch_leader{{job="mergesearch",instance="{instance}"}}"#);
    let errors = r#"mergesearch_reconcile_errors_total{job="mergesearch",instance="a",reason="Forbidden"}"#;
    let series = json!([
        // Leads for two hours, then goes away; the other replica never leads.
        {"series": leader("a"), "values": "1x120 0x120"},
        {"series": leader("b"), "values": "0x240"},
        {"series": r#"up{job="mergesearch",instance="b",pod="b"}"#, "values": "1x60 0x180"},
        {"series": waiting, "values": "0x30 1x100 0x110"},
        {"series": errors, "values": "0x30 0+1x100 100x110"},
        {"series": trials("failed"), "values": "1x100 9x140"},
        {"series": trials("succeeded"), "values": "3x240"},
    ]);
    let quiet = |alert: &str, time: &str| json!({"alertname": alert, "eval_time": time, "exp_alerts": []});
    let search = json!({"namespace": "team", "search": "s", "severity": "warning"});
    let waits = json!({"namespace": "team", "search": "s", "reason": "Queued", "severity": "warning"});
    let fires = |alert: &str, time: &str, labels: serde_json::Value, summary: &str, description: &str| {
        let annotations = json!({"summary": summary, "description": description});
        json!({"alertname": alert, "eval_time": time, "exp_alerts": [{"exp_labels": labels, "exp_annotations": annotations}]})
    };
    let expected = json!([
        quiet("MergesearchNoLeader", "2h"),
        fires(
            "MergesearchNoLeader",
            "2h10m",
            json!({"severity": "critical"}),
            "No replica of the mergesearch operator leads",
            "Searches stand still, and nothing is lost. See the pods and logs of the operator, and the Lease mergesearch-operator."
        ),
        quiet("MergesearchReplicaDown", "1h5m"),
        fires(
            "MergesearchReplicaDown",
            "1h20m",
            json!({"job": "mergesearch", "instance": "b", "pod": "b", "severity": "warning"}),
            "A replica of the mergesearch operator does not answer",
            "b has not answered for 10 minutes."
        ),
        quiet("MergesearchReconcileErrors", "50m"),
        fires(
            "MergesearchReconcileErrors",
            "70m",
            json!({"reason": "Forbidden", "severity": "warning"}),
            "The mergesearch operator fails again and again",
            "Passes have ended with Forbidden for 30 minutes. The operator's log names the searches."
        ),
        quiet("MergesearchReconcileErrors", "3h"),
        quiet("MergesearchSearchWaiting", "80m"),
        fires(
            "MergesearchSearchWaiting",
            "95m",
            waits,
            "A search waits: Queued",
            "team/s has waited for 1h. `kubectl describe mergesearch -n team s` says for what."
        ),
        quiet("MergesearchSearchWaiting", "135m"),
        quiet("MergesearchTrialsFail", "90m"),
        fires(
            "MergesearchTrialsFail",
            "2h",
            search,
            "More trials of a search fail than succeed",
            "team/s: the logs of its last failed Jobs say why."
        ),
    ]);
    let test = json!({
        "rule_files": ["rules.yaml"],
        "evaluation_interval": "1m",
        "tests": [{"interval": "1m", "input_series": series, "alert_rule_test": expected}],
    });
    let file = folder.path().join("test.yaml");
    fs::write(&file, test.to_string()).unwrap();
    let output = Command::new(program("promtool")).args(["test", "rules"]).arg(&file).output().unwrap();
    let said =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success(), "{said}");
}
