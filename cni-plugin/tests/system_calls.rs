//! What a plain pod's ADD asks of the kernel, seen by strace.

#[cfg(test)]
mod support;

use support::{Lab, PREV_RESULT, strace_works, trace};
use test_support::TestNetns;

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
fn the_del_of_a_plain_pod_only_looks_for_record_lock_and_mark() {
    if !strace_works() {
        return;
    }
    let lab = Lab::new();
    let (outcome, calls) = trace(&lab.call("DEL", &lab.conf("0.4.0")));
    outcome.succeeded_with("");
    let changes: Vec<_> = calls.iter().filter(|call| changes_something(call)).collect();
    assert!(changes.is_empty(), "{changes:#?}");
    let looked: Vec<_> =
        calls.iter().filter(|call| !call.starts_with("read(0,") && call.contains("kube-smc/")).collect();
    assert_eq!(looked.len(), 3, "{looked:#?}");
    let only_looks = |call: &&String| name(call).contains("stat") && call.contains(&lab.container);
    assert!(looked.iter().copied().all(|call| only_looks(&call)), "{looked:#?}");
    lab.is_untouched();
}

#[test]
fn the_trace_would_show_what_an_annotated_pod_costs() {
    let Some(netns) = TestNetns::new() else { return };
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

#[test]
fn a_line_of_the_log_is_one_appending_write() {
    let Some(netns) = TestNetns::new() else { return };
    if !strace_works() {
        return;
    }
    let lab = Lab::new();
    let (_, calls) = trace(&lab.add(&lab.conf("0.4.0").annotated("true"), &netns));
    let opened = calls.iter().rposition(|call| call.contains("cni.log\"")).unwrap();
    assert!(calls[opened].contains("O_APPEND"), "{}", calls[opened]);
    let (_, descriptor) = calls[opened].rsplit_once("= ").unwrap();
    let write = format!("write({descriptor}, ");
    let writes: Vec<_> = calls[opened..].iter().filter(|call| call.starts_with(&write)).collect();
    let length = std::fs::metadata(lab.logs().join("cni.log")).unwrap().len();
    assert_eq!(writes.len(), 1, "{writes:#?}");
    assert!(writes[0].ends_with(&format!("= {length}")), "{writes:?} for {length} bytes");
}
