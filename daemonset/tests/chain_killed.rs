//! `kill -9` at every system call of the installer.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

#[allow(dead_code, reason = "each test file uses its part")]
#[path = "support/chain.rs"]
mod chain;
#[allow(dead_code, reason = "each test file uses its part")]
#[path = "support/terway.rs"]
mod terway;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use chain::{TestNode, names, with_entry};
use cni_spec::conflist::{self, Entry};
use smc_agent::chain::remove;
use terway::list;

/// More would mean that the installer does something quite different.
const MOST_CALLS: usize = 400;

/// Whether programs can be traced here.
fn can_trace() -> bool {
    let traced = Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]).output();
    let works = traced.is_ok_and(|output| output.status.success());
    if !works {
        test_support::cannot_run("strace is not installed, or may not trace programs");
    }
    works
}

const AGENT: &str = env!("CARGO_BIN_EXE_smc-agent");

/// The agent's command line, traced as told.
fn traced(node: &TestNode, mode: &str, trace: &[&str]) -> Output {
    let mut command = Command::new("strace");
    // Not what it starts: the program that is tried may well be killed, too, which is no end of the installer.
    command.arg("-qq").args(trace).arg(AGENT);
    install(command, node, mode)
}

fn install(mut command: Command, node: &TestNode, mode: &str) -> Output {
    command.args(["install", "--chain", mode]);
    for (option, path) in [
        ("--plugin", node.dir.path().join("plugin")),
        ("--bin-dir", node.bin_dir()),
        ("--conf-dir", node.conf_dir()),
        ("--provenance-dir", node.provenance_dir()),
    ] {
        command.arg(option).arg(path);
    }
    command.output().unwrap()
}

/// The installer's system calls, each with which of its kind in the process it is. Those before the first one that
/// names the node's directories are the program's start.
fn calls(node: &TestNode, mode: &str) -> Vec<(String, usize)> {
    let log = node.dir.path().join("trace");
    let output = traced(node, mode, &["-o", log.to_str().unwrap()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut calls = Vec::new();
    let mut started = false;
    for call in fs::read_to_string(log).unwrap().lines() {
        // `openat(AT_FDCWD, …`; other lines tell about signals and the end.
        let Some((name, arguments)) = call.split_once('(') else { continue };
        if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            continue;
        }
        let count = counts.entry(name.to_owned()).or_default();
        *count += 1;
        started |= name != "execve" && arguments.contains(node.dir.path().to_str().unwrap());
        if started && !name.starts_with("exit") {
            calls.push((name.to_owned(), *count));
        }
    }
    assert!((20..MOST_CALLS).contains(&calls.len()), "{} system calls: {calls:?}", calls.len());
    calls
}

/// Whatever happened: the node's chain works.
fn check(node: &TestNode, when: &str) {
    let readable =
        |name: &String| [".conf", ".conflist", ".json"].iter().any(|ending| name.ends_with(ending));
    let confs: Vec<String> = node.names().into_iter().filter(readable).collect();
    assert_eq!(confs, ["10-terway.conflist"], "{when}");
    let text = fs::read_to_string(node.list()).unwrap();
    let has_entry = text == with_entry(&list(1));
    assert!(has_entry || text == list(1), "{when}: {text}");

    let beside = node.conf_dir().join("terway-chainer");
    let drop_ins: Vec<String> =
        if beside.exists() { names(&beside).into_iter().filter(readable).collect() } else { Vec::new() };
    for drop_in in &drop_ins {
        let text = fs::read_to_string(beside.join(drop_in)).unwrap();
        assert_eq!(text, conflist::drop_in(&Entry::default()), "{when}");
    }
    if has_entry || !drop_ins.is_empty() {
        let program = fs::read(node.bin_dir().join("smc-cni")).unwrap();
        assert_eq!(
            program,
            fs::read(node.dir.path().join("plugin")).unwrap(),
            "{when}: an entry without its program"
        );
    }
}

/// How many installers run at once: each waits most of its time, for lists to be quiet.
const AT_ONCE: usize = 4;

fn kill_at_every_call(mode: &str) {
    if !can_trace() {
        return;
    }
    let calls = calls(&node(), mode);
    let (next, killed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((name, count)) = calls.get(next.fetch_add(1, Ordering::Relaxed)) {
                    killed.fetch_add(usize::from(kill_at(mode, name, *count)), Ordering::Relaxed);
                }
            });
        }
    });
    // The number of some calls varies with how long the installer waits for a quiet list.
    let killed = killed.into_inner();
    assert!(killed * 10 >= calls.len() * 9, "only {killed} of {} runs were killed", calls.len());
}

fn node() -> TestNode {
    let node = TestNode::new();
    fs::write(node.list(), list(1)).unwrap();
    node
}

/// Kills an installer at this call, and has the next one finish. Whether it came to that call.
fn kill_at(mode: &str, name: &str, count: usize) -> bool {
    let node = node();
    let when = format!("killed at {name} number {count}");
    let inject = format!("inject={name}:signal=KILL:when={count}");
    let output = traced(&node, mode, &["-o", "/dev/null", "-e", &inject]);
    let killed = output.status.signal() == Some(9) || output.status.code() == Some(128 + 9);
    check(&node, &when);

    let output = install(Command::new(AGENT), &node, mode);
    assert!(output.status.success(), "{when}: {}", String::from_utf8_lossy(&output.stderr));
    check(&node, &when);
    let installed = match mode {
        "drop-in" => vec!["10-terway.conflist", "terway-chainer"],
        _ => vec!["10-terway.conflist"],
    };
    assert_eq!(
        (node.names(), names(&node.bin_dir())),
        (to_strings(&installed), to_strings(&["smc-cni"])),
        "{when}"
    );
    assert_eq!(names(&node.provenance_dir()), ["chain.json", "chain.lock"], "{when}");
    let removed = remove(&node.conf_dir(), &node.provenance_dir()).unwrap();
    assert_eq!((removed.files.len(), removed.problems.len()), (1, 0), "{when}: what it made, it knows");
    assert_eq!(fs::read_to_string(node.list()).unwrap(), list(1), "{when}");
    assert_eq!(node.names(), ["10-terway.conflist"], "{when}");
    killed
}

fn to_strings(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

#[test]
fn an_installer_killed_at_any_system_call_leaves_a_chain_that_works_and_is_finished_by_the_next() {
    kill_at_every_call("inject");
}

#[test]
fn the_same_holds_for_a_drop_in() {
    kill_at_every_call("drop-in");
}
