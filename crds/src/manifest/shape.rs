//! The shape of a manifest against its schema: types, required and unknown fields, ranges, names that occur twice.
//!
//! Serde would stop at the first fault; this goes through everything, the pod template included.

use regex_lite::Regex;
use serde_json::{Map, Value};

use super::finding::Findings;
use crate::schema::{EITHER, EXPECTED};

/// Removes fields that are null where the schema has the field and does not require it: to Kubernetes they are absent.
pub(crate) fn drop_nulls(value: &mut Value, schema: &Value) {
    match value {
        Value::Object(object) => {
            object.retain(|field, value| !value.is_null() || schema["properties"].get(field).is_none());
            for (field, value) in object {
                drop_nulls(value, &schema["properties"][field.as_str()]);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| drop_nulls(item, &schema["items"])),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Adds an error for everything in `value` that the schema does not allow.
pub(crate) fn check(value: &Value, schema: &Value, path: &str, findings: &mut Findings) {
    if let Some([simple, object]) = schema[EITHER].as_array().map(Vec::as_slice) {
        let kind = if value.is_object() { object } else { simple };
        if has_type(value, kind) {
            check(value, kind, path, findings);
        } else {
            let expected = article(simple["type"].as_str().unwrap_or_default());
            findings.error(path, format!("expected {expected} or a map, found {}", found(value)));
        }
        return;
    }
    if !has_type(value, schema) {
        findings.error(path, format!("expected {}, found {}", expected(schema), found(value)));
        return;
    }
    match value {
        Value::Object(object) => check_object(object, schema, path, findings),
        Value::Array(items) => check_list(items, schema, path, findings),
        Value::String(text) => check_text(text, schema, path, findings),
        Value::Number(number) => {
            let number = number.as_f64().unwrap_or(f64::NAN);
            if schema["minimum"].as_f64().is_some_and(|minimum| number < minimum) {
                findings.error(path, format!("expected at least {}, found {value}", schema["minimum"]));
            }
            if schema["maximum"].as_f64().is_some_and(|maximum| number > maximum) {
                findings.error(path, format!("expected at most {}, found {value}", schema["maximum"]));
            }
        }
        Value::Null | Value::Bool(_) => {}
    }
}

fn check_object(object: &Map<String, Value>, schema: &Value, path: &str, findings: &mut Findings) {
    let properties = schema["properties"].as_object();
    for required in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !object.contains_key(required) {
            findings.error(join(path, required), "required, but missing");
        }
    }
    if schema["maxProperties"].as_u64().is_some_and(|most| object.len() as u64 > most) {
        findings.error(
            path,
            format!("expected at most {} entries, found {}", schema["maxProperties"], object.len()),
        );
    }
    for (field, value) in object {
        let path = join(path, field);
        if let Some(schema) = properties.and_then(|properties| properties.get(field)) {
            check(value, schema, &path, findings);
        } else if let Some(schema) = schema.get("additionalProperties") {
            check(value, schema, &path, findings);
        } else if let Some(properties) = properties {
            findings.error(path, unknown(field, &properties.keys().map(String::as_str).collect::<Vec<_>>()));
        }
    }
}

fn check_list(items: &[Value], schema: &Value, path: &str, findings: &mut Findings) {
    let count = items.len() as u64;
    if schema["minItems"].as_u64().is_some_and(|least| count < least) {
        findings.error(path, format!("expected at least {} entries, found {count}", schema["minItems"]));
    }
    if schema["maxItems"].as_u64().is_some_and(|most| count > most) {
        findings.error(path, format!("expected at most {} entries, found {count}", schema["maxItems"]));
    }
    for (index, item) in items.iter().enumerate() {
        check(item, &schema["items"], &format!("{path}[{index}]"), findings);
    }
    let keys = schema["x-kubernetes-list-map-keys"].as_array();
    for key in keys.into_iter().flatten().filter_map(Value::as_str) {
        for (index, item) in items.iter().enumerate() {
            let name = &item[key];
            let first = items[..index].iter().position(|other| !name.is_null() && other[key] == *name);
            if let Some(first) = first {
                findings.error(
                    format!("{path}[{index}].{key}"),
                    format!("{name} is the {key} of {path}[{first}] already; expected a unique one"),
                );
            }
        }
    }
}

fn check_text(text: &str, schema: &Value, path: &str, findings: &mut Findings) {
    if let Some(values) = schema["enum"].as_array() {
        let known = || values.iter().filter_map(Value::as_str);
        if !known().any(|value| value == text) {
            let names = known().collect::<Vec<_>>().join(", ");
            let hint =
                nearest(text, known()).map_or_else(String::new, |near| format!("; did you mean {near}?"));
            findings.error(path, format!("expected one of {names}, found {text:?}{hint}"));
        }
        return;
    }
    let count = text.chars().count() as u64;
    if schema["minLength"].as_u64().is_some_and(|least| count < least) {
        findings.error(path, "expected a text, found an empty one");
    } else if schema["maxLength"].as_u64().is_some_and(|most| count > most) {
        findings.error(path, format!("expected at most {} characters, found {count}", schema["maxLength"]));
    } else if let Some(pattern) = schema["pattern"].as_str()
        && let Ok(regex) = Regex::new(pattern)
        && !regex.is_match(text)
    {
        let expected =
            schema[EXPECTED].as_str().map_or_else(|| format!("a text like {pattern}"), str::to_owned);
        findings.error(path, format!("expected {expected}, found {text:?}"));
    }
}

/// Whether a value has the type that the schema asks for.
fn has_type(value: &Value, schema: &Value) -> bool {
    if schema["x-kubernetes-int-or-string"] == true {
        return value.is_string() || value.is_i64() || value.is_u64();
    }
    match schema["type"].as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some("boolean") => value.is_boolean(),
        _ => true,
    }
}

fn expected(schema: &Value) -> String {
    if schema["x-kubernetes-int-or-string"] == true {
        return "a whole number or a text".to_owned();
    }
    article(schema["type"].as_str().unwrap_or_default()).to_owned()
}

fn article(kind: &str) -> &'static str {
    match kind {
        "object" => "a map",
        "array" => "a list",
        "string" => "a text",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        _ => "a value",
    }
}

fn found(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(_) => format!("{value} (quotes make it a text)"),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) => format!("the text {text:?}"),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a map".to_owned(),
    }
}

/// The message for a field that is not known, with the nearest one that is.
fn unknown(field: &str, known: &[&str]) -> String {
    nearest(field, known.iter().copied()).map_or_else(
        || format!("no such field; known are {}", known[..known.len().min(20)].join(", ")),
        |near| format!("no such field; did you mean `{near}`?"),
    )
}

/// The name nearest to a misspelt one, if one is near.
pub(crate) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    known
        .map(|candidate| (strsim::jaro_winkler(&name, &candidate.to_lowercase()), candidate))
        .filter(|&(likeness, _)| likeness > 0.8)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, candidate)| candidate)
}

/// The path of a field; names that are no identifiers stand in brackets, as in `annotations["a.b/c"]`.
fn join(path: &str, field: &str) -> String {
    let plain = field
        .chars()
        .all(|character| character.is_ascii_alphanumeric() || character == '_' || character == '-');
    match (path, plain) {
        ("", _) => field.to_owned(),
        (_, true) => format!("{path}.{field}"),
        (_, false) => format!("{path}[{field:?}]"),
    }
}
