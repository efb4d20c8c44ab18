//! One call of the built plugin.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

/// No call may take longer, whatever is wrong: its budget is 2 s.
const LIMIT: Duration = Duration::from_secs(10);

/// A call's budget of 2 s, and what it takes to start and end a process.
const IN_TIME: Duration = Duration::from_millis(2500);

/// Asserts that a call ends in time at least once in a few: a busy machine only ever adds to what a call takes.
#[track_caller]
pub(crate) fn ends_in_time(mut call: impl FnMut() -> Duration) {
    let mut took = Vec::new();
    while took.len() < 4 {
        took.push(call());
        if took.last().is_some_and(|took| *took < IN_TIME) {
            return;
        }
    }
    panic!("{took:?}, all longer than {IN_TIME:?}");
}

/// A call as a runtime makes it, with no other variable in the environment.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    launcher: Vec<OsString>,
    environment: Vec<(String, OsString)>,
    stdin: Vec<u8>,
    cwd: PathBuf,
}

/// What came of a call.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Exit status; `None` when a signal ended it.
    pub(crate) status: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
    pub(crate) took: Duration,
}

/// A call under way.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    began: Instant,
}

impl Call {
    pub(crate) fn new(cwd: &Path, stdin: &[u8]) -> Self {
        Self { launcher: Vec::new(), environment: Vec::new(), stdin: stdin.to_owned(), cwd: cwd.to_owned() }
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self = self.unset(name);
        self.environment.push((name.to_owned(), value.as_ref().to_owned()));
        self
    }

    pub(crate) fn unset(mut self, name: &str) -> Self {
        self.environment.retain(|(known, _)| known != name);
        self
    }

    pub(crate) fn stdin(mut self, stdin: impl AsRef<[u8]>) -> Self {
        self.stdin = stdin.as_ref().to_owned();
        self
    }

    /// Runs the plugin by way of another program, which gets the plugin's path as its last argument.
    pub(crate) fn launched_by<S: AsRef<OsStr>>(mut self, launcher: &[S]) -> Self {
        self.launcher = launcher.iter().map(|argument| argument.as_ref().to_owned()).collect();
        self
    }

    pub(crate) fn run(&self) -> Outcome {
        self.spawn().finish()
    }

    pub(crate) fn spawn(&self) -> Running {
        let began = Instant::now();
        let mut child = self.command().stdin(Stdio::piped()).spawn().unwrap();
        // A plugin that has ended without reading is seen by what it answered.
        let _ = child.stdin.take().unwrap().write_all(&self.stdin);
        Running { child, began }
    }

    /// Runs with this standard input instead of a pipe.
    pub(crate) fn run_with_stdin(&self, stdin: impl Into<Stdio>) -> Outcome {
        let began = Instant::now();
        Running { child: self.command().stdin(stdin).spawn().unwrap(), began }.finish()
    }

    fn command(&self) -> Command {
        let plugin = OsString::from(env!("CARGO_BIN_EXE_smc-cni"));
        let words: Vec<&OsString> = self.launcher.iter().chain([&plugin]).collect();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).env_clear().current_dir(&self.cwd);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

impl Running {
    /// The process that does the call's work, once there is one that has let go of the call's standard output.
    pub(crate) fn worker(&self) -> u32 {
        let children = format!("/proc/{0}/task/{0}/children", self.child.id());
        let is_at_work = |worker: &u32| {
            fs::read_link(format!("/proc/{worker}/fd/2")).is_ok_and(|stderr| stderr == Path::new("/dev/null"))
        };
        while self.began.elapsed() < LIMIT {
            let children = fs::read_to_string(&children).unwrap();
            if let Some(worker) = children.split(' ').find_map(|pid| pid.parse().ok()).filter(is_at_work) {
                return worker;
            }
            thread::sleep(Duration::from_millis(1));
        }
        panic!("the call has no worker");
    }

    /// Waits for the end; a call that hangs is killed and fails the test.
    pub(crate) fn finish(mut self) -> Outcome {
        let mut stdout = self.child.stdout.take().unwrap();
        let mut stderr = self.child.stderr.take().unwrap();
        let stdout = thread::spawn(move || {
            let mut bytes = Vec::new();
            stdout.read_to_end(&mut bytes).map(|_| bytes)
        });
        let stderr = thread::spawn(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).map(|_| text)
        });
        let status = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break status,
                None if self.began.elapsed() > LIMIT => {
                    panic!("the plugin was still running after {LIMIT:?}")
                }
                None => thread::sleep(Duration::from_millis(1)),
            }
        };
        let took = self.began.elapsed();
        let (stdout, stderr) = (stdout.join().unwrap().unwrap(), stderr.join().unwrap().unwrap());
        Outcome { status: status.code(), stdout, stderr, took }
    }
}

/// A test that fails leaves no process behind that would write into its directory once that is gone.
impl Drop for Running {
    fn drop(&mut self) {
        // Both fail when it has ended, as it mostly has.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Outcome {
    /// Status 0, exactly `output`, and a silent standard error.
    #[track_caller]
    pub(crate) fn succeeded_with(&self, output: &str) {
        let stdout = String::from_utf8_lossy(&self.stdout);
        assert_eq!((self.status, &*self.stderr), (Some(0), ""), "stdout: {stdout}");
        assert_eq!(stdout, output);
        assert_eq!(self.stdout, output.as_bytes());
    }

    /// The error on standard output, after its form was checked: status 1, one JSON object with these keys only,
    /// and nothing on standard error.
    #[track_caller]
    pub(crate) fn error(&self) -> Value {
        let stdout = String::from_utf8_lossy(&self.stdout);
        assert_eq!((self.status, &*self.stderr), (Some(1), ""), "stdout: {stdout}");
        let error: Value = serde_json::from_slice(&self.stdout).unwrap_or_else(|e| panic!("{e}: {stdout}"));
        let keys = error.as_object().unwrap().keys().map(String::as_str);
        let unknown: Vec<_> =
            keys.filter(|key| !["cniVersion", "code", "msg", "details"].contains(key)).collect();
        assert!(unknown.is_empty(), "{error}");
        let text = error["msg"].as_str().unwrap();
        assert!(!text.is_empty() && !text.contains('\n'), "{error}");
        error
    }

    /// An error with this code in this version; returns `msg; details`.
    #[track_caller]
    pub(crate) fn failed_with(&self, code: u64, version: &str) -> String {
        let error = self.error();
        assert_eq!(
            (error["code"].as_u64(), error["cniVersion"].as_str()),
            (Some(code), Some(version)),
            "{error}"
        );
        format!("{}; {}", error["msg"].as_str().unwrap(), error["details"].as_str().unwrap_or_default())
    }
}
