//! Log output: to stderr, as text for people or JSON lines for collectors.

use std::io::{self, IsTerminal};
use std::str::FromStr;

use thiserror::Error;
use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

/// Form of the log lines, `--log-format`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// One line for a person, coloured on a terminal.
    #[default]
    Text,
    /// One JSON object per line, the event's fields beside `timestamp`, `level`, `target` and `message`.
    Json,
}

/// Why logging could not be set up.
#[derive(Debug, Error)]
pub enum LoggingError {
    /// Not one of the formats.
    #[error("log format `{0}` is neither `text` nor `json`")]
    UnknownFormat(String),
    /// Neither a level nor a list of filter directives.
    #[error(
        "log level `{level}` is neither a level (error, warn, info, debug, trace, off) nor a filter such as `info,smc_agent=debug`"
    )]
    BadLevel {
        /// What was given.
        level: String,
        /// What is wrong with it.
        source: ParseError,
    },
    /// The process logs already.
    #[error("cannot install the log output")]
    Install(#[from] TryInitError),
}

impl FromStr for LogFormat {
    type Err = LoggingError;

    fn from_str(name: &str) -> Result<Self, LoggingError> {
        match name {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            other => Err(LoggingError::UnknownFormat(other.to_owned())),
        }
    }
}

/// Sends the whole process's log to stderr, from `level` up. `level` is `--log-level`: a level or filter directives.
/// To be called once.
pub fn init(format: LogFormat, level: &str) -> Result<(), LoggingError> {
    let colours = io::stderr().is_terminal();
    Ok(subscriber(format, level, colours, io::stderr)?.try_init()?)
}

fn subscriber<W>(
    format: LogFormat,
    level: &str,
    colours: bool,
    writer: W,
) -> Result<Box<dyn Subscriber + Send + Sync>, LoggingError>
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(level)
        .map_err(|source| LoggingError::BadLevel { level: level.to_owned(), source })?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    Ok(match format {
        LogFormat::Text => Box::new(builder.with_ansi(colours).finish()),
        LogFormat::Json => Box::new(builder.json().flatten_event(true).finish()),
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Captured(Arc<Mutex<Vec<u8>>>);

    impl Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat, level: &str, event: impl FnOnce()) -> String {
        let captured = Captured::default();
        let writer = captured.clone();
        let subscriber = subscriber(format, level, false, move || writer.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, event);
        String::from_utf8(captured.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn a_json_line_has_the_events_fields_at_its_top() {
        let line = logged(LogFormat::Json, "info", || tracing::info!(pod = "web-1", "converted"));
        let json: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(
            (&json["message"], &json["pod"], &json["level"]),
            (&"converted".into(), &"web-1".into(), &"INFO".into())
        );
    }

    #[test]
    fn a_text_line_has_no_colour_codes_when_not_on_a_terminal() {
        let line = logged(LogFormat::Text, "info", || tracing::warn!(pod = "web-1", "repaired"));
        assert!(
            line.contains("WARN") && line.contains("repaired") && line.contains("pod=\"web-1\""),
            "{line}"
        );
        assert!(!line.contains('\u{1b}'), "{line}");
    }

    #[test]
    fn events_below_the_level_are_left_out() {
        assert_eq!(logged(LogFormat::Text, "warn", || tracing::info!("quiet")), "");
    }

    #[test]
    fn a_filter_may_name_a_module() {
        let line = logged(LogFormat::Text, "warn,smc_agent=debug", || tracing::debug!("detail"));
        assert!(line.contains("detail"));
    }

    #[test]
    fn a_bad_level_is_an_error_that_repeats_it() {
        let error = subscriber(LogFormat::Text, "smc_agent=loud", false, io::sink).err().unwrap();
        assert!(error.to_string().contains("smc_agent=loud"));
    }

    #[test]
    fn only_the_two_formats_are_known() {
        assert_eq!("json".parse::<LogFormat>().unwrap(), LogFormat::Json);
        assert_eq!("text".parse::<LogFormat>().unwrap(), LogFormat::Text);
        assert!("JSON".parse::<LogFormat>().is_err());
    }
}
