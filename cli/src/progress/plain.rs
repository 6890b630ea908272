//! Lines for logs and pipes: one when something has been reached, never more.

use mergesearch_search::Phase;

use super::{Moment, best, duration, number};
use crate::console::message;

/// Remembers what has been said.
#[derive(Debug)]
pub(super) struct Plain {
    objectives: Vec<String>,
    phase: Option<Phase>,
    generations: Option<usize>,
}

impl Plain {
    pub(super) const fn new(objectives: Vec<String>) -> Self {
        Self { objectives, phase: None, generations: None }
    }

    pub(super) fn update(&mut self, moment: &Moment<'_>) {
        let progress = &moment.progress;
        // A resumed run does not tell again what is over.
        let told = *self.generations.get_or_insert(moment.history.len());
        for summary in &moment.history[told.min(moment.history.len())..] {
            let fitness = summary.best.map_or_else(|| "none".to_owned(), number);
            let restart =
                if summary.restart == 0 { String::new() } else { format!(" (restart {})", summary.restart) };
            message(format_args!(
                "generation {}{restart}: best fitness {fitness}, sigma {:.3e}, front {}, hypervolume {:.4}; {}",
                summary.generation,
                summary.sigma,
                summary.front_size,
                summary.hypervolume,
                done(moment),
            ));
        }
        self.generations = Some(moment.history.len());
        if self.phase != Some(progress.phase) {
            self.phase = Some(progress.phase);
            match progress.phase {
                Phase::Baselines => message(format_args!("evaluating the baselines; {}", done(moment))),
                Phase::Generations => message(format_args!(
                    "searching from the best baseline (best so far: {}); {}",
                    best(&self.objectives, progress),
                    done(moment),
                )),
                Phase::FinalMean => message("evaluating the final mean"),
                Phase::Finals => message("scoring the finalists on test and held-out items"),
                Phase::Contribution => message("leaving checkpoints out of a merge, one at a time"),
                Phase::Ended => message(format_args!("ended: {}", done(moment))),
            }
        }
    }
}

fn done(moment: &Moment<'_>) -> String {
    let progress = &moment.progress;
    let ended = progress.succeeded + progress.failed;
    let failed = if progress.failed == 0 { String::new() } else { format!(", {} failed", progress.failed) };
    let remaining = match moment.remaining {
        Some(remaining) if progress.phase != Phase::Ended => format!(", about {} left", duration(remaining)),
        _ => String::new(),
    };
    format!("{ended} of {} trials{failed}{remaining}", progress.planned)
}
