//! The live display: a bar of trials, and below it what has been reached.

use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{Moment, best, duration, phase};

/// Trials named in the display; more are counted.
const NAMED: usize = 4;

/// Bars on standard error.
#[derive(Debug)]
pub(super) struct Terminal {
    bars: MultiProgress,
    trials: ProgressBar,
    reached: ProgressBar,
    running: ProgressBar,
    objectives: Vec<String>,
}

impl Terminal {
    pub(super) fn new(objectives: Vec<String>) -> Self {
        let bars = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        let colour = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let bar = if colour { "{bar:30.cyan/dim}" } else { "{bar:30}" };
        let trials = bars.add(ProgressBar::new(0));
        trials.set_style(style(&format!(
            "{{spinner}} {{prefix}} {bar} {{pos}}/{{len}} trials {{elapsed_precise}}{{msg}}"
        )));
        trials.enable_steady_tick(Duration::from_millis(200));
        let line = || {
            let line = bars.add(ProgressBar::new(0));
            line.set_style(style("  {wide_msg}"));
            line
        };
        let (reached, running) = (line(), line());
        Self { bars, trials, reached, running, objectives }
    }

    pub(super) fn update(&mut self, moment: &Moment<'_>) {
        let progress = &moment.progress;
        self.trials.set_length(progress.planned as u64);
        self.trials.set_position((progress.succeeded + progress.failed) as u64);
        self.trials.set_prefix(phase(progress));
        self.trials.set_message(
            moment.remaining.map_or_else(String::new, |left| format!(", about {} left", duration(left))),
        );
        let sigma = progress.sigma.map_or_else(String::new, |sigma| format!("  sigma {sigma:.3e}"));
        let failed =
            if progress.failed == 0 { String::new() } else { format!("  failed {}", progress.failed) };
        self.reached.set_message(format!(
            "best: {}  front {}  hypervolume {:.4}{sigma}{failed}",
            best(&self.objectives, progress),
            progress.front_size,
            progress.hypervolume,
        ));
        let more = moment.running.len().saturating_sub(NAMED);
        let mut running = moment.running[..moment.running.len() - more].join("  ");
        if more > 0 {
            running.extend(["  and ", &more.to_string(), " more"]);
        }
        self.running.set_message(if running.is_empty() {
            String::new()
        } else {
            format!("running: {running}")
        });
    }

    pub(super) fn since(&self, age: Duration) {
        // A search may be older than this machine's clock reaches back.
        if Instant::now().checked_sub(age).is_some() {
            let _ = self.trials.clone().with_elapsed(age);
        }
    }

    pub(super) fn note(&self, text: &str) {
        let _ = self.bars.println(text);
    }

    pub(super) fn finish(&self) {
        self.running.finish_and_clear();
        self.reached.finish();
        self.trials.finish();
    }
}

/// A template that is wrong would be seen at once; the default style stands in.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
