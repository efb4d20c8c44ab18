use std::os::unix::fs::symlink;

use super::*;
use crate::process::logging::tests::Captured;
use crate::testing::test_values::board;

fn follow(usual: &str, steps: impl FnOnce(&Path, &mut LogLevel)) -> String {
    let dir = tempfile::tempdir().unwrap();
    let captured = Captured::default();
    let (subscriber, setter) = captured.subscriber(usual);
    tracing::subscriber::with_default(subscriber, || {
        steps(dir.path(), &mut LogLevel::new(dir.path(), setter, usual.to_owned()));
    });
    captured.text()
}

#[test]
fn the_file_raises_and_its_end_lowers_the_level_of_a_running_agent() {
    let board = board();
    let log = follow("info", |dir, level| {
        level.look(&board);
        tracing::debug!("before");
        ask(dir, Some("debug")).unwrap();
        level.look(&board);
        tracing::debug!("while it is wanted");
        ask(dir, None).unwrap();
        ask(dir, None).unwrap();
        level.look(&board);
        tracing::debug!("after");
    });
    assert!(log.contains("while it is wanted"), "{log}");
    assert!(!log.contains("before") && !log.contains("after"), "{log}");
    assert_eq!(log.matches("log level changed").count(), 2, "{log}");
}

#[test]
fn what_is_no_level_changes_nothing_and_is_told_once() {
    let board = board();
    let log = follow("info", |dir, level| {
        for content in [&b"smc_agent=loud"[..], b"\xff\xfe", &[b'a'; 5000]] {
            fs::write(dir.join(FILE), content).unwrap();
            for _ in 0..10 {
                level.look(&board);
            }
        }
        fs::remove_file(dir.join(FILE)).unwrap();
        symlink("/dev/zero", dir.join(FILE)).unwrap();
        level.look(&board);
        tracing::info!("still here");
        assert_eq!(board.read(|view| view.problems.iter().count()), 1);
    });
    assert!(log.contains("still here"), "{log}");
    assert!(log.matches("WARN").count() <= 4, "{log}");
}

#[test]
fn who_asks_for_what_is_no_level_is_told_and_nothing_is_written() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(ask(dir.path(), Some("smc_agent=loud")), Err(WriteError::Level(_))));
    assert!(!dir.path().join(FILE).exists());
    let error = ask(&dir.path().join("none"), Some("debug")).unwrap_err();
    assert!(error.to_string().starts_with("cannot write "), "{error}");
}
