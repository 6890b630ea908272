//! What the CRD and the reference say about the fields of a search.

use std::fs;

use mergesearch_tests::workspace;
use serde_json::{Value, json};

/// Fields of Kubernetes' own types: what is in them is not ours.
const EMBEDDED: [&str; 5] = [
    "evaluation.template",
    "execution.merger.env",
    "execution.merger.resources",
    "execution.merger.tolerations",
    "execution.scratch.volumeClaimTemplate",
];

/// A field as the CRD has it.
#[derive(Debug)]
pub(crate) struct Node {
    /// `pool.checkpoints[].name`; empty for `spec` itself.
    pub(crate) path: String,
    pub(crate) schema: Value,
    pub(crate) required: bool,
}

impl Node {
    /// Whether its fields are ours; then one that we do not know is refused.
    pub(crate) fn has_fields(&self) -> bool {
        !EMBEDDED.contains(&self.path.as_str()) && properties(&self.schema).is_some()
    }

    /// The path of the fields in it.
    pub(crate) fn inside(&self) -> String {
        let list = if self.schema["type"] == "array" { "[]" } else { "" };
        format!("{}{list}", self.path)
    }

    /// The rules on it (on each element if it is a list): where they stand and what they say.
    pub(crate) fn rules(&self) -> Vec<(String, String)> {
        let of = |schema: &Value, path: String| -> Vec<_> {
            let rules = schema["x-kubernetes-validations"].as_array();
            let said = |rule: &Value| (path.clone(), rule["message"].as_str().unwrap().to_owned());
            rules.into_iter().flatten().map(said).collect()
        };
        [of(&self.schema, self.path.clone()), of(&self.schema["items"], self.inside())].concat()
    }
}

/// `spec` and every field below it in the CRD.
pub(crate) fn nodes() -> Vec<Node> {
    let file = fs::read_to_string(workspace().join("crds/mergesearches.mergesearch.dev.yaml")).unwrap();
    let crd: Value = serde_saphyr::from_str(&file).unwrap();
    let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    let mut nodes = vec![Node { path: String::new(), schema: schema.clone(), required: true }];
    let mut visited = 0;
    while let Some(node) = nodes.get(visited) {
        visited += 1;
        if !node.has_fields() {
            continue;
        }
        let prefix = if node.path.is_empty() { String::new() } else { node.inside() + "." };
        let required = &[&node.schema["required"], &node.schema["items"]["required"]]
            .map(|names| names.as_array().cloned().unwrap_or_default())
            .concat();
        let children: Vec<_> = properties(&node.schema)
            .unwrap()
            .iter()
            .map(|(name, schema)| Node {
                path: format!("{prefix}{name}"),
                schema: schema.clone(),
                required: required.contains(&json!(name)),
            })
            .collect();
        nodes.extend(children);
    }
    nodes
}

fn properties(schema: &Value) -> Option<&serde_json::Map<String, Value>> {
    schema["properties"].as_object().or_else(|| schema["items"]["properties"].as_object())
}

/// The fields that the reference calls immutable, without those within one.
pub(crate) fn immutable_fields() -> Vec<String> {
    let reference = fs::read_to_string(workspace().join("docs/reference/mergesearch.md")).unwrap();
    let (mut section, mut fields) = (String::new(), Vec::<String>::new());
    for line in reference.lines() {
        if let Some(path) = line.strip_prefix("## spec") {
            section = path.strip_prefix('.').map(|path| format!("{path}.")).unwrap_or_default();
        } else if let Some((name, says)) = line.strip_prefix("| `").and_then(|row| row.split_once('`')) {
            let path = format!("{section}{name}");
            if says.contains(" Immutable. ") && !fields.iter().any(|outer| is_within(&path, outer)) {
                fields.push(path);
            }
        }
    }
    fields
}

/// Whether a field is a part of another.
pub(crate) fn is_within(path: &str, outer: &str) -> bool {
    path.strip_prefix(outer).is_some_and(|rest| rest.starts_with(['.', '[']))
}

/// Values that the schema refuses, each made from a good one, and what the API server says about them.
pub(crate) fn refused_values(schema: &Value, good: &Value) -> Vec<(Value, String)> {
    let mut refused = Vec::new();
    let mut refuse = |value: Value, says: &str| refused.push((value, says.to_owned()));
    let one_beyond = |bound: f64| serde_json::from_str::<Value>(&format!("{bound:.0}")).unwrap();
    let length = |keyword: &str| schema[keyword].as_u64().map(|length| usize::try_from(length).unwrap());
    match schema["type"].as_str() {
        Some("string") => refuse(json!(5), "must be of type string"),
        Some(kind) => refuse(json!("text"), &format!("must be of type {kind}")),
        None if schema["x-kubernetes-int-or-string"] == true => refuse(json!([]), "must be of type"),
        None => {}
    }
    if schema["enum"].is_array() {
        refuse(json!("Nonsense"), "Unsupported value");
    }
    if let Some(minimum) = schema["minimum"].as_f64() {
        refuse(one_beyond(minimum - 1.0), "should be greater than or equal to");
    }
    if let Some(maximum) = schema["maximum"].as_f64() {
        refuse(one_beyond(maximum + 1.0), "should be less than or equal to");
    }
    if let Some(least) = length("minLength") {
        refuse(json!("1".repeat(least - 1)), "should be at least");
    }
    if let Some(most) = length("maxLength") {
        refuse(json!("1".repeat(most + 1)), "Too long");
    }
    if schema["pattern"].is_string() {
        refuse(json!("~~"), "should match");
    }
    if let Some(least) = length("minItems") {
        refuse(good.as_array().unwrap()[..least - 1].into(), "should have at least");
    }
    if let Some(most) = length("maxItems") {
        let named = |index: usize| {
            let mut element = good[0].clone();
            if let Some(name) = element.get_mut("name") {
                *name = json!(format!("n{index}"));
            }
            element
        };
        refuse((0..=most).map(named).collect(), "Too many");
    }
    if let Some(most) = length("maxProperties") {
        let value = good.as_object().unwrap().values().next().unwrap();
        refuse((0..=most).map(|index| (format!("n{index}"), value.clone())).collect(), "Too many");
    }
    if schema["items"].is_object() && properties(schema).is_none() {
        let elements = refused_values(&schema["items"], &good[0]);
        refused.extend(elements.into_iter().map(|(value, says)| (json!([value]), says)));
    } else if schema["additionalProperties"].is_object() {
        let values = refused_values(&schema["additionalProperties"], &Value::Null);
        refused.extend(values.into_iter().map(|(value, says)| (json!({ "n": value }), says)));
    }
    refused
}
