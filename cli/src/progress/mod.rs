//! What a person sees while a search runs: a live display on a terminal, plain lines elsewhere.

mod plain;
mod terminal;

use std::collections::BTreeSet;
use std::io::{self, IsTerminal};
use std::time::Duration;

use mergesearch_search::{GenerationSummary, Phase, Progress};

use self::plain::Plain;
use self::terminal::Terminal;

/// How a search stands.
#[derive(Debug)]
pub(crate) struct Moment<'a> {
    /// The search's own account.
    pub(crate) progress: Progress,
    /// The running trials.
    pub(crate) running: Vec<String>,
    /// Closed generations.
    pub(crate) history: &'a [GenerationSummary],
    /// How long the rest will take, once that can be told.
    pub(crate) remaining: Option<Duration>,
}

/// The display of one run, on standard error.
#[derive(Debug)]
pub(crate) struct Display {
    warned: BTreeSet<String>,
    form: Form,
}

#[derive(Debug)]
enum Form {
    Terminal(Terminal),
    Plain(Plain),
}

impl Display {
    /// Chooses the form: live when standard error is a terminal.
    pub(crate) fn new(objectives: Vec<String>) -> Self {
        let live = io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        if !live {
            return Self::plain(objectives);
        }
        Self { warned: BTreeSet::new(), form: Form::Terminal(Terminal::new(objectives)) }
    }

    /// Plain lines, wherever they go.
    pub(crate) const fn plain(objectives: Vec<String>) -> Self {
        Self { warned: BTreeSet::new(), form: Form::Plain(Plain::new(objectives)) }
    }

    /// How long the search has been running when it is first shown.
    pub(crate) fn since(&self, age: Option<Duration>) {
        if let (Form::Terminal(terminal), Some(age)) = (&self.form, age) {
            terminal.since(age);
        }
    }

    /// Shows how the search stands now.
    pub(crate) fn update(&mut self, moment: &Moment<'_>) {
        match &mut self.form {
            Form::Terminal(terminal) => terminal.update(moment),
            Form::Plain(plain) => plain.update(moment),
        }
    }

    /// Says a sentence beside the display.
    pub(crate) fn note(&self, text: &str) {
        match &self.form {
            Form::Terminal(terminal) => terminal.note(text),
            Form::Plain(_) => crate::console::message(text),
        }
    }

    /// Says a warning, each one once.
    pub(crate) fn warn(&mut self, warning: String) {
        if !self.warned.contains(&warning) {
            self.note(&format!("warning: {warning}"));
            self.warned.insert(warning);
        }
    }

    /// Leaves the last state on the screen.
    pub(crate) fn finish(&self) {
        if let Form::Terminal(terminal) = &self.form {
            terminal.finish();
        }
    }
}

/// What the search is doing, in words.
fn phase(progress: &Progress) -> String {
    match progress.phase {
        Phase::Baselines => "baselines".to_owned(),
        Phase::Generations => format!("generation {}", progress.generation),
        Phase::FinalMean => "final mean".to_owned(),
        Phase::Finals => "final scores".to_owned(),
        Phase::Contribution => "contribution".to_owned(),
        Phase::Ended => "ended".to_owned(),
    }
}

/// The best value of each objective so far.
fn best(objectives: &[String], progress: &Progress) -> String {
    let parts: Vec<String> = objectives
        .iter()
        .zip(&progress.best)
        .filter_map(|(name, value)| Some(format!("{name} {}", number((*value)?))))
        .collect();
    if parts.is_empty() { "-".to_owned() } else { parts.join("  ") }
}

/// A value with as many digits as a person wants.
fn number(value: f64) -> String {
    if value.abs() < 10.0 { format!("{value:.4}") } else { format!("{value:.2}") }
}

/// A duration in its two largest units.
pub(crate) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0, seconds) => format!("{seconds}s"),
        (0, 0, minutes, seconds) => format!("{minutes}m {seconds:02}s"),
        (0, hours, minutes, _) => format!("{hours}h {minutes:02}m"),
        (days, hours, _, _) => format!("{days}d {hours}h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_short() {
        for (seconds, expected) in [(7, "7s"), (67, "1m 07s"), (3_720, "1h 02m"), (180_000, "2d 2h")] {
            assert_eq!(duration(Duration::from_secs(seconds)), expected);
        }
    }
}
