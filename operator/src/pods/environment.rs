//! Environment variables of the containers in a pod.

use k8s_openapi::api::core::v1::{Container, EnvVar, EnvVarSource, SecretKeySelector};
use mergesearch_crds::labels::RESERVED_ENV_PREFIX;
use mergesearch_search::contract::{CA_BUNDLE_FILE, Request};

use super::Blueprint;

/// Names of credentials, in the Secret as in the environment, and whether each may be missing.
const CREDENTIALS: [(&str, bool); 3] =
    [("AWS_ACCESS_KEY_ID", false), ("AWS_SECRET_ACCESS_KEY", false), ("AWS_SESSION_TOKEN", true)];

/// A variable with a value.
pub(super) fn variable(name: &str, value: impl Into<String>) -> EnvVar {
    EnvVar { name: name.to_owned(), value: Some(value.into()), ..EnvVar::default() }
}

impl Blueprint<'_> {
    /// The environment of our own containers: the request, how storage is reached, and what the search adds for the
    /// merger, which wins over all but the request.
    #[expect(
        clippy::expect_used,
        reason = "JSON fails only on maps with other keys than strings; a request has none"
    )]
    pub(super) fn program_environment(&self, request: &Request) -> Vec<EnvVar> {
        let request = request.to_environment().expect("a request always has a JSON form");
        let request = request.into_iter().map(|(name, value)| variable(&name, value));
        let added = &self.resource.spec.execution.merger.env;
        let storage = self.storage_environment();
        let storage = storage.into_iter().filter(|own| added.iter().all(|other| other.name != own.name));
        let added = added.iter().filter(|other| !other.name.starts_with(RESERVED_ENV_PREFIX)).cloned();
        storage.chain(added).chain(request).collect()
    }

    fn storage_environment(&self) -> Vec<EnvVar> {
        let storage = &self.resource.spec.storage;
        let bundle = storage.ca_bundle.iter().map(|_| variable("AWS_CA_BUNDLE", CA_BUNDLE_FILE));
        let secret = storage.credentials_secret.iter().flat_map(|secret| {
            CREDENTIALS.map(|(name, optional)| {
                let key = SecretKeySelector {
                    name: secret.clone(),
                    key: name.to_owned(),
                    optional: optional.then_some(true),
                };
                let source = EnvVarSource { secret_key_ref: Some(key), ..EnvVarSource::default() };
                EnvVar { name: name.to_owned(), value_from: Some(source), ..EnvVar::default() }
            })
        });
        bundle.chain(secret).collect()
    }
}

/// Gives a container of the user's variables of ours. They come first, so that the user's own may refer to them as
/// `$(MERGESEARCH_MODEL_DIR)`; and a home that can be written to, unless it names one.
pub(super) fn add(container: &mut Container, ours: impl IntoIterator<Item = EnvVar>) {
    let mut all: Vec<EnvVar> = ours.into_iter().collect();
    let mut theirs = container.env.take().unwrap_or_default();
    theirs.retain(|variable| !variable.name.starts_with(RESERVED_ENV_PREFIX));
    if theirs.iter().all(|variable| variable.name != "HOME") {
        all.push(variable("HOME", "/tmp"));
    }
    all.extend(theirs);
    container.env = Some(all);
}
