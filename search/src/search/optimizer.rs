//! CMA-ES within a search: generations open when the budget has room for them and close when their results are in.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Search;
use crate::archive::Archive;
use crate::cma::{Cma, Evaluated, StopReason};
use crate::fitness::oriented;
use crate::problem::Problem;
use crate::random::Stream;
use crate::trial::{TrialId, TrialOutcome};

/// Ranks every infeasible candidate behind every feasible one; fitness values are far smaller.
const INFEASIBLE: f64 = 1e9;
/// So many generations in a row that consist of duplicates only end the search: the distribution has collapsed.
const DUPLICATE_GENERATIONS: u32 = 2;

/// The state of the optimiser between and during generations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Optimizer {
    cma: Cma,
    restart: u32,
    /// Closed generations since the last restart.
    closed: u32,
    /// The front as it stood when the open generation opened, oriented; `None` between generations.
    open: Option<Vec<Vec<f64>>>,
    /// Rounds 0 and 1 and closed generations. Unlike the search's archive it does not depend on how fast the greedy
    /// lane is, so the fitness does not either.
    archive: Archive,
    duplicate_generations: u32,
    ended: Option<EndReason>,
    history: Vec<GenerationSummary>,
}

/// Why nothing more is searched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum EndReason {
    /// Another generation does not fit `maxTrials`.
    MaxTrials,
    /// Another generation does not fit the GPU budget.
    GpuBudget,
    /// The time is over.
    Time,
    /// CMA-ES has converged.
    Converged(StopReason),
    /// Generations of duplicates only: the distribution has collapsed.
    Duplicates,
}

impl fmt::Display for EndReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MaxTrials => formatter.write_str("the trial budget is used up"),
            Self::GpuBudget => formatter.write_str("the GPU budget is used up"),
            Self::Time => formatter.write_str("the time is over"),
            Self::Converged(reason) => write!(formatter, "converged: {reason}"),
            Self::Duplicates => formatter.write_str("converged: new candidates only repeat earlier ones"),
        }
    }
}

/// What a closed generation came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GenerationSummary {
    /// 0 until CMA-ES restarts.
    pub restart: u32,
    /// From 1.
    pub generation: u32,
    /// Step size after the update.
    pub sigma: f64,
    /// Best fitness in the generation, larger is better; `None` when every candidate failed or was infeasible.
    pub best: Option<f64>,
    /// Size of the front of rounds 0 and 1 and the generations so far.
    pub front_size: usize,
    /// Hypervolume of that front.
    pub hypervolume: f64,
}

impl Optimizer {
    /// A distribution around a start, with the population doubled for each restart.
    pub(super) fn new(problem: &Problem, start: &[f64], restart: u32) -> Option<Self> {
        Some(Self {
            cma: problem.distribution(start, restart)?,
            restart,
            closed: 0,
            open: None,
            archive: Archive::default(),
            duplicate_generations: 0,
            ended: None,
            history: Vec::new(),
        })
    }

    /// Closes and opens generations as far as results and budget allow.
    pub(super) fn advance(&mut self, search: &Search) {
        if self.history.is_empty() && self.open.is_none() {
            let rounds = search.round_zero().into_iter().chain(search.round_one().unwrap_or_default());
            self.enter(search, &rounds.collect::<Vec<_>>());
        }
        loop {
            match self.open.take() {
                Some(front) => {
                    let Some(members) = self.closing(search) else {
                        self.open = Some(front);
                        return;
                    };
                    self.close(search, &members, &front);
                }
                None if self.may_open(search) => {
                    let front = self.archive.members().map(|(_, point)| point.to_vec()).collect();
                    self.open = Some(front);
                }
                None => return,
            }
        }
    }

    fn may_open(&mut self, search: &Search) -> bool {
        if search.time_exhausted {
            return false;
        }
        if matches!(self.ended, Some(EndReason::Converged(_)))
            && self.restart < search.config().restarts
            && search.affords(2 * self.cma.population_size())
            && let Some(restarted) = Self::new(&search.problem, &search.start_weights(), self.restart + 1)
        {
            let Self { archive, history, .. } = std::mem::replace(self, restarted);
            self.archive = archive;
            self.history = history;
        }
        self.ended.is_none() && search.affords(self.cma.population_size())
    }

    fn candidate(&self, index: u32) -> TrialId {
        TrialId::Candidate { restart: self.restart, generation: self.closed + 1, index }
    }

    /// The members that close the open generation, by index. With the barrier: its own population. Without: those
    /// whose results came first.
    fn closing(&self, search: &Search) -> Option<Vec<TrialId>> {
        let population = self.cma.population_size();
        let ended = |id: TrialId| Some((search.ending(&id)?.order, id));
        if search.config().barrier {
            return (0..population as u32).map(|index| Some(ended(self.candidate(index))?.1)).collect();
        }
        let issued = (0..).map(|index| self.candidate(index)).take_while(|id| search.trial(id).is_some());
        let mut members: Vec<(usize, TrialId)> = issued.filter_map(ended).collect();
        members.sort();
        members.truncate(population);
        let mut members: Vec<TrialId> = members.into_iter().map(|(_, id)| id).collect();
        members.sort();
        (members.len() == population).then_some(members)
    }

    fn close(&mut self, search: &Search, members: &[TrialId], opening_front: &[Vec<f64>]) {
        let evaluated = self.evaluate(search, members, opening_front);
        let best = evaluated
            .iter()
            .map(|member| -member.fitness)
            .filter(|fitness| *fitness > -INFEASIBLE)
            .max_by(f64::total_cmp);
        // A whole generation of finite samples is always accepted; a refusal would end the search as converged.
        let told = self.cma.tell(&evaluated).is_ok();
        self.closed += 1;
        self.enter(search, members);
        let all_duplicates =
            members.iter().all(|id| search.trial(id).is_some_and(|state| state.duplicate_of.is_some()));
        self.duplicate_generations = if all_duplicates { self.duplicate_generations + 1 } else { 0 };
        self.ended = if self.duplicate_generations >= DUPLICATE_GENERATIONS || !told {
            Some(EndReason::Duplicates)
        } else {
            self.cma.stop().map(EndReason::Converged)
        };
        let front: Vec<Vec<f64>> = self.archive.members().map(|(_, point)| point.to_vec()).collect();
        self.history.push(GenerationSummary {
            restart: self.restart,
            generation: self.closed,
            sigma: self.cma.sigma(),
            best,
            front_size: front.len(),
            hypervolume: search.yardstick.as_ref().map_or(0.0, |yardstick| yardstick.hypervolume(&front)),
        });
    }

    /// What CMA-ES minimises: the negative fitness; behind every feasible candidate the infeasible ones by their
    /// violation; failed ones last. Under `nonNegative`, the distance to the projection is charged in units of the
    /// generation's spread, in this ranking only.
    fn evaluate(&self, search: &Search, members: &[TrialId], opening_front: &[Vec<f64>]) -> Vec<Evaluated> {
        let objectives = &search.config().objectives;
        let ranked: Vec<f64> = members
            .iter()
            .map(|id| match (search.search_scores(id), &search.yardstick) {
                (Some(scores), Some(yardstick)) => match yardstick.violation(objectives, scores) {
                    violation if violation > 0.0 => INFEASIBLE + violation,
                    _ => -yardstick.ranking(search.config(), scores, opening_front),
                },
                _ => f64::INFINITY,
            })
            .collect();
        let charge = interquartile_range(ranked.iter().copied().filter(|value| *value < INFEASIBLE))
            / (self.cma.mean().len() as f64 * self.cma.sigma() * self.cma.sigma());
        members
            .iter()
            .zip(ranked)
            .filter_map(|(id, fitness)| {
                let x = search.trial(id)?.vector.clone()?;
                let distance = search.problem.squared_projection_distance(&x);
                let fitness = if fitness.is_finite() { fitness + charge * distance } else { fitness };
                Some(Evaluated { x, fitness })
            })
            .collect()
    }

    fn enter(&mut self, search: &Search, ids: &[TrialId]) {
        for id in ids {
            if let (Some(_), Some(scores)) = (search.fitness(id), search.search_scores(id)) {
                self.archive.insert(id.to_string(), oriented(&search.config().objectives, scores));
            }
        }
    }

    /// The next candidate to issue, with its sample.
    pub(super) fn next_candidate(&self, search: &Search) -> Option<(TrialId, Vec<f64>)> {
        self.open.as_ref()?;
        let index = (0..u32::MAX).find(|&index| search.trial(&self.candidate(index)).is_none())?;
        let inside = (index as usize) < self.cma.population_size();
        if !inside && (search.config().barrier || !search.affords(1)) {
            return None;
        }
        let id = self.candidate(index);
        let sample = self.cma.sample(&mut Stream::new(search.config().seed, &id.to_string()));
        Some((id, sample))
    }

    /// Whether a generation waits for results.
    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Why no further generation opened, when CMA-ES itself has ended.
    pub(super) fn ended(&self) -> Option<&EndReason> {
        self.ended.as_ref()
    }

    /// The trial of the distribution's mean, once a generation has closed.
    pub(super) fn mean(&self) -> Option<(TrialId, Vec<f64>)> {
        let id = TrialId::Mean { restart: self.restart, generation: self.closed };
        (self.closed > 0).then(|| (id, self.cma.mean().to_vec()))
    }

    pub(super) fn sigma(&self) -> f64 {
        self.cma.sigma()
    }

    pub(super) fn population_size(&self) -> usize {
        self.cma.population_size()
    }

    pub(super) fn history(&self) -> &[GenerationSummary] {
        &self.history
    }

    /// The generation that is open, or the last one closed.
    pub(super) fn generation(&self) -> u32 {
        self.closed + u32::from(self.open.is_some())
    }
}

/// Difference between the third and the first quartile (nearest rank); 0 for fewer than two values.
fn interquartile_range(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    let quartile =
        |share: f64| sorted.get((share * (sorted.len().saturating_sub(1)) as f64) as usize).copied();
    match (quartile(0.25), quartile(0.75)) {
        (Some(first), Some(third)) => third - first,
        _ => 0.0,
    }
}

impl Search {
    /// Whether so many further search trials fit the budget, with what the greedy lane and the final mean may still
    /// take kept back. Duplicates are free.
    pub(super) fn affords(&self, more: usize) -> bool {
        self.affords_trials(more) && self.affords_gpu(more)
    }

    /// The greedy lane counts in full from the start, however far it is: no generation depends on how fast it runs.
    pub(super) fn affords_trials(&self, more: usize) -> bool {
        let used = self.evaluations().filter(|id| !matches!(id, TrialId::Greedy(_))).count();
        let final_mean = 1;
        used + more + self.greedy_steps() + final_mean <= self.config().budget.max_trials
    }

    fn affords_gpu(&self, more: usize) -> bool {
        let budget = &self.config().budget;
        let Some(allowed) = budget.max_gpu_seconds else { return true };
        let spent: f64 =
            self.trials.iter().filter_map(|state| Some(state.ending.as_ref()?.gpu_seconds)).sum();
        let greedy_left = self.greedy_steps()
            - self
                .evaluations()
                .filter(|id| matches!(id, TrialId::Greedy(_)))
                .count()
                .min(self.greedy_steps());
        let coming = self.running().count() + more + greedy_left + 1 + self.most_finals();
        spent + coming as f64 * budget.trial_gpu_seconds <= allowed
    }

    /// Search trials that count against `maxTrials`.
    pub(super) fn evaluations(&self) -> impl Iterator<Item = &TrialId> {
        self.trials
            .iter()
            .filter(|state| state.duplicate_of.is_none() && state.id.is_of_search())
            .map(|state| &state.id)
    }

    /// How many trials ended in each way: succeeded, failed.
    pub(super) fn counts(&self) -> (usize, usize) {
        let endings = self.trials.iter().filter_map(|state| state.ending.as_ref());
        let (succeeded, failed): (Vec<_>, Vec<_>) =
            endings.partition(|ending| matches!(ending.outcome, TrialOutcome::Succeeded(_)));
        (succeeded.len(), failed.len())
    }
}
