//! Logs: one line an event on standard error, filtered by `RUST_LOG`.

use std::env::{self, VarError};
use std::io::{self, IsTerminal as _};

use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};

use crate::settings::LogFormat;

/// The variable with the filter.
const VARIABLE: &str = "RUST_LOG";
/// What is logged when the variable is absent or empty: the client's own account of each request is for debugging.
const DEFAULT_FILTER: &str = "info,kube=warn";

/// Why logs can't be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The filter can't be read.
    #[error("{VARIABLE} should be directives such as {DEFAULT_FILTER:?}, found {found:?}: {source}")]
    Filter {
        /// The variable's value.
        found: String,
        /// What is wrong with it.
        source: tracing_subscriber::filter::ParseError,
    },
    /// The filter is not a text.
    #[error("{VARIABLE} should be UTF-8")]
    NotUnicode,
    /// The process has a subscriber already.
    #[error("logs were set up before: {0}")]
    AlreadySet(#[from] TryInitError),
}

/// Writes the events of this process to standard error from now on, also those of libraries that use `log`.
///
/// The filter is `RUST_LOG`, by default `info,kube=warn`. To be called once.
pub fn init(format: LogFormat) -> Result<(), Error> {
    let directives = match env::var(VARIABLE) {
        Ok(directives) => Some(directives),
        Err(VarError::NotPresent) => None,
        Err(VarError::NotUnicode(_)) => return Err(Error::NotUnicode),
    };
    let filter = filter(directives.as_deref())?;
    subscriber(format, filter, io::stderr().is_terminal(), io::stderr).try_init()?;
    Ok(())
}

fn filter(directives: Option<&str>) -> Result<EnvFilter, Error> {
    let directives = directives.filter(|text| !text.trim().is_empty()).unwrap_or(DEFAULT_FILTER);
    EnvFilter::builder()
        .parse(directives)
        .map_err(|source| Error::Filter { found: directives.to_owned(), source })
}

fn subscriber<W>(
    format: LogFormat,
    filter: EnvFilter,
    colours: bool,
    writer: W,
) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    match format {
        // Fields beside the message, where log stores find them without a rule for us.
        LogFormat::Json => Box::new(builder.json().flatten_event(true).finish()),
        LogFormat::Text => Box::new(builder.with_ansi(colours).finish()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// What a subscriber has written.
    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn written(format: LogFormat, directives: Option<&str>) -> String {
        let written = Written::default();
        let writer = written.clone();
        let subscriber = subscriber(format, filter(directives).unwrap(), false, move || writer.clone());
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(trial = "g0001-c002", "started");
            tracing::info!(target: "kube::client", "requesting");
            tracing::debug!("detail");
        });
        let bytes = written.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn json_is_one_object_a_line_with_fields_beside_the_message() {
        let text = written(LogFormat::Json, None);
        assert_eq!(text.lines().count(), 1, "{text}");
        let object: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(object["message"], "started");
        assert_eq!(object["trial"], "g0001-c002");
        assert_eq!(object["level"], "INFO");
    }

    #[test]
    fn text_is_plain_where_nobody_sees_colours() {
        let text = written(LogFormat::Text, Some(" "));
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.ends_with("started trial=\"g0001-c002\"\n"), "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
    }

    #[test]
    fn the_variable_replaces_the_default() {
        let text = written(LogFormat::Text, Some("warn,kube=info"));
        assert!(text.contains("requesting") && !text.contains("started"), "{text}");
    }

    #[test]
    fn a_filter_that_cannot_be_read_is_named() {
        let message = filter(Some("info,=;")).unwrap_err().to_string();
        assert!(message.starts_with("RUST_LOG should be directives"), "{message}");
    }
}
