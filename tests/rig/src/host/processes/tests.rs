use std::os::unix::fs::symlink;
use std::process::Command;

use super::*;

#[test]
fn a_process_in_the_directory_that_is_not_the_rigs_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let mut child = Command::new("sleep").arg("60").current_dir(directory.path()).spawn().unwrap();
    assert_eq!(end_all(directory.path()), 0);
    end_one(directory.path(), Pid::from_raw(child.id().cast_signed()));
    assert!(child.try_wait().unwrap().is_none());
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn an_emulator_in_the_directory_is_found_even_when_the_directory_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("qemu-system-x86_64");
    // A link: a copy would be "text file busy" while another test's child still holds its descriptor.
    symlink("/bin/sleep", &program).unwrap();
    let mut child = Command::new(&program).arg("60").current_dir(directory.path()).spawn().unwrap();
    let path = directory.path().to_owned();
    let pid = Pid::from_raw(child.id().cast_signed());
    // The kernel lets a spawning parent go on before it has renamed the child.
    let end = Instant::now() + Duration::from_secs(10);
    while emulators_in(&path) != [pid] && Instant::now() < end {
        sleep(Duration::from_millis(1));
    }
    drop(directory);
    assert_eq!(emulators_in(&path), [pid]);
    assert_eq!(end_all(&path), 1);
    child.wait().unwrap();
    assert_eq!(end_all(&path), 0);
}
