//! The API server: all reads that caches do not serve, and all writes.

use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Event as CoreEvent, Pod};
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions};
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Api, Client, Resource as _};
use mergesearch_crds::{MergeSearch, MergeSearchJournal, labels};
use serde_json::json;
use tokio::time::timeout;

use crate::decide::{Refusal, Reply, Subject, Write};
use crate::lease::API_TIMEOUT;
use crate::observe::EventView;

/// How long a list may take: a long journal has tens of megabytes.
const LIST_TIMEOUT: Duration = Duration::from_mins(1);
/// The longest note of an Event, in bytes.
const LONGEST_NOTE: usize = 1024;

/// The API server, as one writer.
#[derive(Clone)]
pub(crate) struct Cluster {
    client: Client,
    recorder: Recorder,
}

/// Why a read or a write has no answer to go on with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClusterError {
    /// The API server said no, or nothing was heard.
    #[error("{0}")]
    Api(#[from] kube::Error),
    /// It took too long.
    #[error("the API server did not answer within {} s", .0.as_secs())]
    Timeout(Duration),
    /// The search was written by another version.
    #[error("the search has no {0}")]
    Incomplete(&'static str),
}

impl ClusterError {
    /// The value of the label `reason` of the metric of errors.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Api(kube::Error::Api(status)) if status.is_conflict() => "conflict",
            Self::Api(kube::Error::Api(status)) if status.is_forbidden() => "forbidden",
            Self::Api(kube::Error::Api(status)) if status.is_invalid() => "invalid",
            Self::Api(kube::Error::Api(status)) if status.is_not_found() => "not_found",
            Self::Api(kube::Error::Api(_)) => "api",
            Self::Api(_) => "transport",
            Self::Timeout(_) => "timeout",
            Self::Incomplete(_) => "incomplete",
        }
    }
}

type Answer<T> = Result<T, ClusterError>;

impl Cluster {
    pub(crate) fn new(client: Client, identity: &str) -> Self {
        let reporter =
            Reporter { controller: labels::OPERATOR.to_owned(), instance: Some(identity.to_owned()) };
        Self { recorder: Recorder::new(client.clone(), reporter), client }
    }

    /// All Jobs of a search.
    pub(crate) async fn jobs(&self, namespace: &str, uid: &str) -> Answer<Vec<Job>> {
        let list = self.api::<Job>(namespace);
        within(LIST_TIMEOUT, async { Ok(list.list(&of_search(uid)).await?.items) }).await
    }

    /// All chunks of a search's journal.
    pub(crate) async fn journal(&self, namespace: &str, uid: &str) -> Answer<Vec<MergeSearchJournal>> {
        let list = self.api::<MergeSearchJournal>(namespace);
        within(LIST_TIMEOUT, async { Ok(list.list(&of_search(uid)).await?.items) }).await
    }

    /// A Job as it is now.
    pub(crate) async fn job(&self, namespace: &str, name: &str) -> Answer<Option<Job>> {
        within(API_TIMEOUT, self.api::<Job>(namespace).get_opt(name)).await
    }

    /// The pods of a Job as they are now.
    pub(crate) async fn pods(&self, namespace: &str, job: &str) -> Answer<Vec<Pod>> {
        let of_job = ListParams::default().labels(&format!("batch.kubernetes.io/controller-uid={job}"));
        let list = self.api::<Pod>(namespace);
        within(API_TIMEOUT, async { Ok(list.list(&of_job).await?.items) }).await
    }

    /// Events about a Job or a pod, newest first.
    pub(crate) async fn events(&self, namespace: &str, subject: &Subject) -> Answer<Vec<EventView>> {
        let about = ListParams::default().fields(&format!("involvedObject.uid={}", subject.uid));
        let list = self.api::<CoreEvent>(namespace);
        let events = within(API_TIMEOUT, async { Ok(list.list(&about).await?.items) }).await?;
        let mut events: Vec<EventView> = events.iter().filter_map(EventView::of).collect();
        events.sort_by_key(|event| std::cmp::Reverse(event.last));
        Ok(events)
    }

    /// Does one write. What comes of it is for [`Memory::answered`](crate::decide::Memory::answered); an error is for
    /// the log and the metrics.
    pub(crate) async fn write(&self, resource: &MergeSearch, write: &Write) -> (Reply, Option<ClusterError>) {
        match within(API_TIMEOUT, self.try_write(resource, write)).await {
            Ok(reply) => (reply, None),
            Err(error) => {
                let refused = match &error {
                    ClusterError::Api(kube::Error::Api(status))
                        if status.is_forbidden() || status.is_invalid() || status.code == 400 =>
                    {
                        Some(status.message.clone())
                    }
                    _ => None,
                };
                let reply = refused.map_or(Reply::Failed, |message| {
                    Reply::Refused(Refusal { message, at: Timestamp::now() })
                });
                (reply, Some(error))
            }
        }
    }

    async fn try_write(&self, resource: &MergeSearch, write: &Write) -> kube::Result<Reply> {
        let namespace = resource.metadata.namespace.as_deref().unwrap_or_default();
        let name = resource.metadata.name.as_deref().unwrap_or_default();
        let own = PatchParams::apply(labels::OPERATOR).force();
        // The uid keeps a search of the same name that was made since from being written.
        let head = |rest: serde_json::Value| {
            json!({
                "apiVersion": labels::API_VERSION, "kind": labels::KIND,
                "metadata": {"name": name, "namespace": namespace, "uid": resource.metadata.uid},
                "status": rest,
            })
        };
        match write {
            Write::Finalizer { present } => {
                let kept = resource.metadata.finalizers.iter().flatten();
                let mut finalizers: Vec<&str> =
                    kept.map(String::as_str).filter(|own| *own != labels::FINALIZER).collect();
                finalizers.extend(present.then_some(labels::FINALIZER));
                let metadata = json!({
                    "uid": resource.metadata.uid,
                    "resourceVersion": resource.metadata.resource_version,
                    "finalizers": finalizers,
                });
                let patch = Patch::Merge(json!({ "metadata": metadata }));
                let parameters = PatchParams::default();
                match self.api::<MergeSearch>(namespace).patch(name, &parameters, &patch).await {
                    Err(kube::Error::Api(status)) if status.is_not_found() => Ok(Reply::Done),
                    answer => answer.map(|_| Reply::Done),
                }
            }
            Write::Journal(chunk) => {
                let api = self.api::<MergeSearchJournal>(namespace);
                let parameters =
                    PostParams { field_manager: Some(labels::OPERATOR.to_owned()), ..PostParams::default() };
                let chunk_name = chunk.metadata.name.as_deref().unwrap_or_default();
                let kept = match chunk.metadata.resource_version {
                    None => api.create(&parameters, chunk).await?,
                    Some(_) => api.replace(chunk_name, &parameters, chunk).await?,
                };
                Ok(Reply::Journal(Box::new(kept)))
            }
            Write::CreateJob { job, .. } => self.create(resource, namespace, job).await,
            Write::DeleteJob { name, uid, version, .. } => {
                let unchanged =
                    Preconditions { uid: Some(uid.clone()), resource_version: Some(version.clone()) };
                let parameters = DeleteParams::background().preconditions(unchanged);
                gone(self.api::<Job>(namespace).delete(name, &parameters).await)
            }
            Write::DeletePod { name, uid } => {
                let same = Preconditions { uid: Some(uid.clone()), resource_version: None };
                let parameters = DeleteParams::default().grace_period(0).preconditions(same);
                gone(self.api::<Pod>(namespace).delete(name, &parameters).await)
            }
            Write::Event { reason, message, warning } => {
                let end = message.floor_char_boundary(LONGEST_NOTE);
                let event = Event {
                    type_: if *warning { EventType::Warning } else { EventType::Normal },
                    reason: (*reason).to_owned(),
                    note: Some(message[..end].to_owned()),
                    action: "Reconcile".to_owned(),
                    secondary: None,
                };
                self.recorder.publish(&event, &resource.object_ref(&())).await?;
                Ok(Reply::Done)
            }
            Write::Status(status) => {
                let patch = Patch::Apply(head(json!(status)));
                self.api::<MergeSearch>(namespace).patch_status(name, &own, &patch).await?;
                Ok(Reply::Done)
            }
        }
    }

    async fn create(&self, resource: &MergeSearch, namespace: &str, job: &Job) -> kube::Result<Reply> {
        let api = self.api::<Job>(namespace);
        let parameters =
            PostParams { field_manager: Some(labels::OPERATOR.to_owned()), ..PostParams::default() };
        let name = job.metadata.name.as_deref().unwrap_or_default();
        let there = match api.create(&parameters, job).await {
            Err(kube::Error::Api(status)) if status.is_already_exists() => api.get(name).await?,
            answer => answer?,
        };
        let owners = there.metadata.owner_references.iter().flatten();
        let ours = owners.into_iter().any(|owner| Some(&owner.uid) == resource.metadata.uid.as_ref());
        Ok(match there.metadata.uid {
            Some(uid) if ours && there.metadata.deletion_timestamp.is_none() => Reply::Job(uid),
            // Its name is free in a moment.
            Some(_) if ours => Reply::Failed,
            _ => Reply::Refused(Refusal {
                message: format!("Job {name} exists and belongs to something else; delete it"),
                at: Timestamp::now(),
            }),
        })
    }

    fn api<K>(&self, namespace: &str) -> Api<K>
    where
        K: kube::Resource<Scope = kube::core::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), namespace)
    }
}

fn of_search(uid: &str) -> ListParams {
    ListParams::default().labels(&format!("{}={uid}", labels::SEARCH_UID))
}

/// What is not there is deleted.
fn gone<T>(answer: kube::Result<T>) -> kube::Result<Reply> {
    match answer {
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(Reply::Done),
        answer => answer.map(|_| Reply::Done),
    }
}

async fn within<T>(limit: Duration, answer: impl Future<Output = kube::Result<T>>) -> Answer<T> {
    timeout(limit, answer).await.map_err(|_| ClusterError::Timeout(limit))?.map_err(ClusterError::from)
}
