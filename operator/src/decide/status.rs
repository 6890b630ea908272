//! `status`: a bounded summary, the same for the same state, so that it is written only when something has changed.

use mergesearch_crds::conditions::reason;
use mergesearch_crds::{
    BaselineScore, BestTrial, CheckpointWeight, FrontTrial, HeldOutScore, Measurement, MergeSearchStatus,
    ObjectiveScore, TrialCounts,
};
use mergesearch_search::judgement::{Verdict, called};
use mergesearch_search::results::Measurement as Measured;
use mergesearch_search::{Phase, Progress, Row, Search, TrialId};

use super::Pass;

/// The most members of the front that the status lists.
const MOST_FRONT: usize = 64;
/// The most weights of the best merge that the status lists.
const MOST_WEIGHTS: usize = 256;
/// The most baselines that the status lists.
const MOST_BASELINES: usize = 320;
const SECONDS_PER_HOUR: f64 = 3600.0;

impl Pass<'_> {
    /// The status to write; `None` when the cluster has it already.
    pub(super) fn summary(&mut self) -> Option<MergeSearchStatus> {
        let before = self.memory.status(self.observed.resource);
        let mut status = self.status.clone();
        status.observed_generation = self.observed.resource.metadata.generation;
        status.conditions = self.conditions.clone().into_list();
        if let Some(search) = self.memory.search() {
            let progress = search.progress();
            let generation = count(search.history().len());
            // Between generations it would only jitter.
            let due = status.estimated_completion_time.is_none() || status.generation != Some(generation);
            if progress.phase == Phase::Ended {
                status.estimated_completion_time = None;
            } else if due {
                status.estimated_completion_time = self.estimate().map(super::IntoTime::into_time);
            }
            status.generation = Some(generation);
            fill(&mut status, search, &progress);
        }
        if let Some(journal) = self.memory.journal() {
            status.journal = journal.names().to_vec();
        }
        (status != before).then_some(status)
    }

    /// What the search is doing, as reason and sentence.
    pub(super) fn phase(&self) -> (&'static str, String) {
        let Some(search) = self.memory.search() else {
            return (reason::VERIFYING, "the pool is being verified".to_owned());
        };
        let Progress { phase, generation, succeeded, failed, planned, .. } = search.progress();
        let counts = match failed {
            0 => format!("{succeeded} of about {planned} trials succeeded"),
            failed => format!("{succeeded} of about {planned} trials succeeded, {failed} failed"),
        };
        match phase {
            Phase::Baselines => (reason::BASELINES, format!("baselines are evaluated; {counts}")),
            Phase::Generations => (reason::SEARCHING, format!("generation {generation}; {counts}")),
            Phase::FinalMean => (reason::SEARCHING, format!("the final mean is evaluated; {counts}")),
            Phase::Finals => (reason::FINAL_SCORES, format!("the finalists are scored; {counts}")),
            Phase::Contribution => {
                (reason::CONTRIBUTION, format!("checkpoints are left out one at a time; {counts}"))
            }
            Phase::Ended => (reason::PUBLISHING, "the best merges are published".to_owned()),
        }
    }
}

fn fill(status: &mut MergeSearchStatus, search: &Search, progress: &Progress) {
    status.sigma = progress.sigma.map(shown);
    let started = progress.running + progress.succeeded + progress.failed;
    status.trials = TrialCounts {
        planned: count(progress.planned.saturating_sub(started)),
        running: count(progress.running),
        succeeded: count(progress.succeeded),
        failed: count(progress.failed),
    };
    status.gpu_hours = Some(shown(search.gpu_seconds() / SECONDS_PER_HOUR));
    status.front_size = Some(count(progress.front_size));
    status.hypervolume = Some(shown(progress.hypervolume));
    status.best = search.best().and_then(|id| search.row(&id)).and_then(|row| best(search, &row));
    status.judgement = judgement(search);
    status.front = front(search);
    // The greedy soup's attempts are steps on the way to one baseline.
    let greedy = search.greedy_soup();
    let counts = |id: &&TrialId| !matches!(id, TrialId::Greedy(_)) || Some(*id) == greedy.as_ref();
    status.baselines = search
        .search_trials()
        .filter(|id| id.is_baseline())
        .filter(counts)
        .filter(|id| search.has_ended(id))
        .filter_map(|id| search.row(id))
        .map(|row| baseline(search, &row))
        .take(MOST_BASELINES)
        .collect();
}

/// The operator reads no object storage, so the difference comes from the metrics' own errors.
fn judgement(search: &Search) -> Option<String> {
    let verdict = Verdict::of(search, &|_, _, _| None)?;
    let sentence = verdict.sentence(&called(search, &verdict.baseline));
    Some(verdict.doubt().map_or_else(|| sentence.clone(), |doubt| format!("{sentence}. Careful: {doubt}")))
}

fn best(search: &Search, row: &Row) -> Option<BestTrial> {
    let several = row.recipe.groups.len() > 1;
    let names: Vec<&str> = row.recipe.checkpoints.iter().map(|checkpoint| checkpoint.name.as_str()).collect();
    let groups = row.recipe.groups.iter().enumerate();
    let mut weights: Vec<CheckpointWeight> = groups
        .flat_map(|(index, group)| {
            names.iter().zip(&group.weights).map(move |(name, &weight)| CheckpointWeight {
                checkpoint: (*name).to_owned(),
                group: several.then(|| count(index)),
                weight,
            })
        })
        .collect();
    if weights.len() > MOST_WEIGHTS {
        weights.sort_by(|one, other| other.weight.abs().total_cmp(&one.weight.abs()));
        weights.truncate(MOST_WEIGHTS);
    }
    Some(BestTrial {
        trial: row.trial.to_string(),
        fitness: shown(row.fitness?),
        scores: objectives(search, row),
        held_out: held_out(search, row),
        weights,
    })
}

fn baseline(search: &Search, row: &Row) -> BaselineScore {
    BaselineScore {
        name: row.trial.to_string(),
        fitness: row.fitness.map(shown),
        scores: objectives(search, row),
        held_out: held_out(search, row),
    }
}

/// The front, or members spread evenly over it when it has too many: always with both ends.
fn front(search: &Search) -> Vec<FrontTrial> {
    let mut rows: Vec<Row> = search.front().iter().filter_map(|id| search.row(id)).collect();
    if rows.len() > MOST_FRONT {
        let first = |row: &Row| row.search.first().map_or(f64::NAN, |measured| measured.value);
        rows.sort_by(|one, other| first(one).total_cmp(&first(other)));
        let last = rows.len() - 1;
        let chosen: Vec<usize> = (0..MOST_FRONT).map(|index| index * last / (MOST_FRONT - 1)).collect();
        rows = chosen.into_iter().map(|index| rows[index].clone()).collect();
    }
    rows.iter()
        .map(|row| FrontTrial { trial: row.trial.to_string(), scores: objectives(search, row) })
        .collect()
}

fn objectives(search: &Search, row: &Row) -> Vec<ObjectiveScore> {
    let named = search.config().objectives.iter().enumerate();
    named
        .map(|(index, objective)| ObjectiveScore {
            name: objective.name.clone(),
            search: row.search.get(index).map(measurement),
            test: row.test.get(index).map(measurement),
        })
        .collect()
}

fn held_out(search: &Search, row: &Row) -> Vec<HeldOutScore> {
    let named = search.config().held_out.iter().zip(&row.held_out);
    named
        .map(|(held_out, &Measured { value, stderr, .. })| HeldOutScore {
            name: held_out.name.clone(),
            value,
            stderr,
        })
        .collect()
}

/// A merge's scores for its model card: names and values as text.
pub(super) fn card(search: &Search, id: &TrialId) -> Vec<(String, String)> {
    let Some(row) = search.row(id) else { return Vec::new() };
    let text = |measured: &Measured| match measured.stderr {
        Some(stderr) => format!("{:.4} ± {stderr:.4}", measured.value),
        None => format!("{:.4}", measured.value),
    };
    let config = search.config();
    let of_stage = |stage: &str, scores: &[Measured]| -> Vec<(String, String)> {
        let named = config.objectives.iter().zip(scores);
        named.map(|(objective, score)| (format!("{} ({stage})", objective.name), text(score))).collect()
    };
    let mut scores = of_stage("search", &row.search);
    scores.extend(of_stage("test", &row.test));
    let held_out = config.held_out.iter().zip(&row.held_out);
    scores.extend(held_out.map(|(held_out, score)| (format!("{} (held out)", held_out.name), text(score))));
    scores
}

/// A derived number without the noise of its last bits, which `kubectl get` would show: 0.773 for 0.7729999999999999.
fn shown(number: f64) -> f64 {
    format!("{number:.11e}").parse().unwrap_or(number)
}

fn measurement(&Measured { value, stderr, .. }: &Measured) -> Measurement {
    Measurement { value, stderr }
}

fn count(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
