//! The cluster that the command line means, and what is read from it.

use kube::api::ListParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use mergesearch_crds::{MergeSearch, MergeSearchJournal, labels};

use crate::args::ClusterArgs;
use crate::failure::Failure;

/// One search on a cluster, seen with the user's own rights.
#[derive(Clone)]
pub(super) struct Connection {
    client: Client,
    namespace: String,
    name: String,
}

impl Connection {
    /// Finds the cluster as kubectl does. Nothing is sent yet.
    ///
    /// # Errors
    /// When there is no kubeconfig, or it has no such context.
    pub(super) async fn open(arguments: &ClusterArgs) -> Result<Self, Failure> {
        let ClusterArgs { name, namespace, context, kubeconfig } = arguments;
        let options = KubeConfigOptions { context: context.clone(), ..KubeConfigOptions::default() };
        let unusable = |error: &dyn std::fmt::Display| Failure::Input(format!("kubeconfig: {error}"));
        let config = match kubeconfig {
            Some(file) => {
                let read = Kubeconfig::read_from(file).map_err(|error| unusable(&error))?;
                Config::from_custom_kubeconfig(read, &options).await.map_err(|error| unusable(&error))?
            }
            None if context.is_some() => {
                Config::from_kubeconfig(&options).await.map_err(|error| unusable(&error))?
            }
            None => Config::infer().await.map_err(|error| unusable(&error))?,
        };
        let namespace = namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let client = Client::try_from(config).map_err(|error| unusable(&error))?;
        Ok(Self { client, namespace, name: name.clone() })
    }

    /// The search's name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The searches of its namespace.
    pub(super) fn searches(&self) -> Api<MergeSearch> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    fn journals(&self) -> Api<MergeSearchJournal> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// The search as it is now.
    pub(super) async fn search(&self) -> kube::Result<MergeSearch> {
        self.searches().get(&self.name).await
    }

    /// All chunks of its journal.
    pub(super) async fn chunks(&self, uid: &str) -> kube::Result<Vec<MergeSearchJournal>> {
        let own = ListParams::default().labels(&format!("{}={uid}", labels::SEARCH_UID));
        Ok(self.journals().list(&own).await?.items)
    }

    /// One chunk; `None` when it is not there.
    pub(super) async fn chunk(&self, name: &str) -> kube::Result<Option<MergeSearchJournal>> {
        self.journals().get_opt(name).await
    }

    /// Why the search can't be shown.
    pub(super) fn failure(&self, error: &kube::Error) -> Failure {
        let Self { client: _, namespace, name } = self;
        match error {
            kube::Error::Api(status) if status.is_not_found() => Failure::Input(format!(
                "search {name}: not in namespace {namespace}; `kubectl get mergesearches --all-namespaces` lists all"
            )),
            kube::Error::Api(status) => Failure::Input(format!("search {name}: {}", status.message)),
            error => Failure::Run(format!("search {name}: the API server can't be asked: {}", said(error))),
        }
    }

    /// It was there and is no more.
    pub(super) fn deleted(&self) -> Failure {
        Failure::Run(format!("search {}: it was deleted from namespace {}", self.name, self.namespace))
    }
}

/// An error in the words of whom it comes from.
pub(super) fn said(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        kube::Error::Service(source) => {
            let mut deepest: &(dyn std::error::Error + 'static) = source.as_ref();
            while let Some(source) = deepest.source() {
                deepest = source;
            }
            deepest.to_string()
        }
        error => error.to_string(),
    }
}

/// Whether asking again would give the same answer: a refusal, or an object that this version can't read.
pub(super) fn is_lasting(error: &kube::Error) -> bool {
    match error {
        // A timeout, an expired resource version, too many requests.
        kube::Error::Api(status) => {
            (400..500).contains(&status.code) && ![408, 409, 410, 429].contains(&status.code)
        }
        kube::Error::SerdeError(_) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    #[test]
    fn only_what_would_be_answered_the_same_again_is_given_up() {
        for (code, lasting) in
            [(401, true), (403, true), (404, true), (410, false), (429, false), (500, false)]
        {
            let status = Status { code, ..Status::default() };
            assert_eq!(is_lasting(&kube::Error::Api(Box::new(status))), lasting, "{code}");
        }
        assert!(!is_lasting(&kube::Error::Service("connection refused".into())));
    }
}
