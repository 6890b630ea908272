//! The gauges of searches, held as data and turned into series when scraped: so a search's series are replaced as a
//! whole, and none outlives what it tells.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mergesearch_crds::TrialCounts;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{GaugeVec, Opts};

/// What is told of one search.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchGauges {
    /// The generation that runs; none before the first.
    pub generation: Option<i32>,
    /// The step size of CMA-ES, as a share of the search box; none before its first generation.
    pub sigma: Option<f64>,
    /// Trials on the Pareto front.
    pub front_size: usize,
    /// The front's hypervolume; none while there is no front to measure.
    pub hypervolume: Option<f64>,
    /// GPU-seconds used so far, those of running trials included.
    pub gpu_seconds: f64,
    /// Trials by state.
    pub trials: TrialCounts,
    /// Scores of the best trial: the objective's name and the value in its metric's unit.
    pub best: Vec<(String, f64)>,
    /// Why the search waits, when it does: one of the conditions' reasons.
    pub waiting: Option<&'static str>,
}

/// A search's namespace and name.
type Key = (String, String);

/// The collector. Clones share the gauges.
#[derive(Debug, Clone)]
pub(super) struct Searches(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    // The lock also keeps two scrapes from filling the families at once.
    gauges: Mutex<BTreeMap<Key, SearchGauges>>,
    families: Families,
}

#[derive(Debug)]
struct Families {
    generation: Family<0>,
    sigma: Family<0>,
    front_size: Family<0>,
    hypervolume: Family<0>,
    gpu_seconds: Family<0>,
    trials: Family<1>,
    best: Family<1>,
    waiting: Family<1>,
}

impl Searches {
    /// None yet.
    pub(super) fn new() -> Result<Self, prometheus::Error> {
        let families = Families {
            generation: Family::new("generation", "The generation that runs.", [])?,
            sigma: Family::new("sigma", "The step size of CMA-ES.", [])?,
            front_size: Family::new("front_size", "Trials on the Pareto front.", [])?,
            hypervolume: Family::new("hypervolume", "Hypervolume of the Pareto front.", [])?,
            gpu_seconds: Family::new("gpu_seconds", "GPU-seconds used, running trials included.", [])?,
            trials: Family::new("trials", "Trials by state.", ["state"])?,
            best: Family::new("best", "Score of the best trial by objective.", ["objective"])?,
            waiting: Family::new("waiting", "1 while the search waits for this reason.", ["reason"])?,
        };
        Ok(Self(Arc::new(Inner { gauges: Mutex::default(), families })))
    }

    pub(super) fn set(&self, namespace: &str, name: &str, gauges: SearchGauges) {
        self.lock().insert((namespace.to_owned(), name.to_owned()), gauges);
    }

    pub(super) fn remove(&self, namespace: &str, name: &str) {
        self.lock().remove(&(namespace.to_owned(), name.to_owned()));
    }

    pub(super) fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, SearchGauges>> {
        // Whole values are put in and taken out: a panic elsewhere leaves nothing half done.
        self.0.gauges.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Families {
    fn vectors(&self) -> [&GaugeVec; 8] {
        let Self { generation, sigma, front_size, hypervolume, gpu_seconds, trials, best, waiting } = self;
        [
            &generation.0,
            &sigma.0,
            &front_size.0,
            &hypervolume.0,
            &gpu_seconds.0,
            &trials.0,
            &best.0,
            &waiting.0,
        ]
    }

    fn fill(&self, search: &Key, gauges: &SearchGauges) {
        let SearchGauges { generation, sigma, front_size, hypervolume, gpu_seconds, trials, best, waiting } =
            gauges;
        if let Some(generation) = generation {
            self.generation.set(search, [], f64::from(*generation));
        }
        if let Some(sigma) = sigma {
            self.sigma.set(search, [], *sigma);
        }
        self.front_size.set(search, [], *front_size as f64);
        if let Some(hypervolume) = hypervolume {
            self.hypervolume.set(search, [], *hypervolume);
        }
        self.gpu_seconds.set(search, [], *gpu_seconds);
        let TrialCounts { planned, running, succeeded, failed } = trials;
        for (state, count) in
            [("planned", planned), ("running", running), ("succeeded", succeeded), ("failed", failed)]
        {
            self.trials.set(search, [state], f64::from(*count));
        }
        for (objective, value) in best {
            self.best.set(search, [objective], *value);
        }
        if let Some(reason) = waiting {
            self.waiting.set(search, [reason], 1.0);
        }
    }
}

impl Collector for Searches {
    fn desc(&self) -> Vec<&Desc> {
        self.0.families.vectors().into_iter().flat_map(Collector::desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let gauges = self.lock();
        for vector in self.0.families.vectors() {
            vector.reset();
        }
        for (search, gauges) in gauges.iter() {
            self.0.families.fill(search, gauges);
        }
        self.0.families.vectors().into_iter().flat_map(Collector::collect).collect()
    }
}

/// One metric with the labels of a search and `LABELS` more.
#[derive(Debug)]
struct Family<const LABELS: usize>(GaugeVec);

impl<const LABELS: usize> Family<LABELS> {
    fn new(name: &str, help: &str, labels: [&str; LABELS]) -> Result<Self, prometheus::Error> {
        let labels: Vec<&str> = ["namespace", "search"].into_iter().chain(labels).collect();
        GaugeVec::new(Opts::new(format!("mergesearch_search_{name}"), help), &labels).map(Self)
    }

    fn set(&self, (namespace, search): &Key, labels: [&str; LABELS], value: f64) {
        let values: Vec<&str> = [namespace.as_str(), search].into_iter().chain(labels).collect();
        // As many values as the constructor named labels: the type says so.
        self.0.with_label_values(&values).set(value);
    }
}
