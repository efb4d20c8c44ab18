//! The system calls of a call of the plugin.

use std::fs;
use std::process::{Command, Stdio};

use super::{Call, Outcome};

/// Whether this user can trace a process; if not, a person is told.
pub(crate) fn strace_works() -> bool {
    let output =
        Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]).stderr(Stdio::piped()).output();
    let problem = match output {
        Ok(output) if output.status.success() => return true,
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(error) => error.to_string(),
    };
    test_support::cannot_run(&format!("it needs strace: {problem}"));
    false
}

/// What came of a call, and the system calls it made, from the plugin's own `execve` on.
pub(crate) fn trace(call: &Call) -> (Outcome, Vec<String>) {
    let file = tempfile::NamedTempFile::new().unwrap();
    let launcher = ["strace", "-f", "-qq", "-o", file.path().to_str().unwrap()];
    // By PATH strace itself is found.
    let call = call.clone().env("PATH", std::env::var_os("PATH").unwrap());
    let outcome = call.launched_by(&launcher).run();
    let text = fs::read_to_string(file.path()).unwrap();
    // Each line begins with the process id.
    let calls: Vec<String> = text
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(_, call)| call.trim().to_owned())
        .collect();
    assert!(calls.first().is_some_and(|call| call.starts_with("execve(")), "{text}");
    (outcome, calls)
}
