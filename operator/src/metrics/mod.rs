//! What Prometheus is told: the course of every search, and how the operator itself does.

use std::time::Duration;

use prometheus::{
    Encoder as _, Histogram, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};

mod searches;

pub use searches::SearchGauges;
use searches::Searches;

/// The type of the exposition's text.
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// Seconds: most passes read caches only; one that writes waits for the API server.
const RECONCILE_BUCKETS: [f64; 10] = [0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Seconds, from one to a day: toy models evaluate in seconds, large ones on a full cluster queue for hours.
const TRIAL_BUCKETS: [f64; 12] =
    [1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 7200.0, 14400.0, 43200.0, 86400.0];

/// All metrics of one operator, in a registry of their own. Clones share the values.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Registry,
    searches: Searches,
    reconcile_duration: Histogram,
    reconcile_errors: IntCounterVec,
    trial_duration: HistogramVec,
    leader: IntGauge,
}

/// A part of a trial's way, as the label `phase` says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrialPhase {
    /// From the Job's creation to a running pod: admission, scheduling, images.
    Queued,
    /// The merge.
    Merge,
    /// Copying a candidate that other pods have merged.
    Fetch,
    /// The evaluator, and the template's own init containers before it.
    Evaluate,
    /// Reading and uploading the results.
    Report,
}

impl TrialPhase {
    /// The value of the label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Merge => "merge",
            Self::Fetch => "fetch",
            Self::Evaluate => "evaluate",
            Self::Report => "report",
        }
    }
}

impl Metrics {
    /// Metrics without searches and of a replica that does not lead. Fails only when two metrics have one name.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let searches = Searches::new()?;
        registry.register(Box::new(searches.clone()))?;

        let reconcile_duration = Histogram::with_opts(
            HistogramOpts::new(
                "mergesearch_reconcile_duration_seconds",
                "Duration of one pass over one search.",
            )
            .buckets(RECONCILE_BUCKETS.to_vec()),
        )?;
        registry.register(Box::new(reconcile_duration.clone()))?;
        let reconcile_errors = IntCounterVec::new(
            Opts::new(
                "mergesearch_reconcile_errors_total",
                "Passes that ended with an error, by its reason.",
            ),
            &["reason"],
        )?;
        registry.register(Box::new(reconcile_errors.clone()))?;
        let trial_duration = HistogramVec::new(
            HistogramOpts::new("mergesearch_trial_duration_seconds", "Duration of a trial's phases.")
                .buckets(TRIAL_BUCKETS.to_vec()),
            &["phase"],
        )?;
        registry.register(Box::new(trial_duration.clone()))?;
        let leader = IntGauge::new("mergesearch_leader", "Whether this replica leads: 1 or 0.")?;
        registry.register(Box::new(leader.clone()))?;
        let build_info = IntGaugeVec::new(
            Opts::new("mergesearch_build_info", "The operator's version; always 1."),
            &["version"],
        )?;
        build_info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        registry.register(Box::new(build_info))?;

        Ok(Self { registry, searches, reconcile_duration, reconcile_errors, trial_duration, leader })
    }

    /// Replaces all series of a search; those that it had and has no more vanish with the same scrape.
    pub fn set_search(&self, namespace: &str, name: &str, gauges: SearchGauges) {
        self.searches.set(namespace, name, gauges);
    }

    /// Forgets a search that was deleted. Nothing happens when it is not known.
    pub fn remove_search(&self, namespace: &str, name: &str) {
        self.searches.remove(namespace, name);
    }

    /// Forgets all searches: a replica that does not lead knows nothing of them.
    pub fn clear_searches(&self) {
        self.searches.clear();
    }

    /// A pass over a search has ended, well or not.
    pub fn reconciled(&self, took: Duration) {
        self.reconcile_duration.observe(took.as_secs_f64());
    }

    /// A pass has ended with an error of a reason, a word of a fixed list.
    pub fn reconcile_failed(&self, reason: &'static str) {
        self.reconcile_errors.with_label_values(&[reason]).inc();
    }

    /// A trial has left a phase.
    pub fn trial_phase_ended(&self, phase: TrialPhase, took: Duration) {
        self.trial_duration.with_label_values(&[phase.as_str()]).observe(took.as_secs_f64());
    }

    /// Whether this replica leads.
    pub fn set_leader(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    /// All series in Prometheus' text format, to be served as [`CONTENT_TYPE`].
    pub fn exposition(&self) -> Result<Vec<u8>, prometheus::Error> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use mergesearch_crds::TrialCounts;

    use super::*;

    fn exposition(metrics: &Metrics) -> Vec<String> {
        let text = String::from_utf8(metrics.exposition().unwrap()).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    /// The lines of one search.
    fn series(metrics: &Metrics, search: &str) -> Vec<String> {
        let label = format!("search=\"{search}\"");
        exposition(metrics).into_iter().filter(|line| line.contains(&label)).collect()
    }

    fn gauges() -> SearchGauges {
        SearchGauges {
            generation: Some(4),
            sigma: Some(0.25),
            front_size: 3,
            hypervolume: Some(0.5),
            gpu_seconds: 7200.0,
            trials: TrialCounts { planned: 5, running: 2, succeeded: 40, failed: 1 },
            best: vec![("math".to_owned(), 0.75), ("code \"hard\"".to_owned(), 0.5)],
            waiting: Some("Queued"),
        }
    }

    #[test]
    fn every_gauge_of_a_search_is_told() {
        let metrics = Metrics::new().unwrap();
        metrics.set_search("team", "recycle", gauges());
        insta::assert_snapshot!(series(&metrics, "recycle").join("\n"), @r#"
        mergesearch_search_best{namespace="team",objective="code \"hard\"",search="recycle"} 0.5
        mergesearch_search_best{namespace="team",objective="math",search="recycle"} 0.75
        mergesearch_search_front_size{namespace="team",search="recycle"} 3
        mergesearch_search_generation{namespace="team",search="recycle"} 4
        mergesearch_search_gpu_seconds{namespace="team",search="recycle"} 7200
        mergesearch_search_hypervolume{namespace="team",search="recycle"} 0.5
        mergesearch_search_sigma{namespace="team",search="recycle"} 0.25
        mergesearch_search_trials{namespace="team",search="recycle",state="failed"} 1
        mergesearch_search_trials{namespace="team",search="recycle",state="planned"} 5
        mergesearch_search_trials{namespace="team",search="recycle",state="running"} 2
        mergesearch_search_trials{namespace="team",search="recycle",state="succeeded"} 40
        mergesearch_search_waiting{namespace="team",reason="Queued",search="recycle"} 1
        "#);
    }

    #[test]
    fn series_that_a_search_has_no_more_vanish() {
        let metrics = Metrics::new().unwrap();
        metrics.set_search("team", "recycle", gauges());
        metrics.set_search("team", "other", gauges());
        let fewer = SearchGauges {
            sigma: None,
            hypervolume: None,
            best: vec![("math".to_owned(), 0.8)],
            waiting: Some("PodsRefused"),
            ..gauges()
        };
        metrics.set_search("team", "recycle", fewer);

        let lines = series(&metrics, "recycle");
        let named = |name: &str| lines.iter().filter(|line| line.starts_with(name)).collect::<Vec<_>>();
        assert!(named("mergesearch_search_sigma").is_empty());
        assert!(named("mergesearch_search_hypervolume").is_empty());
        assert_eq!(
            named("mergesearch_search_best"),
            [r#"mergesearch_search_best{namespace="team",objective="math",search="recycle"} 0.8"#]
        );
        assert_eq!(
            named("mergesearch_search_waiting"),
            [r#"mergesearch_search_waiting{namespace="team",reason="PodsRefused",search="recycle"} 1"#]
        );
        assert_eq!(series(&metrics, "other").len(), 12, "another search keeps its own");
    }

    #[test]
    fn a_removed_search_vanishes_and_its_namesake_stays() {
        let metrics = Metrics::new().unwrap();
        metrics.set_search("one", "recycle", gauges());
        metrics.set_search("two", "recycle", gauges());
        metrics.remove_search("one", "recycle");
        let lines = series(&metrics, "recycle");
        assert_eq!(lines.len(), 12);
        assert!(lines.iter().all(|line| line.contains(r#"namespace="two""#)), "{lines:?}");
        metrics.clear_searches();
        assert!(series(&metrics, "recycle").is_empty());
    }

    #[test]
    fn passes_phases_and_leadership_are_counted() {
        let metrics = Metrics::new().unwrap();
        let clone = metrics.clone();
        clone.reconciled(Duration::from_millis(30));
        clone.reconcile_failed("Conflict");
        clone.reconcile_failed("Conflict");
        clone.trial_phase_ended(TrialPhase::Evaluate, Duration::from_secs(4000));
        clone.set_leader(true);
        let lines = exposition(&metrics);
        for expected in [
            "mergesearch_reconcile_duration_seconds_count 1",
            "mergesearch_reconcile_duration_seconds_bucket{le=\"0.025\"} 0",
            "mergesearch_reconcile_duration_seconds_bucket{le=\"0.1\"} 1",
            "mergesearch_reconcile_errors_total{reason=\"Conflict\"} 2",
            "mergesearch_trial_duration_seconds_sum{phase=\"evaluate\"} 4000",
            "mergesearch_trial_duration_seconds_bucket{phase=\"evaluate\",le=\"3600\"} 0",
            "mergesearch_trial_duration_seconds_bucket{phase=\"evaluate\",le=\"7200\"} 1",
            "mergesearch_leader 1",
            concat!("mergesearch_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
        ] {
            assert!(lines.iter().any(|line| line == expected), "{expected} is not in {lines:#?}");
        }
    }
}
