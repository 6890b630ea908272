//! A namespace for one test, deleted when the test is over.

use std::ffi::{OsStr, OsString};
use std::time::Duration;

use serde_json::Value;

use super::access::Cluster;

/// The controllers make the default service account up to 15 seconds after a cold start; a busy machine takes longer.
const ACCOUNT_TIMEOUT: Duration = Duration::from_mins(2);

/// A namespace with a name of its own. Dropped, it is deleted without waiting, so that its pods free what they hold.
#[derive(Debug)]
pub struct Namespace {
    cluster: Cluster,
    name: String,
}

impl Namespace {
    #[track_caller]
    pub(crate) fn make(cluster: Cluster, prefix: &str) -> Self {
        let manifest = format!("{{apiVersion: v1, kind: Namespace, metadata: {{generateName: {prefix}-}}}}");
        let words = ["create", "--filename=-", "--output=jsonpath={.metadata.name}"];
        let name = cluster.kubectl_with_input(words, &manifest);
        let namespace = Self { cluster, name };
        namespace.wait_for("the namespace has its ServiceAccount", ACCOUNT_TIMEOUT, || {
            namespace.try_kubectl(["get", "serviceaccount", "default"]).ok()
        });
        namespace
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The cluster that it is in.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    fn words<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Vec<OsString> {
        let own = ["--namespace".into(), self.name.clone().into()];
        own.into_iter().chain(arguments.into_iter().map(|word| word.as_ref().to_owned())).collect()
    }

    /// [`Cluster::kubectl`] in this namespace.
    #[track_caller]
    pub fn kubectl<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> String {
        self.cluster.kubectl(self.words(arguments))
    }

    /// [`Cluster::try_kubectl`] in this namespace.
    pub fn try_kubectl<S: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = S>,
    ) -> Result<String, String> {
        self.cluster.try_kubectl(self.words(arguments))
    }

    /// [`Cluster::get`] in this namespace.
    #[track_caller]
    pub fn get<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Value {
        self.cluster.get(self.words(arguments))
    }

    /// [`Cluster::apply`] in this namespace.
    #[track_caller]
    pub fn apply(&self, manifests: &str) -> String {
        self.cluster.kubectl_with_input(self.words(["apply", "--filename=-"]), manifests)
    }

    /// Applies manifests; `Err` is why they were refused.
    pub fn try_apply(&self, manifests: &str) -> Result<String, String> {
        self.cluster.try_kubectl_with_input(self.words(["apply", "--filename=-"]), manifests)
    }

    /// [`Cluster::helm`] in this namespace.
    #[track_caller]
    pub fn helm<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> String {
        self.cluster.helm(self.words(arguments))
    }

    /// [`Cluster::wait_for`] about this namespace.
    #[track_caller]
    pub fn wait_for<T>(&self, description: &str, deadline: Duration, look: impl FnMut() -> Option<T>) -> T {
        self.cluster.wait_for(&self.name, description, deadline, look)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let words = ["delete", "namespace", &self.name, "--wait=false", "--ignore-not-found"];
        // A cluster that is already gone has taken its namespaces with it.
        let _deleted = self.cluster.try_kubectl(words);
    }
}
