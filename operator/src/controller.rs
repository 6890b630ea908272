//! The loop: caches that call for a pass when something changes, and the pass itself.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::runtime::controller::{Action, Controller};
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, Resource, ResourceExt as _};
use mergesearch_crds::{MergeSearch, labels};
use serde::de::DeserializeOwned;
use tracing::{Instrument as _, info, info_span, warn};

use crate::cluster::{Cluster, ClusterError};
use crate::decide::{Decision, Memory, Write, decide, troubled};
use crate::metrics::{Metrics, SearchGauges};
use crate::observe::{JobView, Observed, PodView};
use crate::server::{Heartbeat, Readiness};
use crate::settings::Settings;

/// A search that failed a pass is looked at again after this time; twice as long each time it fails again.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_mins(1);
/// How often what is remembered is compared with the searches that exist.
const PRUNE_EVERY: Duration = Duration::from_secs(15);
/// For `/readyz`.
pub const CACHES: &str = "caches";

/// What all passes share.
pub struct Operator {
    cluster: Cluster,
    settings: Settings,
    metrics: Metrics,
    heartbeat: Heartbeat,
    searches: Mutex<HashMap<String, Arc<Tended>>>,
}

/// A search that is being looked after.
struct Tended {
    namespace: String,
    name: String,
    memory: tokio::sync::Mutex<Memory>,
    failures: Mutex<u32>,
}

/// The caches of one namespace or of all.
#[derive(Clone)]
struct Caches {
    searches: Store<MergeSearch>,
    jobs: Store<Job>,
    pods: Store<Pod>,
}

impl Operator {
    /// An operator that has looked at nothing yet.
    pub fn new(
        client: Client,
        identity: &str,
        settings: Settings,
        metrics: Metrics,
        heartbeat: Heartbeat,
    ) -> Arc<Self> {
        Arc::new(Self {
            cluster: Cluster::new(client, identity),
            settings,
            metrics,
            heartbeat,
            searches: Mutex::default(),
        })
    }

    /// Looks after all searches until `shutdown` resolves; the passes under way then end first.
    pub async fn run<Shutdown>(self: Arc<Self>, client: Client, readiness: Readiness, shutdown: Shutdown)
    where
        Shutdown: Future<Output = ()> + Clone + Send + Sync + 'static,
    {
        let namespaces: Vec<Option<String>> = match self.settings.watch_namespaces.as_slice() {
            [] => vec![None],
            some => some.iter().cloned().map(Some).collect(),
        };
        let scopes = namespaces.into_iter().map(|namespace| {
            Arc::clone(&self).run_scope(client.clone(), namespace, readiness.clone(), shutdown.clone())
        });
        futures::future::join_all(scopes).await;
    }

    async fn run_scope<Shutdown>(
        self: Arc<Self>,
        client: Client,
        namespace: Option<String>,
        readiness: Readiness,
        shutdown: Shutdown,
    ) where
        Shutdown: Future<Output = ()> + Clone + Send + Sync + 'static,
    {
        let ours = watcher::Config::default().labels(&format!("{}={}", labels::MANAGED_BY, labels::OPERATOR));
        let (searches, search_writer) = reflector::store();
        let (jobs, job_writer) = reflector::store();
        let (pods, pod_writer) = reflector::store();
        let caches = Caches { searches: searches.clone(), jobs, pods };

        let watch = watcher(api::<MergeSearch>(&client, namespace.as_deref()), watcher::Config::default());
        let triggers = watch.default_backoff().reflect(search_writer).touched_objects();
        let job_changes = watcher(api::<Job>(&client, namespace.as_deref()), ours.clone())
            .default_backoff()
            .reflect(job_writer)
            .touched_objects();
        let pod_changes = watcher(api::<Pod>(&client, namespace.as_deref()), ours)
            .default_backoff()
            .reflect(pod_writer)
            .touched_objects();
        // A pod's search is found by its uid: labels hold no long names.
        let of_pod = {
            let searches = searches.clone();
            move |pod: Pod| {
                let uid = pod.labels().get(labels::SEARCH_UID).cloned();
                uid.and_then(|uid| searches.find(|search| search.metadata.uid.as_ref() == Some(&uid)))
                    .map(|search| ObjectRef::from_obj(&*search))
            }
        };
        // A cache wakes only the last of those who wait for it. So one future waits for all three, and everybody else for
        // that one.
        let filled = {
            let caches = caches.clone();
            async move {
                let all = async {
                    caches.searches.wait_until_ready().await?;
                    caches.jobs.wait_until_ready().await?;
                    caches.pods.wait_until_ready().await
                };
                all.await.is_ok()
            }
        };
        let filled = filled.boxed().shared();
        let prune =
            Arc::clone(&self).prune(caches.clone(), filled.clone(), namespace.clone(), shutdown.clone());
        let ready = filled.clone().map(|filled| {
            if filled {
                readiness.met(CACHES);
            }
        });
        let operator = Arc::clone(&self);
        let waiting = caches.clone();
        let reconcile = move |search: Arc<MergeSearch>, operator: Arc<Self>| {
            let (caches, filled) = (waiting.clone(), filled.clone());
            async move {
                // An empty cache of Jobs beside a full one of searches would look as if every Job had vanished.
                filled.await;
                operator.pass(search, &caches).await
            }
        };
        let run = Controller::for_stream(
            triggers.inspect_err(|error| warn!(%error, "watching searches")),
            searches,
        )
        .owns_stream(job_changes.inspect_err(|error| warn!(%error, "watching Jobs")))
        .watches_stream(pod_changes.inspect_err(|error| warn!(%error, "watching pods")), of_pod)
        .graceful_shutdown_on(shutdown)
        .run(reconcile, Self::on_error, operator)
        .for_each(|_| std::future::ready(()));
        tokio::join!(run, prune, ready);
    }

    /// Forgets searches that are gone: what is remembered of them, and their metrics.
    async fn prune(
        self: Arc<Self>,
        caches: Caches,
        filled: impl Future<Output = bool> + Clone,
        namespace: Option<String>,
        shutdown: impl Future<Output = ()>,
    ) {
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            tokio::select! {
                () = &mut shutdown => return,
                () = tokio::time::sleep(PRUNE_EVERY) => {}
            }
            self.heartbeat.beat();
            if !filled.clone().await {
                return;
            }
            let there: BTreeSet<String> =
                caches.searches.state().iter().filter_map(|search| search.metadata.uid.clone()).collect();
            let in_scope = |tended: &Tended| namespace.as_ref().is_none_or(|own| *own == tended.namespace);
            let mut searches = self.searches.lock().unwrap_or_else(PoisonError::into_inner);
            let gone: Vec<Arc<Tended>> = searches
                .iter()
                .filter(|(uid, tended)| in_scope(tended) && !there.contains(*uid))
                .map(|(_, tended)| Arc::clone(tended))
                .collect();
            searches.retain(|uid, tended| !in_scope(tended) || there.contains(uid));
            for Tended { namespace, name, .. } in gone.iter().map(AsRef::as_ref) {
                // Another search may have the name by now.
                if !searches.values().any(|other| other.namespace == *namespace && other.name == *name) {
                    self.metrics.remove_search(namespace, name);
                }
            }
        }
    }

    async fn pass(&self, search: Arc<MergeSearch>, caches: &Caches) -> Result<Action, ClusterError> {
        self.heartbeat.beat();
        let started = Instant::now();
        let uid = search.metadata.uid.clone().ok_or(ClusterError::Incomplete("uid"))?;
        let namespace = search.namespace().ok_or(ClusterError::Incomplete("namespace"))?;
        let tended = self.tended(&uid, &namespace, &search.name_any());
        let span = info_span!("search", %namespace, name = %tended.name);
        let result = self.tend(&search, &uid, &tended, caches).instrument(span).await;
        self.metrics.reconciled(started.elapsed());
        let mut failures = tended.failures.lock().unwrap_or_else(PoisonError::into_inner);
        match &result {
            Ok(_) => *failures = 0,
            Err(_) => *failures = failures.saturating_add(1),
        }
        result
    }

    fn tended(&self, uid: &str, namespace: &str, name: &str) -> Arc<Tended> {
        let mut searches = self.searches.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || {
            Arc::new(Tended {
                namespace: namespace.to_owned(),
                name: name.to_owned(),
                memory: tokio::sync::Mutex::default(),
                failures: Mutex::default(),
            })
        };
        Arc::clone(searches.entry(uid.to_owned()).or_insert_with(new))
    }

    /// Observe, decide, act.
    async fn tend(
        &self,
        search: &MergeSearch,
        uid: &str,
        tended: &Tended,
        caches: &Caches,
    ) -> Result<Action, ClusterError> {
        let mut memory = tended.memory.lock().await;
        let observed = self.observe(&mut memory, search, uid, tended, caches).await?;
        let decision = decide(&mut memory, &observed, &self.settings);
        let Decision { writes, requeue, durations, waiting } = decision;
        for (phase, seconds) in durations {
            self.metrics.trial_phase_ended(phase, Duration::try_from_secs_f64(seconds).unwrap_or_default());
        }
        if let Some(gauges) = gauges(&memory, waiting) {
            self.metrics.set_search(&tended.namespace, &tended.name, gauges);
        }
        for write in &writes {
            log(write);
            let (reply, error) = self.cluster.write(search, write).await;
            if let Some(error) = &error {
                warn!(write = write.kind(), %error, "a write failed");
                self.metrics.reconcile_failed(error.reason());
            }
            if !memory.answered(write, reply) {
                return error.map_or(Ok(Action::requeue(FIRST_RETRY)), Err);
            }
        }
        Ok(requeue.map_or_else(Action::await_change, Action::requeue))
    }

    async fn observe<'a>(
        &self,
        memory: &mut Memory,
        search: &'a MergeSearch,
        uid: &str,
        tended: &Tended,
        caches: &Caches,
    ) -> Result<Observed<'a>, ClusterError> {
        let namespace = tended.namespace.as_str();
        let of_search =
            |labels: &BTreeMap<String, String>| labels.get(labels::SEARCH_UID).is_some_and(|own| own == uid);
        let jobs: Vec<JobView> = if memory.needs_journal() {
            // In this order: a fresh journal beside older Jobs runs nothing twice.
            let jobs = self.cluster.jobs(namespace, uid).await?;
            memory.read(search, self.cluster.journal(namespace, uid).await?);
            jobs.iter().filter_map(JobView::of).collect()
        } else {
            let found = caches.jobs.state_filter(|job| of_search(job.labels()));
            found.iter().filter_map(|job| JobView::of(job)).collect()
        };
        let mut observed = Observed {
            resource: search,
            jobs: jobs.into_iter().map(|job| (job.key.clone(), job)).collect(),
            pods: BTreeMap::new(),
            events: BTreeMap::new(),
            confirmed: BTreeSet::new(),
            now: Timestamp::now(),
        };
        let found = caches.pods.state_filter(|pod| of_search(pod.labels()));
        observed.add_pods(found.iter().filter_map(|pod| PodView::of(pod)));
        for key in memory.unconfirmed(&observed) {
            let job = self.cluster.job(namespace, &key.name(&tended.name, uid)).await?;
            match job.as_ref().and_then(JobView::of) {
                Some(job) => {
                    let pods = self.cluster.pods(namespace, &job.uid).await?;
                    observed.add_pods(pods.iter().filter_map(PodView::of));
                    observed.jobs.insert(key.clone(), job);
                }
                None => {
                    observed.jobs.remove(&key);
                }
            }
            observed.confirmed.insert(key);
        }
        for subject in troubled(&observed) {
            let events = self.cluster.events(namespace, &subject).await?;
            observed.events.insert(subject.uid, events);
        }
        observed.now = Timestamp::now();
        Ok(observed)
    }

    #[expect(clippy::needless_pass_by_value, reason = "the shape that the controller calls")]
    fn on_error(search: Arc<MergeSearch>, error: &ClusterError, operator: Arc<Self>) -> Action {
        let uid = search.metadata.uid.clone().unwrap_or_default();
        warn!(namespace = search.namespace(), name = search.name_any(), %error, "a pass failed");
        operator.metrics.reconcile_failed(error.reason());
        let searches = operator.searches.lock().unwrap_or_else(PoisonError::into_inner);
        let failures = searches
            .get(&uid)
            .map_or(1, |tended| *tended.failures.lock().unwrap_or_else(PoisonError::into_inner));
        let factor = 2_u32.saturating_pow(failures.saturating_sub(1));
        Action::requeue(FIRST_RETRY.saturating_mul(factor).min(LONGEST_RETRY))
    }
}

/// What is told of a search, once it has begun.
fn gauges(memory: &Memory, waiting: Option<&'static str>) -> Option<SearchGauges> {
    let search = memory.search()?;
    let progress = search.progress();
    let counts = memory.written_status().map(|status| status.trials).unwrap_or_default();
    let objectives = search.config().objectives.iter();
    Some(SearchGauges {
        generation: i32::try_from(search.history().len()).ok(),
        sigma: progress.sigma,
        front_size: progress.front_size,
        hypervolume: Some(progress.hypervolume),
        gpu_seconds: search.gpu_seconds(),
        trials: counts,
        best: objectives
            .zip(&progress.best)
            .filter_map(|(objective, best)| Some((objective.name.clone(), (*best)?)))
            .collect(),
        waiting,
    })
}

fn log(write: &Write) {
    match write {
        Write::Finalizer { present } => info!(present, "finalizer"),
        Write::Journal(chunk) => {
            info!(chunk = chunk.metadata.name, bytes = chunk.spec.records.len(), "journal");
        }
        Write::CreateJob { key, job } => info!(%key, job = job.metadata.name, "create Job"),
        Write::DeleteJob { key, name, .. } => info!(%key, job = name, "delete Job"),
        Write::DeletePod { name, .. } => warn!(pod = name, "delete pod by force"),
        Write::Event { reason, message, warning: true } => warn!(reason, message, "event"),
        Write::Event { reason, message, warning: false } => info!(reason, message, "event"),
        Write::Status(_) => tracing::debug!("status"),
    }
}

fn api<K>(client: &Client, namespace: Option<&str>) -> Api<K>
where
    K: Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + DeserializeOwned
        + Debug,
{
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}
