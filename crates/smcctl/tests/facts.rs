//! `--facts FILE`: what was seen on a node, looked at elsewhere.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

fn smcctl(facts: &Path, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_smcctl"));
    command.args(words).arg("--facts").arg(facts).output().unwrap_or_else(|error| panic!("{error}"))
}

fn recorded(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded").join(name)
}

/// Status 2, nothing told, and these words.
#[track_caller]
fn assert_refused(output: &Output, words: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{said}");
    assert!(said.contains(words), "{said}");
}

#[test]
fn every_command_that_looks_at_a_node_takes_what_was_seen_of_one() {
    let dir = tempfile::tempdir().unwrap();
    let read =
        |name| -> Value { serde_json::from_str(&fs::read_to_string(recorded(name)).unwrap()).unwrap() };
    let mut node = read("rig.json");
    node["seen_by"] = "0.2.0".into();
    node["pods"] = read("pods.json");
    let file = dir.path().join("node.json");
    fs::write(&file, node.to_string()).unwrap();
    for (words, told) in [
        (&["pods"][..], "configured"),
        (&["conns"], "SMC-R"),
        (&["status"], "6.12"),
        (&["doctor"], "PNETID"),
        (&["capacity"], "queue pairs"),
    ] {
        let output = smcctl(&file, words);
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains(told), "{words:?}: {said} {}", String::from_utf8_lossy(&output.stderr));
    }
    let pod = node["pods"][0]["record"]["pod"]["name"].as_str().unwrap();
    let output = smcctl(&file, &["pod", pod]);
    assert!(String::from_utf8_lossy(&output.stdout).contains(pod), "{output:?}");
    let printed = smcctl(&file, &["facts"]).stdout;
    let again = dir.path().join("again.json");
    fs::write(&again, &printed).unwrap();
    assert_eq!(smcctl(&again, &["facts"]).stdout, printed);
    assert_eq!(smcctl(&again, &["pods"]).stdout, smcctl(&file, &["pods"]).stdout);
}

#[test]
fn what_an_older_version_printed_tells_of_no_connections_and_is_not_taken_for_a_node_without_pods() {
    for words in [&["pods"][..], &["pod", "web-0"], &["conns"]] {
        assert_refused(&smcctl(&recorded("rig.json"), words), "print it again");
    }
    assert!(!smcctl(&recorded("rig.json"), &["status"]).stdout.is_empty());
}

#[test]
fn a_file_that_is_not_there_or_holds_something_else_is_an_error_for_every_command() {
    for words in [&["pods"][..], &["conns"], &["pod", "x"], &["doctor"], &["facts"], &["capacity"]] {
        assert_refused(&smcctl(Path::new("/nonexistent"), words), "cannot read /nonexistent");
        assert_refused(&smcctl(&recorded("pods.json"), words), "holds no facts of a node");
    }
}

#[test]
fn commands_that_look_at_no_node_refuse_facts_instead_of_leaving_them_unread() {
    for words in [&["explain"][..], &["selftest"], &["probe", "alive"], &["completion", "bash"]] {
        assert_refused(&smcctl(&recorded("rig.json"), words), "--facts is for commands that look at a node");
    }
}
