use super::*;
use crate::host::options::Kernel;

fn state() -> RigState {
    let options = UpOptions { kernel: Kernel::V6_1, bare: true, ..UpOptions::default() };
    RigState { options, nodes: vec![NodeState { number: 1, pid: 100 }, NodeState { number: 2, pid: 101 }] }
}

#[test]
fn the_state_survives_its_file() {
    let directory = tempfile::tempdir().unwrap();
    let name = RigName::default();
    let at = StateDirectory::at(directory.path().to_owned());
    at.write(&state()).unwrap();
    assert_eq!(at.read(&name).unwrap(), state());
}

#[test]
fn without_a_state_file_no_rig_is_up() {
    let directory = tempfile::tempdir().unwrap();
    let at = StateDirectory::at(directory.path().join("none"));
    assert!(matches!(at.read(&RigName::default()), Err(RigError::NotUp { .. })));
    at.remove().unwrap();
}

#[test]
fn a_damaged_state_file_is_an_error_that_names_it() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("rig.json"), "{\"kernel\":").unwrap();
    let error = StateDirectory::at(directory.path().to_owned()).read(&RigName::default()).unwrap_err();
    assert!(error.to_string().contains("rig.json"), "{error}");
}

#[test]
fn a_token_is_secret_and_new_each_time() {
    use std::os::unix::fs::PermissionsExt as _;
    let tokens: Vec<String> = (0..2)
        .map(|_| {
            let directory = tempfile::tempdir().unwrap();
            let at = StateDirectory::at(directory.path().to_owned());
            at.write_token().unwrap();
            let mode = fs::metadata(directory.path().join(TOKEN_FILE)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
            at.token().unwrap().0
        })
        .collect();
    assert_eq!(tokens[0].len(), 32);
    assert_ne!(tokens[0], tokens[1]);
}

#[test]
fn the_repository_is_where_the_workspace_is() {
    assert!(repository().join("tests/rig/Cargo.toml").exists());
}
