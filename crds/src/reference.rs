//! The reference of every field of a manifest, as Markdown, from the descriptions in the schema.

use std::fmt::Write;

use serde_json::Value;

use crate::schema::{EITHER, MANIFEST};

/// Fields that hold a whole Kubernetes type: the reference names them and leaves their inside to Kubernetes' own.
const EMBEDDED: [&str; 5] = ["template", "env", "resources", "tolerations", "volumeClaimTemplate"];

/// `docs/reference/mergesearch.md`: one table for each section of the spec.
pub fn reference() -> String {
    let mut text = "\
# MergeSearch

<!-- Generated from the types in crds/src by `make generate`. Changes belong there. -->

`apiVersion: mergesearch.dev/v1alpha1`, `kind: MergeSearch`, short name `mgs`. A complete example is
[crds/examples/full.yaml](../../crds/examples/full.yaml).
"
    .to_owned();
    section("spec", &MANIFEST["properties"]["spec"], &mut text);
    text
}

/// The table of one object's fields, then the sections of the objects among them.
fn section(path: &str, schema: &Value, text: &mut String) {
    let Some(properties) = schema["properties"].as_object() else { return };
    let required = |field: &str| {
        schema["required"].as_array().is_some_and(|names| names.iter().any(|name| name == field))
    };
    let mut table = format!("\n## {path}\n");
    if let Some(description) = schema["description"].as_str() {
        let _ = write!(table, "\n{}\n", paragraph(description));
    }
    table.push_str("\n| Field | Type | Default | Description |\n|---|---|---|---|\n");
    let mut inner = String::new();
    for (field, schema) in properties {
        let default = match (&schema["default"], required(field)) {
            (_, true) => "required".to_owned(),
            (Value::Null | Value::Object(_), false) => String::new(),
            (Value::String(default), false) => format!("`{default}`"),
            (default, false) => format!("`{default}`"),
        };
        let description = paragraph(schema["description"].as_str().unwrap_or_default()).replace('|', "\\|");
        let _ = writeln!(table, "| `{field}` | {} | {default} | {description} |", kind(schema));
        if !EMBEDDED.contains(&field.as_str()) {
            let list = schema["type"] == "array";
            let path = if list { format!("{path}.{field}[]") } else { format!("{path}.{field}") };
            section(&path, if list { &schema["items"] } else { schema }, &mut inner);
        }
    }
    text.push_str(&table);
    text.push_str(&inner);
}

/// The type of a field with its limits.
fn kind(schema: &Value) -> String {
    if let Some([simple, _]) = schema[EITHER].as_array().map(Vec::as_slice) {
        return format!("{} or map", kind(simple));
    }
    if schema["x-kubernetes-int-or-string"] == true {
        return "quantity".to_owned();
    }
    if let Some(values) = schema["enum"].as_array() {
        let names: Vec<String> =
            values.iter().filter_map(Value::as_str).map(|name| format!("`{name}`")).collect();
        return names.join(", ");
    }
    let limits = |least: &str, most: &str| match (schema[least].as_f64(), schema[most].as_f64()) {
        (Some(least), Some(most)) => format!(", {least} to {most}"),
        (Some(least), None) => format!(", at least {least}"),
        (None, Some(most)) => format!(", at most {most}"),
        (None, None) => String::new(),
    };
    match schema["type"].as_str() {
        Some("array") => format!("list of {}{}", kind(&schema["items"]), limits("minItems", "maxItems")),
        Some("object") if schema.get("additionalProperties").is_some() => "map".to_owned(),
        Some("object") => "object".to_owned(),
        Some("integer") => format!("integer{}", limits("minimum", "maximum")),
        Some("number") => format!("number{}", limits("minimum", "maximum")),
        Some(name) => name.to_owned(),
        None => "any".to_owned(),
    }
}

/// A description as one line.
fn paragraph(description: &str) -> String {
    description.split_whitespace().collect::<Vec<_>>().join(" ")
}
