//! The course of a search: what the best so far was after how many evaluations.

use mergesearch_search::TrialId;

use crate::finished::Evaluation;
use crate::statistics::median;

/// Half a point.
const NEAR: f64 = 0.005;

/// A search after a generation.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// 0 for the baselines before the first generation.
    pub generation: u32,
    /// Evaluations so far.
    pub evaluations: usize,
    /// The best search fitness so far.
    pub best: f64,
    /// The trial that has it.
    pub trial: String,
    /// Median search fitness of the generation.
    pub median: Option<f64>,
}

/// How many evaluations some things took, counted from the first baseline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effort {
    /// Until a candidate was better than every baseline; `None` when none was.
    pub beats_baselines: Option<usize>,
    /// Until the best was within half a point of the final best.
    pub within_half_point: usize,
    /// Until the final best.
    pub last_improvement: usize,
}

/// The generation of a trial, 0 for baselines; `None` for the final mean.
fn generation(trial: &TrialId) -> Option<u32> {
    match trial {
        TrialId::Candidate { generation, .. } => Some(*generation),
        TrialId::Mean { .. } | TrialId::Final(_) => None,
        _ => Some(0),
    }
}

/// The steps of a search, from its evaluations in order.
pub fn generations(evaluations: &[Evaluation]) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut best: Option<&Evaluation> = None;
    let mut values: Vec<f64> = Vec::new();
    for (index, evaluation) in evaluations.iter().enumerate() {
        let Some(number) = generation(&evaluation.trial) else { continue };
        if best.is_none_or(|best| evaluation.fitness > best.fitness) {
            best = Some(evaluation);
        }
        if steps.last().is_none_or(|step| step.generation != number) {
            values.clear();
        } else {
            steps.pop();
        }
        values.push(evaluation.fitness);
        if let Some(best) = best {
            steps.push(Step {
                generation: number,
                evaluations: index + 1,
                best: best.fitness,
                trial: best.trial.to_string(),
                median: median(&values),
            });
        }
    }
    steps
}

/// How many evaluations it took. `baseline` is the search fitness of the best baseline. `None` without evaluations.
pub fn effort(evaluations: &[Evaluation], baseline: f64) -> Option<Effort> {
    let last = evaluations.iter().map(|evaluation| evaluation.fitness).max_by(f64::total_cmp)?;
    let first =
        |reached: &dyn Fn(&Evaluation) -> bool| evaluations.iter().position(reached).map(|index| index + 1);
    Some(Effort {
        beats_baselines: first(&|evaluation| {
            !evaluation.trial.is_baseline() && evaluation.fitness > baseline
        }),
        within_half_point: first(&|evaluation| evaluation.fitness >= last - NEAR)?,
        last_improvement: first(&|evaluation| evaluation.fitness >= last)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evaluations() -> Vec<Evaluation> {
        let trials = [
            ("single-a", 0.5),
            ("uniform", 0.25),
            ("g0001-c000", 0.375),
            ("g0001-c001", 0.75),
            ("g0002-c000", 0.752),
            ("g0002-c001", 0.5),
            ("mean-g0002", 0.753),
        ];
        trials.map(|(trial, fitness)| Evaluation { trial: trial.parse().unwrap(), fitness }).to_vec()
    }

    #[test]
    fn a_step_is_a_generation_with_the_best_so_far() {
        let steps = generations(&evaluations());
        let seen: Vec<_> =
            steps.iter().map(|step| (step.generation, step.evaluations, step.trial.as_str())).collect();
        assert_eq!(seen, [(0, 2, "single-a"), (1, 4, "g0001-c001"), (2, 6, "g0002-c000")]);
        let medians: Vec<_> = steps.iter().map(|step| step.median).collect();
        assert_eq!(medians, [Some(0.375), Some(0.5625), Some(0.626)]);
    }

    #[test]
    fn effort_counts_from_the_first_baseline() {
        let effort = effort(&evaluations(), 0.6).unwrap();
        assert_eq!(effort, Effort { beats_baselines: Some(4), within_half_point: 4, last_improvement: 7 });
        assert_eq!(super::effort(&evaluations(), 0.8).unwrap().beats_baselines, None);
        assert_eq!(super::effort(&[], 0.5), None);
    }
}
