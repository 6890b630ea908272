//! The one place that writes to standard error.

use std::fmt::Display;
use std::io::{self, Write};

/// Writes a message about the work; nothing can be done when that fails.
pub(crate) fn message(text: impl Display) {
    let _closed = writeln!(io::stderr().lock(), "{text}");
}
