//! Generated files are what the types say, and the CRD is small enough to be applied.

use std::fs;
use std::path::Path;

#[test]
fn generated_files_have_not_drifted() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for (path, text) in mergesearch_crds::files().unwrap() {
        let found = fs::read_to_string(root.join(path)).unwrap_or_default();
        assert!(found == text, "{path} is not what the types say: run `make generate`");
    }
}

/// Client-side `kubectl apply` keeps the object as JSON in an annotation, and annotations are limited to 256 KiB together.
#[test]
fn the_crd_is_small_enough_for_client_side_apply() {
    let text = mergesearch_crds::yaml().unwrap();
    let documents: Vec<serde_json::Value> = serde_saphyr::from_multiple(&text).unwrap();
    assert_eq!(documents.len(), 2);
    for document in documents {
        let bytes = document.to_string().len();
        assert!(
            bytes < 200 * 1024,
            "{} has {bytes} bytes; 200 KiB is the most",
            document["metadata"]["name"]
        );
    }
}

#[test]
fn embedded_kubernetes_types_have_no_descriptions_and_our_fields_all_have_one() {
    let text = mergesearch_crds::yaml().unwrap();
    let documents: Vec<serde_json::Value> = serde_saphyr::from_multiple(&text).unwrap();
    let schema = &documents[0]["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    let template = &schema["properties"]["spec"]["properties"]["evaluation"]["properties"]["template"];
    let without_its_own = template.as_object().unwrap().iter().filter(|(key, _)| *key != "description");
    for (key, value) in without_its_own {
        assert!(!value.to_string().contains("\"description\":\""), "{key} of the template has descriptions");
    }
    assert_eq!(undocumented(&schema["properties"]["spec"], "spec"), Vec::<String>::new());
    assert_eq!(undocumented(&schema["properties"]["status"], "status"), Vec::<String>::new());
}

/// The paths of fields without a description, embedded Kubernetes types aside.
fn undocumented(schema: &serde_json::Value, path: &str) -> Vec<String> {
    const EMBEDDED: [&str; 6] =
        ["template", "env", "resources", "tolerations", "volumeClaimTemplate", "conditions"];
    let inner = if schema["type"] == "array" { &schema["items"] } else { schema };
    let fields = inner["properties"].as_object().into_iter().flatten();
    fields
        .flat_map(|(field, schema)| {
            let path = format!("{path}.{field}");
            let own = schema["description"].as_str().is_none_or(str::is_empty).then(|| path.clone());
            let below =
                if EMBEDDED.contains(&field.as_str()) { Vec::new() } else { undocumented(schema, &path) };
            own.into_iter().chain(below)
        })
        .collect()
}
