//! The files that are generated from the types: the YAML of both CRDs and the reference.

use kube::CustomResourceExt;
use serde::Serialize;
use serde_json::Value;

use crate::{MergeSearch, MergeSearchJournal, reference, schema};

/// Why a CRD could not be written. Only a fault in this crate can be the reason.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GenerateError {
    /// The CRD is no JSON.
    #[error("the CRD could not be turned into JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// The CRD is no YAML.
    #[error("the CRD could not be turned into YAML: {0}")]
    Yaml(String),
}

/// Every generated file: its path from the root of the repository and its text.
pub fn files() -> Result<Vec<(&'static str, String)>, GenerateError> {
    const HEADER: &str = "# Generated from the types in crds/src by `make generate`. Changes belong there.\n";
    let searches = HEADER.to_owned() + &to_yaml(&search_crd()?)?;
    let journals = HEADER.to_owned() + &to_yaml(&MergeSearchJournal::crd())?;
    Ok(vec![
        ("crds/mergesearches.mergesearch.dev.yaml", searches.clone()),
        ("crds/mergesearchjournals.mergesearch.dev.yaml", journals.clone()),
        // Helm reads only what lies inside a chart.
        ("charts/mergesearch/files/crds/mergesearches.mergesearch.dev.yaml", searches),
        ("charts/mergesearch/files/crds/mergesearchjournals.mergesearch.dev.yaml", journals),
        ("docs/reference/mergesearch.md", reference()),
    ])
}

/// Both CRDs as one YAML text of two documents, ready for `kubectl apply -f -`.
pub fn yaml() -> Result<String, GenerateError> {
    Ok(format!("{}---\n{}", to_yaml(&search_crd()?)?, to_yaml(&MergeSearchJournal::crd())?))
}

/// The CRD of `MergeSearch`: kube's, without the descriptions inside embedded Kubernetes types. With them it would be too
/// large for client-side `kubectl apply`, which keeps a copy of the object in an annotation.
fn search_crd() -> Result<Value, GenerateError> {
    const SCHEMA: &str = "/spec/versions/0/schema/openAPIV3Schema/properties";
    let mut crd = serde_json::to_value(MergeSearch::crd())?;
    if let Some(spec) = crd.pointer_mut(&format!("{SCHEMA}/spec")) {
        schema::fit_template(spec);
        schema::leave_nulls_out(spec);
        for embedded in [
            "evaluation/properties/template",
            "execution/properties/merger/properties/env",
            "execution/properties/merger/properties/resources",
            "execution/properties/merger/properties/tolerations",
            "execution/properties/scratch/properties/volumeClaimTemplate",
        ] {
            if let Some(schema) = spec.pointer_mut(&format!("/properties/{embedded}")) {
                strip_inner_descriptions(schema);
            }
        }
    }
    if let Some(conditions) = crd.pointer_mut(&format!("{SCHEMA}/status/properties/conditions")) {
        strip_inner_descriptions(conditions);
    }
    Ok(crd)
}

/// Removes every description below a schema, not its own.
fn strip_inner_descriptions(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            for (key, value) in object {
                // A property may be called `description`; a schema's own is a text.
                if let ("properties", Value::Object(properties)) = (key.as_str(), &mut *value) {
                    properties.values_mut().for_each(strip_descriptions);
                } else {
                    strip_descriptions(value);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(strip_descriptions),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn strip_descriptions(schema: &mut Value) {
    if let Value::Object(object) = schema
        && object.get("description").is_some_and(Value::is_string)
    {
        object.remove("description");
    }
    strip_inner_descriptions(schema);
}

fn to_yaml(value: &impl Serialize) -> Result<String, GenerateError> {
    // By way of JSON, so that keys have one order.
    let value = serde_json::to_value(value)?;
    serde_saphyr::to_string(&value).map_err(|error| GenerateError::Yaml(error.to_string()))
}
