//! The plugin's own log: one JSON line per annotated pod or failure, in a file of bounded size. Standard output
//! belongs to the result, and runtimes lose standard error.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use cni_spec::{Environment, NetworkConfig};
use serde::Serializer as _;
use serde::ser::SerializeMap as _;
use serde_json::{Value, json};
use smc_state::{Record, Text};

use crate::call::Call;
use crate::clock::Clock;

const DEFAULT_DIR: &str = "/var/log/kube-smc";
const FILE: &str = "cni.log";
/// Bytes after which the file becomes `cni.log.1` and a new one is begun: twice this is all that is ever kept.
const DEFAULT_MAX_BYTES: u64 = 4 * 1024 * 1024;
/// How long a call waits for its turn to begin a new file. Whoever has the turn only renames one.
const LOCK_PATIENCE: Duration = Duration::from_millis(100);

/// Where log lines go.
#[derive(Debug)]
pub(crate) struct Log {
    dir: PathBuf,
    max_bytes: u64,
}

impl Log {
    /// Where a configuration says, also when it could not be read.
    pub(crate) fn by(config: Option<&NetworkConfig<'_>>) -> Self {
        let options = config.map(|config| &config.options);
        let directory = options.and_then(|options| options.log_dir.clone());
        Self::new(directory, options.and_then(|options| options.log_max_bytes))
    }

    /// The log that the chain entry asks for, or the default one.
    pub(crate) fn new(dir: Option<PathBuf>, max_bytes: Option<u64>) -> Self {
        Self {
            dir: dir.unwrap_or_else(|| PathBuf::from(DEFAULT_DIR)),
            max_bytes: max_bytes.unwrap_or(DEFAULT_MAX_BYTES),
        }
    }

    /// Appends one line. A log that cannot be written never fails a pod.
    pub(crate) fn write(&self, line: &Line, clock: &Clock) {
        let mut text = Text::default();
        if line.render(&mut text, SystemTime::now(), clock.elapsed_us()).is_ok() {
            let _ = self.append(&text.into_line());
        }
    }

    fn append(&self, line: &[u8]) -> io::Result<()> {
        let path = self.dir.join(FILE);
        let mut file = match open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(&self.dir)?;
                open(&path)?
            }
            opened => opened?,
        };
        let is_full = |length: u64| length > 0 && length + line.len() as u64 > self.max_bytes;
        if is_full(file.metadata()?.len()) {
            self.rotate(&path, is_full)?;
            file = open(&path)?;
        }
        // One write with O_APPEND: lines of concurrent calls do not mix.
        file.write_all(line)
    }

    /// Under a lock, and only if the file is still full: a concurrent call may have rotated it already. Where
    /// the lock is not to be had it is done without: that may cost old lines, waiting would cost the pod.
    fn rotate(&self, path: &Path, is_full: impl Fn(u64) -> bool) -> io::Result<()> {
        let dir = File::open(&self.dir)?;
        let until = Instant::now() + LOCK_PATIENCE;
        while let Err(TryLockError::WouldBlock) = dir.try_lock() {
            if Instant::now() >= until {
                break;
            }
            thread::sleep(Duration::from_millis(1));
        }
        if fs::metadata(path).is_ok_and(|metadata| is_full(metadata.len())) {
            fs::rename(path, self.dir.join(format!("{FILE}.1")))?;
        }
        Ok(())
    }
}

fn open(path: &Path) -> io::Result<File> {
    // Not to wait for a reader where a FIFO stands in the log's place.
    OpenOptions::new().create(true).append(true).mode(0o640).custom_flags(libc::O_NONBLOCK).open(path)
}

/// One line of the log.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    fields: Vec<(&'static str, Value)>,
}

impl Line {
    /// A line about `call`.
    pub(crate) fn of(call: &Call<'_>, command: &str) -> Self {
        let mut line = Self::from_environment(call.environment, command, call.clock);
        line.set("network", &call.config.name);
        line
    }

    /// A line about a call whose configuration may be unreadable.
    pub(crate) fn from_environment(environment: &Environment, command: &str, clock: &Clock) -> Self {
        let mut line = Self { fields: Vec::with_capacity(16) };
        line.set("level", "info");
        line.set("id", &clock.call_id());
        line.set("command", command);
        let args = &environment.args;
        let names = [
            ("namespace", args.pod_namespace.as_deref()),
            ("pod", args.pod_name.as_deref()),
            ("container", Some(environment.container_id.as_str())),
            ("ifname", Some(environment.ifname.as_str())),
        ];
        for (key, value) in names {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                line.set(key, value);
            }
        }
        line
    }

    /// The line for a record that stands now.
    pub(crate) fn record(mut self, record: &Record) -> Self {
        // The record's id, which is an earlier call's when nothing had to be done.
        self.set("id", &record.id);
        self.set("message", if record.seen.is_empty() { "configured" } else { &record.seen });
        self.put("verdict", json!(record.verdict));
        if !record.remedy.is_empty() {
            self.set("level", "warn");
            self.set("remedy", &record.remedy);
        }
        self.put("bindings", json!(record.plan.bindings));
        let steps: Vec<String> = record.plan.steps.iter().map(ToString::to_string).collect();
        self.put("steps", steps.into());
        if !record.plan.notes.is_empty() {
            let notes: Vec<String> = record.plan.notes.iter().map(ToString::to_string).collect();
            self.put("notes", notes.into());
        }
        self
    }

    /// The line for an attachment that ended.
    pub(crate) fn released(mut self, record: &Record) -> Self {
        self.set("id", &record.id);
        self.set("namespace", &record.pod.namespace);
        self.set("pod", &record.pod.name);
        self.set("container", record.attachment.container());
        self.set("ifname", record.attachment.ifname());
        self.set("message", "released");
        self
    }

    /// The line for something that went wrong.
    pub(crate) fn problem(mut self, problem: &str) -> Self {
        self.set("level", "error");
        self.set("message", problem);
        self
    }

    fn set(&mut self, key: &'static str, value: &str) {
        self.put(key, value.into());
    }

    fn put(&mut self, key: &'static str, value: Value) {
        match self.fields.iter_mut().find(|(known, _)| *known == key) {
            Some((_, known)) => *known = value,
            None => self.fields.push((key, value)),
        }
    }

    fn render(&self, text: &mut Text, time: SystemTime, took_us: u64) -> serde_json::Result<()> {
        let mut serializer = serde_json::Serializer::new(text);
        let mut object = serializer.serialize_map(None)?;
        object.serialize_entry("time", &humantime::format_rfc3339_millis(time).to_string())?;
        for (key, value) in &self.fields {
            object.serialize_entry(key, value)?;
        }
        object.serialize_entry("took_us", &took_us)?;
        object.end()
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_fifo_in_the_logs_place_is_an_error_and_no_wait() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Command::new("mkfifo").arg(dir.path().join(FILE)).status().unwrap().success());
        let log = Log { dir: dir.path().to_owned(), max_bytes: DEFAULT_MAX_BYTES };
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || sender.send(log.append(b"line\n").is_err()));
        assert!(receiver.recv_timeout(Duration::from_secs(5)).unwrap());
    }
}
