//! The one place that writes to standard output and standard error.

use std::fmt::Display;
use std::io::{self, Write};

/// Writes results. A reader that has gone away (`| head`) is no fault.
///
/// # Errors
/// When standard output can't be written for another reason, for instance a full disk.
pub(crate) fn output(text: impl Display) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match write!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Writes a message about the work; nothing can be done when that fails.
pub(crate) fn message(text: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}
