//! Shows how far a merge is: a bar on a terminal, a line now and then elsewhere.

use std::time::Duration;

use bytesize::ByteSize;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use mergesearch_merger::Progress;

use crate::terminal::note;

/// Between two lines where there's no terminal.
const LINE_EVERY: Duration = Duration::from_secs(15);
/// Between two looks at the counters on a terminal.
const DRAW_EVERY: Duration = Duration::from_millis(100);

/// Runs the work, for instance `merging`, while its progress is shown on standard error.
pub(crate) async fn watch<T>(progress: &Progress, doing: &str, work: impl Future<Output = T>) -> T {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    let template = format!("{doing} {{wide_bar}} {{bytes}}/{{total_bytes}} {{bytes_per_sec}} {{eta}}");
    if let Ok(style) = ProgressStyle::with_template(&template) {
        bar.set_style(style);
    }
    let mut ticks = tokio::time::interval(if bar.is_hidden() { LINE_EVERY } else { DRAW_EVERY });
    // The first tick comes at once.
    ticks.tick().await;
    tokio::pin!(work);
    loop {
        tokio::select! {
            outcome = &mut work => {
                bar.finish_and_clear();
                return outcome;
            }
            _ = ticks.tick() => show(&bar, progress, doing),
        }
    }
}

fn show(bar: &ProgressBar, progress: &Progress, doing: &str) {
    if progress.to_write() == 0 {
        return;
    }
    if bar.is_hidden() {
        let size = |bytes: u64| ByteSize(bytes).display().si();
        note(&format!(
            "{doing}: {} of {} read, {} of {} written",
            size(progress.read()),
            size(progress.to_read()),
            size(progress.written()),
            size(progress.to_write())
        ));
    } else {
        bar.set_length(progress.to_read() + progress.to_write());
        bar.set_position(progress.read() + progress.written());
    }
}
