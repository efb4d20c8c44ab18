//! Log output: to stderr, as text for people or JSON lines for collectors.

use std::fmt;
use std::io::{self, IsTerminal};
use std::str::FromStr;
use std::sync::Arc;

use thiserror::Error;
use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{LevelFilter, ParseError};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::reload;
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
    /// A word that is no level stands alone.
    #[error(
        "log level `{level}`: `{word}` is neither a level (error, warn, info, debug, trace, off) nor a filter such as `info,smc_agent=debug`"
    )]
    NoLevel {
        /// What was given.
        level: String,
        /// The word.
        word: String,
    },
    /// The process logs already.
    #[error("cannot install the log output")]
    Install(#[from] TryInitError),
    /// The level cannot be changed any more.
    #[error("cannot change the log level")]
    Reload(#[from] reload::Error),
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

/// What the agent's libraries log by themselves: the Kubernetes client repeats every failure at every try, and the
/// agent tells those once. A filter that names them brings them back.
const QUIET: &str = "kube_client=off,kube_runtime=off";

/// Reads a level or filter directives.
pub fn parse_level(level: &str) -> Result<EnvFilter, LoggingError> {
    // An empty filter means what it means to the library.
    let level = if level.trim().is_empty() { "error" } else { level };
    // The library takes any other word for a module of which everything is logged, and so logs nothing.
    if let Some(word) = level.split(',').find(|word| !is_directive(word)) {
        return Err(LoggingError::NoLevel { level: level.to_owned(), word: word.to_owned() });
    }
    EnvFilter::try_new(level)
        .and_then(|_| EnvFilter::try_new(format!("{QUIET},{level}")))
        .map_err(|source| LoggingError::BadLevel { level: level.to_owned(), source })
}

fn is_directive(word: &str) -> bool {
    word.is_empty() || word.contains(['=', '[']) || word.parse::<LevelFilter>().is_ok()
}

/// Changes the level while the process runs.
#[derive(Clone)]
pub struct LevelSetter(Arc<dyn Fn(EnvFilter) -> Result<(), reload::Error> + Send + Sync>);

impl LevelSetter {
    /// Sets the level; when it is none, the old one stays.
    pub fn set(&self, level: &str) -> Result<(), LoggingError> {
        Ok((self.0)(parse_level(level)?)?)
    }
}

impl fmt::Debug for LevelSetter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LevelSetter")
    }
}

/// Sends the whole process's log to stderr, from `level` up. `level` is `--log-level`: a level or filter directives.
/// To be called once.
pub fn init(format: LogFormat, level: &str) -> Result<LevelSetter, LoggingError> {
    let colours = io::stderr().is_terminal();
    let (subscriber, setter) = subscriber(format, level, colours, io::stderr)?;
    subscriber.try_init()?;
    Ok(setter)
}

type Logging = (Box<dyn Subscriber + Send + Sync>, LevelSetter);

fn subscriber<W>(format: LogFormat, level: &str, colours: bool, writer: W) -> Result<Logging, LoggingError>
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let filter = parse_level(level)?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    Ok(match format {
        LogFormat::Text => {
            let builder = builder.with_ansi(colours).with_filter_reloading();
            let handle = builder.reload_handle();
            (Box::new(builder.finish()), LevelSetter(Arc::new(move |filter| handle.reload(filter))))
        }
        LogFormat::Json => {
            let builder = builder.json().flatten_event(true).with_filter_reloading();
            let handle = builder.reload_handle();
            (Box::new(builder.finish()), LevelSetter(Arc::new(move |filter| handle.reload(filter))))
        }
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::Write;
    use std::sync::Mutex;

    use super::*;

    /// What was logged.
    #[derive(Clone, Default)]
    pub(crate) struct Captured(Arc<Mutex<Vec<u8>>>);

    impl Captured {
        /// Logs as text into this.
        pub(crate) fn subscriber(&self, level: &str) -> Logging {
            let writer = self.clone();
            subscriber(LogFormat::Text, level, false, move || writer.clone()).unwrap()
        }

        pub(crate) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

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
        let (subscriber, _) = subscriber(format, level, false, move || writer.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, event);
        captured.text()
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
    fn the_kubernetes_client_is_quiet_unless_it_is_named() {
        let event = || tracing::error!(target: "kube_client::client::builder", "failed again");
        assert_eq!(logged(LogFormat::Text, "debug", event), "");
        assert!(logged(LogFormat::Text, "info,kube_client=debug", event).contains("failed again"));
    }

    #[test]
    fn the_level_can_be_changed_in_both_forms_and_a_bad_one_changes_nothing() {
        for format in [LogFormat::Text, LogFormat::Json] {
            let captured = Captured::default();
            let writer = captured.clone();
            let (subscriber, setter) = subscriber(format, "warn", false, move || writer.clone()).unwrap();
            tracing::subscriber::with_default(subscriber, || {
                tracing::info!("one");
                setter.set("info").unwrap();
                tracing::info!("two");
                setter.set("loud=loud").unwrap_err();
                tracing::info!("three");
            });
            let text = captured.text();
            assert!(!text.contains("one") && text.contains("two") && text.contains("three"), "{text}");
        }
    }

    #[test]
    fn a_bad_level_is_an_error_that_repeats_it() {
        let error = subscriber(LogFormat::Text, "smc_agent=loud", false, io::sink).err().unwrap();
        assert!(error.to_string().contains("smc_agent=loud"));
    }

    #[test]
    fn a_word_that_is_no_level_is_not_taken_for_a_module() {
        for level in ["loud", "info,loud", "smc_agent", "infos"] {
            assert!(matches!(parse_level(level), Err(LoggingError::NoLevel { .. })), "{level}");
        }
        for level in ["", "info", "INFO", "off", "info,smc_agent=debug", "[span]"] {
            assert!(parse_level(level).is_ok(), "{level}");
        }
    }

    #[test]
    fn only_the_two_formats_are_known() {
        assert_eq!("json".parse::<LogFormat>().unwrap(), LogFormat::Json);
        assert_eq!("text".parse::<LogFormat>().unwrap(), LogFormat::Text);
        assert!("JSON".parse::<LogFormat>().is_err());
    }
}
