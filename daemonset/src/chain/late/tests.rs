use std::fs;
use std::io::Write;

use super::super::conf_dir::read;
use super::*;

#[test]
fn what_is_written_to_a_replaced_file_is_given_back_once_it_is_quiet() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("10-a.conflist");
    let list = br#"{"plugins":[{}]}"#;
    fs::write(&path, list).unwrap();
    let mut writer = File::options().append(true).open(&path).unwrap();
    let mut replaced = Replaced::default();
    let start = Instant::now();
    replaced.hold(read(&path).unwrap(), start);
    fs::remove_file(&path).unwrap();
    assert_eq!(replaced.look(start + QUIET), None);

    writer.write_all(b"\n").unwrap();
    let changed = start + QUIET * 2;
    assert_eq!(replaced.look(changed), None, "it may go on");
    writer.write_all(b"\n").unwrap();
    assert_eq!(replaced.look(changed + QUIET), None, "it went on");
    let late = Some((path.clone(), [list.as_slice(), b"\n\n"].concat()));
    assert_eq!(replaced.look(changed + QUIET * 2), late);
    assert_eq!(replaced.look(changed + QUIET * 3), None, "only once");
    replaced.give_again(&path, changed);
    assert_eq!(replaced.look(changed + QUIET * 4), None, "not at once");
    assert_eq!(replaced.look(changed + AGAIN + QUIET), late);

    writer.write_all(b"{").unwrap();
    let changed = changed + AGAIN + QUIET * 2;
    assert_eq!((replaced.look(changed), replaced.look(changed + QUIET)), (None, None), "it is no list");
    assert!(replaced.next_look(changed).is_some());
    assert_eq!(replaced.look(changed + HELD), None);
    assert_eq!(replaced.next_look(changed), None, "it is not held for ever");
}

#[test]
fn files_of_a_path_are_forgotten_when_it_was_written_anew_and_their_number_is_limited() {
    let dir = tempfile::tempdir().unwrap();
    let mut replaced = Replaced::default();
    for number in 0..LIMIT + 3 {
        let path = dir.path().join(format!("{}.conflist", number % 2));
        fs::write(&path, "x").unwrap();
        replaced.hold(read(&path).unwrap(), Instant::now());
    }
    assert_eq!(replaced.files.len(), LIMIT);
    replaced.forget(&dir.path().join("1.conflist"));
    assert_eq!(replaced.files.len(), LIMIT / 2);
}
