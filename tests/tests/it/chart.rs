//! The chart as Helm renders it without a cluster: the objects, and the values that are refused.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use mergesearch_tests::cluster::program;
use mergesearch_tests::{operator, workspace};
use rstest::rstest;
use serde_json::{Value, json};

/// Helm built without one believes in an older Kubernetes than the chart needs.
const KUBERNETES: &str = "--kube-version=1.34.0";
const CRDS: [&str; 2] = ["mergesearches.mergesearch.dev", "mergesearchjournals.mergesearch.dev"];
pub(crate) const EVERYTHING: [&str; 2] = ["serviceMonitor.enabled=true", "prometheusRule.enabled=true"];

/// The folder of the chart.
pub(crate) fn chart() -> PathBuf {
    workspace().join("charts/mergesearch")
}

fn helm(words: &[&str], values: &[&str]) -> Result<String, String> {
    let mut command = Command::new(program("helm"));
    command.args(words).arg(chart()).args([KUBERNETES, "--namespace=operators"]);
    command.args(values.iter().flat_map(|value| ["--set", value]));
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        return Ok(text(&output.stdout));
    }
    Err(text(&output.stdout) + &text(&output.stderr))
}

/// Every object that a release named `mergesearch` in the namespace `operators` consists of.
pub(crate) fn render(values: &[&str]) -> Vec<Value> {
    let text = helm(&["template", "mergesearch"], values).unwrap();
    let documents: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
    documents.into_iter().filter(|document| !document.is_null()).collect()
}

/// The objects of a kind, by name.
pub(crate) fn of_kind<'a>(objects: &'a [Value], kind: &str) -> BTreeMap<&'a str, &'a Value> {
    let named = objects.iter().filter(|object| object["kind"] == kind);
    named.map(|object| (object["metadata"]["name"].as_str().unwrap(), object)).collect()
}

/// The only object of a kind.
pub(crate) fn the<'a>(objects: &'a [Value], kind: &str) -> &'a Value {
    let found = of_kind(objects, kind);
    assert_eq!(found.len(), 1, "{kind}");
    found.values().next().unwrap()
}

fn read_yaml(path: &str) -> Value {
    serde_saphyr::from_str(&fs::read_to_string(workspace().join(path)).unwrap()).unwrap()
}

#[rstest]
#[case::defaults(&[])]
#[case::everything(&EVERYTHING)]
fn lint_finds_nothing(#[case] values: &[&str]) {
    helm(&["lint", "--strict"], values).unwrap();
}

#[rstest]
#[case("replica=3", "replica")]
#[case("replicas=two", "replicas")]
#[case("image.pullpolicy=Always", "pullpolicy")]
#[case("image.pullPolicy=Sometimes", "pullPolicy")]
#[case("merger.image.digest=sha256:beef", "digest")]
#[case("log.format=yaml", "format")]
#[case("watchNamespaces={Team_A}", "watchNamespaces")]
#[case("watchNamespaces=team", "watchNamespaces")]
#[case("podDisruptionBudget.maxUnavailable=0", "maxUnavailable")]
#[case("prometheusRule.waitingFor=soon", "waitingFor")]
fn a_wrong_value_is_refused(#[case] value: &str, #[case] name: &str) {
    let said = helm(&["template", "mergesearch"], &[value]).unwrap_err();
    assert!(said.contains("don't meet the specifications of the schema"), "{said}");
    assert!(said.contains(name), "{said}");
}

#[test]
fn the_chart_has_the_version_of_the_programs() {
    let description = read_yaml("charts/mergesearch/Chart.yaml");
    assert_eq!(description["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(description["appVersion"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn the_readme_names_every_value() {
    fn missing(readme: &str, path: &str, value: &Value) -> Vec<String> {
        if readme.contains(&format!("`{path}`")) {
            return Vec::new();
        }
        match value {
            Value::Object(fields) if !fields.is_empty() => {
                let inner = fields.iter().map(|(name, value)| {
                    missing(
                        readme,
                        &if path.is_empty() { name.clone() } else { format!("{path}.{name}") },
                        value,
                    )
                });
                inner.flatten().collect()
            }
            _ => vec![path.to_owned()],
        }
    }
    let readme = fs::read_to_string(chart().join("README.md")).unwrap();
    assert_eq!(missing(&readme, "", &read_yaml("charts/mergesearch/values.yaml")), Vec::<String>::new());
}

#[rstest]
#[case::kept(&[], Some("keep"))]
#[case::not_kept(&["crds.keep=false"], None)]
fn the_crds_are_the_generated_ones(#[case] values: &[&str], #[case] policy: Option<&str>) {
    let objects = render(values);
    let rendered = of_kind(&objects, "CustomResourceDefinition");
    assert_eq!(rendered.keys().copied().collect::<Vec<_>>(), CRDS);
    for (name, crd) in rendered {
        assert_eq!(crd["metadata"]["annotations"]["helm.sh/resource-policy"].as_str(), policy, "{name}");
        let generated = read_yaml(&format!("crds/{name}.yaml"));
        // Helm reads every number as a floating-point number.
        assert!(same(&crd["spec"], &generated["spec"]), "{name} is not what crds/{name}.yaml says");
    }
}

/// Whether two values are the same, however their numbers are written.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(key, value)| other.get(key).is_some_and(|other| same(value, other)))
        }
        _ => one == other,
    }
}

#[test]
fn the_crds_can_be_left_to_another_release() {
    assert!(of_kind(&render(&["crds.install=false"]), "CustomResourceDefinition").is_empty());
}

#[test]
fn the_deployment_runs_the_published_images_in_a_restricted_pod() {
    let objects = render(&[]);
    let deployment = the(&objects, "Deployment");
    assert_eq!(deployment["spec"]["replicas"], 2);
    let pod = &deployment["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(container["image"], format!("ghcr.io/mergesearch/operator:{version}"));
    let merger = json!(format!("--merger-image=ghcr.io/mergesearch/merger:{version}"));
    assert!(container["args"].as_array().unwrap().contains(&merger), "{}", container["args"]);
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
    let security = json!({
        "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}
    });
    assert_eq!(container["securityContext"], security);
}

#[test]
fn a_digest_goes_before_a_tag() {
    let digest = format!("sha256:{}", "0".repeat(64));
    let objects = render(&[&format!("image.digest={digest}"), "image.tag=1.2.3"]);
    let container = &the(&objects, "Deployment")["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["image"], format!("ghcr.io/mergesearch/operator@{digest}"));
}

#[test]
fn the_operator_understands_its_arguments() {
    let objects = render(&["watchNamespaces={red,blue}"]);
    let arguments = &the(&objects, "Deployment")["spec"]["template"]["spec"]["containers"][0]["args"];
    let arguments = arguments.as_array().unwrap().iter().map(|argument| argument.as_str().unwrap());
    // Everything before `--help` has been read and checked when it is shown.
    operator().args(arguments.chain(["--help"])).run().assert_code(0);
}

#[rstest]
#[case(&[], 1)]
#[case(&["replicas=1"], 0)]
#[case(&["podDisruptionBudget.enabled=false"], 0)]
fn one_replica_can_be_drained(#[case] values: &[&str], #[case] budgets: usize) {
    assert_eq!(of_kind(&render(values), "PodDisruptionBudget").len(), budgets);
}
