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

/// The schema of a whole manifest, with descriptions.
pub(crate) static MANIFEST: LazyLock<Value> = LazyLock::new(|| {
    let mut spec = schema_of::<MergeSearchSpec>();
    bound_template(&mut spec);
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

/// Limits the lists of the pod template that rules go through: the API server estimates what a rule costs from the
/// largest list it could meet, and refuses rules over unlimited ones.
pub(crate) fn bound_template(spec: &mut Value) {
    const POD: &str = "/properties/evaluation/properties/template/properties/spec/properties";
    const LIMITS: [(&str, u32, &str); 3] =
        [("initContainers", 16, "name"), ("containers", 8, "name"), ("volumes", 64, "name")];
    for (list, most, key) in LIMITS {
        if let Some(Value::Object(schema)) = spec.pointer_mut(&format!("{POD}/{list}")) {
            schema.insert("maxItems".to_owned(), most.into());
        }
        if let Some(Value::Object(schema)) = spec.pointer_mut(&format!("{POD}/{list}/items/properties/{key}"))
        {
            schema.insert("maxLength".to_owned(), 63.into());
        }
    }
    for list in ["initContainers", "containers"] {
        if let Some(Value::Object(schema)) = spec.pointer_mut(&format!("{POD}/{list}/items/properties/env")) {
            schema.insert("maxItems".to_owned(), 256.into());
        }
    }
}
