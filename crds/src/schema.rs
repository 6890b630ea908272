//! The schema of a manifest, generated from the types: what the API server checks, and what local runs check.

use std::sync::LazyLock;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use schemars::transform::AddNullable;
use serde_json::{Value, json};

use crate::MergeSearchSpec;

/// Key of a schema that lists the two schemas of which a value must match one.
pub(crate) const EITHER: &str = "x-mergesearch-either";

/// Key of a schema that says in words what its pattern allows. The CRD gets neither of the two.
pub(crate) const EXPECTED: &str = "x-mergesearch-expected";

/// The schema of a whole manifest, with descriptions.
pub(crate) static MANIFEST: LazyLock<Value> = LazyLock::new(|| {
    let mut spec = schema_of::<MergeSearchSpec>();
    fit_template(&mut spec);
    json!({
        "type": "object",
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "properties": {
            "apiVersion": { "type": "string" },
            "kind": { "type": "string" },
            "metadata": schema_of::<ObjectMeta>(),
            "spec": spec,
            "status": { "type": "object", "x-kubernetes-preserve-unknown-fields": true },
        },
    })
});

/// The schema of a type in the form that kube gives a CRD: no references, optional values nullable.
fn schema_of<T: JsonSchema>() -> Value {
    SchemaSettings::openapi3()
        .with(|settings| {
            settings.inline_subschemas = true;
            settings.meta_schema = None;
        })
        .with_transform(AddNullable::default())
        .with_transform(kube::core::schema::StructuralSchemaRewriter)
        .with_transform(kube::core::schema::OptionalEnum)
        .with_transform(kube::core::schema::OptionalIntOrString)
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value()
}

/// Has the API server take a field that is set to `null` as one left out. In a nullable field it keeps the `null`, which
/// then is none of the values that the field may have, or stands in place of the default.
pub(crate) fn leave_nulls_out(schema: &mut Value) {
    match schema {
        Value::Object(schema) => {
            // An object under either name is the schema of a field that is called so, or has a default of its own fields.
            if schema.get("enum").is_some_and(Value::is_array)
                || schema.get("default").is_some_and(|value| !value.is_object())
            {
                schema.remove("nullable");
            }
            schema.values_mut().for_each(leave_nulls_out);
        }
        Value::Array(items) => items.iter_mut().for_each(leave_nulls_out),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Fits Kubernetes' schema of a pod template to a search: without what a template can't have, and with limits on the
/// lists that rules go through. The API server estimates what a rule costs from the largest list it could meet, and
/// refuses rules over unlimited ones.
pub(crate) fn fit_template(spec: &mut Value) {
    const TEMPLATE: &str = "/properties/evaluation/properties/template/properties";
    const CLAIM: &str = "/properties/execution/properties/scratch/properties/volumeClaimTemplate/properties";
    for embedded in [TEMPLATE, CLAIM] {
        if let Some(Value::Object(metadata)) = spec.pointer_mut(&format!("{embedded}/metadata/properties")) {
            metadata.retain(|field, _| field == "labels" || field == "annotations");
        }
    }
    let Some(pod) = spec.pointer_mut(&format!("{TEMPLATE}/spec/properties")) else { return };
    if let Value::Object(pod) = pod {
        pod.remove("ephemeralContainers");
    }
    let mut limit = |schema: &str, keyword: &str, most: u32| {
        if let Some(Value::Object(schema)) = pod.pointer_mut(schema) {
            schema.insert(keyword.to_owned(), most.into());
        }
    };
    for (list, most) in [("initContainers", 16), ("containers", 8), ("volumes", 64)] {
        limit(&format!("/{list}"), "maxItems", most);
        limit(&format!("/{list}/items/properties/name"), "maxLength", 63);
    }
}
