//! The rights that the chart gives: to the operator exactly those it uses, to people what fits whoever may run pods.

use std::collections::BTreeMap;

use rstest::rstest;
use serde_json::{Value, json};

use crate::chart::{EVERYTHING, of_kind, render, the};

/// What the operator does in each namespace: group, resource, verbs.
const RIGHTS: [(&str, &str, &[&str]); 8] = [
    ("mergesearch.dev", "mergesearches", &["get", "list", "watch", "patch", "update"]),
    ("mergesearch.dev", "mergesearches/status", &["get", "patch", "update"]),
    ("mergesearch.dev", "mergesearches/finalizers", &["update"]),
    ("mergesearch.dev", "mergesearchjournals", &["get", "list", "watch", "create", "update", "patch"]),
    ("batch", "jobs", &["get", "list", "watch", "create", "delete"]),
    ("", "pods", &["get", "list", "watch", "delete"]),
    ("", "events", &["get", "list", "watch"]),
    ("events.k8s.io", "events", &["create", "patch"]),
];

fn rights() -> Value {
    let rules = RIGHTS.iter().map(
        |(group, resource, verbs)| json!({"apiGroups": [group], "resources": [resource], "verbs": verbs}),
    );
    Value::Array(rules.collect())
}

/// The rules of the role that a binding binds; its subject is the operator's service account alone.
fn bound(objects: &[Value], binding: &Value) -> Value {
    let subject = json!({"kind": "ServiceAccount", "name": "mergesearch", "namespace": "operators"});
    assert_eq!(binding["subjects"], json!([subject]));
    let is_bound = |object: &&Value| {
        object["kind"] == binding["roleRef"]["kind"]
            && object["metadata"]["name"] == binding["roleRef"]["name"]
            && object["metadata"]["namespace"] == binding["metadata"]["namespace"]
    };
    objects.iter().find(is_bound).unwrap()["rules"].clone()
}

fn bindings<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects.iter().filter(|object| object["kind"] == kind).collect()
}

fn lease_rights() -> Value {
    let rule = |verbs: &[&str], names: &[&str]| {
        let mut rule = json!({"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": verbs});
        if !names.is_empty() {
            rule["resourceNames"] = json!(names);
        }
        rule
    };
    json!([rule(&["create"], &[]), rule(&["get", "update", "patch"], &["mergesearch-operator"])])
}

#[test]
fn the_operator_may_do_exactly_this_everywhere_and_hold_its_lease_at_home() {
    let objects = render(&EVERYTHING);
    assert_eq!(bound(&objects, the(&objects, "ClusterRoleBinding")), rights());
    let lease = the(&objects, "RoleBinding");
    assert_eq!(lease["metadata"]["namespace"], "operators");
    assert_eq!(bound(&objects, lease), lease_rights());
}

#[test]
fn the_operator_may_do_the_same_in_watched_namespaces_only() {
    let objects = render(&["watchNamespaces={red,blue}"]);
    assert!(bindings(&objects, "ClusterRoleBinding").is_empty());
    let bindings = bindings(&objects, "RoleBinding");
    let by_namespace: BTreeMap<&str, Value> = bindings
        .iter()
        .map(|binding| (binding["metadata"]["namespace"].as_str().unwrap(), bound(&objects, binding)))
        .collect();
    assert_eq!(bindings.len(), 3);
    assert_eq!(
        by_namespace,
        BTreeMap::from([("blue", rights()), ("red", rights()), ("operators", lease_rights())])
    );
    let arguments = &the(&objects, "Deployment")["spec"]["template"]["spec"]["containers"][0]["args"];
    assert!(arguments.as_array().unwrap().contains(&json!("--watch-namespaces=red,blue")), "{arguments}");
}

#[rstest]
#[case::aggregated(&[], &["rbac.authorization.k8s.io/aggregate-to-admin", "rbac.authorization.k8s.io/aggregate-to-edit"])]
#[case::not_aggregated(&["rbac.aggregate=false"], &[])]
fn writing_searches_is_for_edit_and_admin_and_nothing_lower(
    #[case] values: &[&str],
    #[case] expected: &[&str],
) {
    let objects = render(values);
    let roles = of_kind(&objects, "ClusterRole");
    let aggregated = |role: &str| -> Vec<&str> {
        let labels = roles[role]["metadata"]["labels"].as_object().unwrap();
        labels.keys().map(String::as_str).filter(|label| label.contains("aggregate-to")).collect()
    };
    assert_eq!(aggregated("mergesearch-edit"), expected);
    assert_eq!(aggregated("mergesearch-view"), Vec::<&str>::new());
    assert_eq!(aggregated("mergesearch"), Vec::<&str>::new());
}
