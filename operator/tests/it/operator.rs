//! The operator in the simulation: passes over lagging caches, with crashes and failing writes.

use std::collections::{BTreeMap, BTreeSet};

use clap::Parser as _;
use mergesearch_crds::MergeSearch;
use mergesearch_operator::decide::{Decision, Memory, Reply, Write, decide, troubled};
use mergesearch_operator::observe::{JobView, Observed, PodView};
use mergesearch_operator::settings::Settings;
use rand_chacha::ChaCha8Rng;
use rand_core::Rng as _;

use crate::api::Api;
use crate::node::happens;

/// What may happen to the operator, each as one chance in so many at every write; 0 for never.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Faults {
    /// It is killed after a write.
    pub(crate) crash: u32,
    /// A write is not done.
    pub(crate) refusal: u32,
    /// A write is done, and its answer is lost.
    pub(crate) lost_answer: u32,
    /// Whether caches lag.
    pub(crate) lag: bool,
}

/// One process of the operator after another.
pub(crate) struct Operator {
    pub(crate) faults: Faults,
    pub(crate) crashes: u32,
    settings: Settings,
    memory: Memory,
    /// The search as its cache has it; versions of the other caches.
    search: MergeSearch,
    jobs: usize,
    pods: usize,
}

impl Operator {
    pub(crate) fn new(api: &Api, faults: Faults) -> Self {
        Self {
            faults,
            crashes: 0,
            settings: Settings::parse_from(["mergesearch-operator"]),
            memory: Memory::default(),
            search: api.search.clone(),
            jobs: api.jobs.version(),
            pods: api.pods.version(),
        }
    }

    /// Observe, decide, act. Gives the writes that were decided.
    pub(crate) fn pass(&mut self, api: &mut Api, random: &mut ChaCha8Rng) -> Vec<Write> {
        self.update_caches(api, random);
        let search = self.search.clone();
        let observed = self.observe(api, &search);
        let Decision { writes, .. } = decide(&mut self.memory, &observed, &self.settings);
        for write in &writes {
            if happens(random, self.faults.refusal) {
                if self.memory.answered(write, Reply::Failed) {
                    continue;
                }
                break;
            }
            let reply = api.apply(write);
            if happens(random, self.faults.crash) {
                self.crash(api);
                break;
            }
            let reply = if happens(random, self.faults.lost_answer) { Reply::Failed } else { reply };
            if !self.memory.answered(write, reply) {
                break;
            }
        }
        writes
    }

    /// A new process fills its caches anew.
    fn crash(&mut self, api: &Api) {
        self.crashes += 1;
        self.memory = Memory::default();
        self.search = api.search.clone();
        (self.jobs, self.pods) = (api.jobs.version(), api.pods.version());
    }

    /// Caches move forward, each as far as it likes.
    fn update_caches(&mut self, api: &Api, random: &mut ChaCha8Rng) {
        let mut forward = |from: usize, to: usize| {
            let left = to - from;
            if self.faults.lag && left > 0 { from + random.next_u32() as usize % (left + 1) } else { to }
        };
        self.jobs = forward(self.jobs, api.jobs.version());
        self.pods = forward(self.pods, api.pods.version());
        if !self.faults.lag || happens(random, 2) {
            self.search = api.search.clone();
        }
    }

    fn observe<'a>(&mut self, api: &Api, search: &'a MergeSearch) -> Observed<'a> {
        let jobs: Vec<JobView> = if self.memory.needs_journal() {
            let jobs = api.jobs.all().filter_map(JobView::of).collect();
            self.memory.read(search, api.journal.values().cloned().collect());
            jobs
        } else {
            api.jobs.at(self.jobs).filter_map(JobView::of).collect()
        };
        let mut observed = Observed {
            resource: search,
            jobs: jobs.into_iter().map(|job| (job.key.clone(), job)).collect(),
            pods: BTreeMap::new(),
            events: BTreeMap::new(),
            confirmed: BTreeSet::new(),
            now: api.now,
        };
        observed.add_pods(api.pods.at(self.pods).filter_map(PodView::of));
        for key in self.memory.unconfirmed(&observed) {
            let name = key.name("recycle", search.metadata.uid.as_deref().unwrap());
            match api.jobs.get(&name).and_then(JobView::of) {
                Some(job) => {
                    let pods = api.pods.all().filter_map(PodView::of).filter(|pod| pod.job_uid == job.uid);
                    observed.add_pods(pods.collect::<Vec<_>>());
                    observed.jobs.insert(key.clone(), job);
                }
                None => {
                    observed.jobs.remove(&key);
                }
            }
            observed.confirmed.insert(key);
        }
        for subject in troubled(&observed) {
            let events = api.about.get(&subject.uid).cloned().unwrap_or_default();
            observed.events.insert(subject.uid, events);
        }
        observed
    }
}
