//! What a plain pod's ADD asks of the kernel, seen by strace.

#[cfg(test)]
mod support;

use std::fs;
use std::process::{Command, Stdio};

use support::{Call, Lab, Namespace, Outcome, PREV_RESULT};

/// Calls that would change something outside the process, enter another namespace, or start a second thread.
const FORBIDDEN: &[&str] = &[
    "socket",
    "socketpair",
    "connect",
    "bind",
    "setns",
    "unshare",
    "mount",
    "umount2",
    "clone",
    "clone3",
    "fork",
    "vfork",
    "creat",
    "mkdir",
    "mkdirat",
    "mknod",
    "mknodat",
    "rename",
    "renameat",
    "renameat2",
    "unlink",
    "unlinkat",
    "rmdir",
    "link",
    "linkat",
    "symlink",
    "symlinkat",
    "chmod",
    "fchmod",
    "fchmodat",
    "chown",
    "fchown",
    "fchownat",
    "truncate",
    "ftruncate",
    "flock",
    "bpf",
    "init_module",
    "finit_module",
    "inotify_init1",
    "nanosleep",
    "clock_nanosleep",
    "ptrace",
];

fn strace_works() -> bool {
    let output =
        Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]).stderr(Stdio::piped()).output();
    let problem = match output {
        Ok(output) if output.status.success() => return true,
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(error) => error.to_string(),
    };
    eprintln!("SKIPPED: needs strace: {problem}");
    false
}

/// What came of a call, and the system calls it made, from the plugin's own `execve` on.
fn trace(call: &Call) -> (Outcome, Vec<String>) {
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

fn name(call: &str) -> &str {
    call.split_once('(').map_or(call, |(name, _)| name)
}

fn changes_something(call: &str) -> bool {
    let opens_for_writing = ["open", "openat", "openat2"].contains(&name(call))
        && ["O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC"].iter().any(|flag| call.contains(flag));
    opens_for_writing || FORBIDDEN.contains(&name(call))
}

#[test]
fn a_plain_pod_costs_no_socket_no_namespace_no_thread_and_no_write() {
    if !strace_works() {
        return;
    }
    let lab = Lab::new();
    let (outcome, calls) = trace(&lab.call("ADD", &lab.conf("0.4.0")));
    outcome.succeeded_with(PREV_RESULT);
    let changes: Vec<_> = calls.iter().filter(|call| changes_something(call)).collect();
    assert!(changes.is_empty(), "{changes:#?}");
    let written: Vec<_> = calls.iter().filter(|call| name(call).starts_with("write")).collect();
    assert!(written.iter().all(|call| call.starts_with("write(1, ")) && !written.is_empty(), "{written:#?}");
    let mentions = |text: &str| calls.iter().any(|call| !call.starts_with("read(0,") && call.contains(text));
    for path in ["kube-smc", "smctest", "/run/netns"] {
        assert!(!mentions(path), "{path} was looked at: {calls:#?}");
    }
    lab.is_untouched();
}

#[test]
fn the_del_of_a_plain_pod_only_looks_for_a_record() {
    if !strace_works() {
        return;
    }
    let lab = Lab::new();
    let (outcome, calls) = trace(&lab.call("DEL", &lab.conf("0.4.0")));
    outcome.succeeded_with("");
    let changes: Vec<_> = calls.iter().filter(|call| changes_something(call)).collect();
    assert!(changes.is_empty(), "{changes:#?}");
    let looked: Vec<_> =
        calls.iter().filter(|call| name(call).starts_with("open") && call.contains("kube-smc")).collect();
    assert_eq!(looked.len(), 1, "{looked:#?}");
    assert!(looked[0].contains(&lab.container), "{looked:#?}");
    lab.is_untouched();
}

#[test]
fn the_trace_would_show_what_an_annotated_pod_costs() {
    let Some(netns) = Namespace::new() else { return };
    if !strace_works() {
        return;
    }
    let lab = Lab::new();
    let (outcome, calls) = trace(&lab.add(&lab.conf("0.4.0").annotated("true"), &netns));
    outcome.succeeded_with(PREV_RESULT);
    let changes = calls.iter().filter(|call| changes_something(call));
    let names: Vec<&str> = changes.map(|call| name(call)).collect();
    for expected in ["mkdir", "flock", "openat", "rename"] {
        assert!(names.contains(&expected), "{expected} is not among {names:?}");
    }
}
