//! A manifest as a person wrote it: YAML to [`MergeSearch`], with everything that is wrong reported at once.

mod finding;
mod shape;

use serde_json::Value;
use serde_saphyr::UserMessageFormatter;

pub(crate) use finding::Findings;
pub use finding::{Finding, ManifestErrors};

use crate::labels::{API_VERSION, KIND};
use crate::rules::{self, Place};
use crate::{MergeSearch, schema};

/// A manifest that keeps all rules.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// The search it describes, defaults filled in.
    pub resource: MergeSearch,
    /// What is allowed and probably not meant.
    pub warnings: Vec<Finding>,
}

impl Manifest {
    /// Reads the one `MergeSearch` of a YAML or JSON text; documents of other kinds are passed over with a warning.
    ///
    /// `place` is where the search will run: `pvc://` exists only in a cluster, `file://` only locally.
    ///
    /// # Errors
    /// Everything that is wrong, each with the path of its field. Rules that look at several fields are only checked
    /// when every field by itself is right.
    pub fn parse(text: &str, place: Place) -> Result<Self, ManifestErrors> {
        let mut findings = Findings::default();
        let Some(mut document) = search_document(text, &mut findings) else {
            return Err(ManifestErrors(findings.errors));
        };
        shape::drop_nulls(&mut document, &schema::MANIFEST);
        shape::check(&document, &schema::MANIFEST, "", &mut findings);
        if !findings.errors.is_empty() {
            return Err(ManifestErrors(findings.errors));
        }
        let resource: MergeSearch = serde_path_to_error::deserialize(document).map_err(|error| {
            let (path, message) = (error.path().to_string(), error.into_inner().to_string());
            ManifestErrors(vec![Finding { path, message }])
        })?;
        rules::find(&resource, place, &mut findings);
        if findings.errors.is_empty() {
            Ok(Self { resource, warnings: findings.warnings })
        } else {
            Err(ManifestErrors(findings.errors))
        }
    }
}

/// The one document of our kind.
fn search_document(text: &str, findings: &mut Findings) -> Option<Value> {
    let documents: Vec<Value> = match serde_saphyr::from_multiple(text) {
        Ok(documents) => documents,
        Err(error) => {
            let error = error.without_snippet().render_with_formatter(&UserMessageFormatter);
            findings.error("", format!("not valid YAML: {error}"));
            return None;
        }
    };
    let documents: Vec<Value> = documents.into_iter().filter(|document| !document.is_null()).collect();
    let is_search = |document: &Value| document["kind"] == KIND;
    let mut searches = documents.iter().filter(|document| is_search(document));
    let document = match (searches.next(), searches.count()) {
        (Some(document), 0) => document,
        (Some(_), more) => {
            findings.error("", format!("expected one {KIND}, found {}", more + 1));
            return None;
        }
        (None, _) => {
            wrong_kind(&documents, findings);
            return None;
        }
    };
    let version = &document["apiVersion"];
    if !version.is_null() && version != API_VERSION {
        findings.error("apiVersion", format!("expected {API_VERSION}, found {version}"));
        return None;
    }
    for other in documents.iter().filter(|document| !is_search(document)) {
        findings.warning("", format!("passed over a document of kind {}", other["kind"]));
    }
    Some(document.clone())
}

fn wrong_kind(documents: &[Value], findings: &mut Findings) {
    match documents {
        [] => findings.error("", format!("expected a {KIND}, found an empty text")),
        [document] if !document.is_object() => {
            findings.error(
                "",
                format!("expected a map with apiVersion, kind, metadata and spec, found {document}"),
            );
        }
        [document] if document["kind"].is_null() => {
            findings.error("kind", format!("required, but missing: {KIND}"));
        }
        [document] => findings.error("kind", format!("expected {KIND}, found {}", document["kind"])),
        several => {
            findings.error("", format!("expected one {KIND} among {} documents, found none", several.len()));
        }
    }
}
