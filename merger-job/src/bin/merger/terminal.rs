//! What reaches the terminal: results on standard output, everything else on standard error, and signals back.

use std::io::Write;

use mergesearch_merger::printable;
use tokio::signal::unix::{SignalKind, signal};

/// Prints a result. A reader that went away (a closed pipe) is no error.
pub(crate) fn print(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// Prints a message beside the result.
pub(crate) fn note(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", printable(text));
}

/// Prints why there is no result.
pub(crate) fn complain(text: &str) {
    note(&format!("merger: {text}"));
}

/// Listens from now on for the process to be asked to end, by Ctrl-C or a pod's termination; ready when it is. To be called
/// before the work begins: until then a signal ends the process with nothing said.
pub(crate) fn interruption() -> impl Future<Output = ()> {
    let signals = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
    async move {
        match signals {
            (Ok(mut interrupt), Ok(mut terminate)) => {
                tokio::select! {
                    _ = interrupt.recv() => (),
                    _ = terminate.recv() => (),
                }
            }
            // Without handlers the signals end the process as ever.
            _ => std::future::pending().await,
        }
    }
}
