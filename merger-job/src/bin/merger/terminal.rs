//! What reaches the terminal: results on standard output, everything else on standard error, and signals back.

use std::io::Write;

use tokio::signal::unix::{SignalKind, signal};

/// Prints a result. A reader that went away (a closed pipe) is no error.
pub(crate) fn print(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// Prints a message beside the result.
pub(crate) fn note(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", escaped(text));
}

/// Prints why there is no result.
pub(crate) fn complain(text: &str) {
    note(&format!("merger: {text}"));
}

/// The text without control characters: names and server messages may hold some that would drive the terminal.
pub(crate) fn escaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() && character != '\n' {
            plain.extend(character.escape_default());
        } else {
            plain.push(character);
        }
    }
    plain
}

/// Returns when the process is asked to end: Ctrl-C, or a pod's termination.
pub(crate) async fn interruption() {
    match (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_shown_not_obeyed() {
        assert_eq!(escaped("a\u{1b}[2Jb\rc"), "a\\u{1b}[2Jb\\rc");
        assert_eq!(escaped("zwei\nZeilen ä"), "zwei\nZeilen ä");
    }
}
