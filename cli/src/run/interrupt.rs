//! Ctrl-C and SIGTERM: the first stops the run in order, whatever it is doing.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Listens from the start, so that no signal is missed.
#[derive(Debug)]
pub(crate) struct Interrupt {
    from_terminal: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Interrupt {
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self {
            from_terminal: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// The name of the next signal.
    pub(crate) async fn received(&mut self) -> &'static str {
        tokio::select! {
            _ = self.from_terminal.recv() => "Ctrl-C",
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.hangup.recv() => "SIGHUP",
        }
    }
}
