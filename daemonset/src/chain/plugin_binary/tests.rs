use std::os::unix::fs::PermissionsExt;

use super::*;

#[test]
fn the_program_is_copied_when_it_differs_and_only_then() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("plugin");
    fs::write(&source, "one").unwrap();
    let mut binary = PluginBinary::new(source.clone(), dir.path().join("bin"));
    assert!(binary.ensure().unwrap());
    assert!(!binary.ensure().unwrap());
    fs::write(&source, "two!").unwrap();
    assert!(binary.ensure().unwrap());
    assert_eq!(fs::read_to_string(binary.target()).unwrap(), "two!");
    fs::set_permissions(binary.target(), fs::Permissions::from_mode(0o644)).unwrap();
    assert!(binary.ensure().unwrap());
    assert_eq!(fs::metadata(binary.target()).unwrap().mode() & 0o7777, 0o755);
    fs::remove_file(binary.target()).unwrap();
    assert!(binary.ensure().unwrap());
    assert!(!PluginBinary::new(source, dir.path().join("bin")).ensure().unwrap());
}

#[test]
fn a_program_that_runs_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("plugin");
    let mut binary = PluginBinary::new(source.clone(), dir.path().join("bin"));
    fs::copy("/bin/sleep", &source).unwrap();
    binary.ensure().unwrap();
    let mut running = Command::new(binary.target()).arg("60").spawn().unwrap();
    fs::write(&source, "another").unwrap();
    let replaced = binary.ensure();
    running.kill().unwrap();
    running.wait().unwrap();
    assert!(replaced.unwrap());
}

/// A program that answers as the plugin does, and counts how often it was asked.
fn answering(dir: &Path) -> String {
    let asked = dir.join("asked").display().to_string();
    format!(
        "#!/bin/sh\necho >>{asked}\necho '{{\"cniVersion\":\"1.0.0\",\"supportedVersions\":[\"1.0.0\"]}}'\n"
    )
}

#[test]
fn each_file_is_run_once() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("plugin");
    fs::write(&source, answering(dir.path())).unwrap();
    let mut binary = PluginBinary::new(source, dir.path().join("bin"));
    assert!(!binary.is_proven() && binary.prove().is_err(), "it is not there yet");
    binary.ensure().unwrap();
    for _ in 0..3 {
        binary.prove().unwrap();
    }
    assert!(binary.is_proven());
    assert_eq!(fs::read_to_string(dir.path().join("asked")).unwrap().lines().count(), 1);
    fs::remove_file(binary.target()).unwrap();
    assert!(!binary.is_proven());
}

#[test]
fn a_program_that_cannot_run_or_is_none_of_cnis_is_told_with_what_came_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("plugin");
    for (program, words) in [
        ("#!/no/such/interpreter\n", "No such file"),
        ("\u{7f}ELF of another kind of computer", "Exec format"),
        ("#!/bin/sh\necho x\n", "it said \"x\\n\""),
        ("#!/bin/sh\necho '{\"supportedVersions\":[\"0.1.0\"]}'\n", "0.1.0"),
        ("#!/bin/sh\necho '{\"supportedVersions\":[\"1.0.0\"]}'; exit 3\n", "exit status: 3"),
    ] {
        fs::write(&source, program).unwrap();
        let mut binary = PluginBinary::new(source.clone(), dir.path().join("bin"));
        binary.ensure().unwrap();
        let error = binary.prove().unwrap_err().to_string();
        assert!(error.contains(words) && error.contains("bin/smc-cni"), "{error}");
        assert!(!binary.is_proven());
    }
}

#[test]
fn a_missing_source_is_an_error_that_names_it_and_leaves_the_target() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("plugin");
    fs::write(&source, "one").unwrap();
    let mut binary = PluginBinary::new(source.clone(), dir.path().join("bin"));
    binary.ensure().unwrap();
    fs::remove_file(&source).unwrap();
    let error = binary.ensure().unwrap_err().to_string();
    assert!(error.contains(&source.display().to_string()), "{error}");
    assert_eq!(fs::read_to_string(binary.target()).unwrap(), "one");
}
