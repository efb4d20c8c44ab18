use std::process;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::*;

fn soon() -> Instant {
    Instant::now() + Duration::from_millis(300)
}

fn late() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

#[test]
fn the_answer_of_another_process_is_handed_on_whole() {
    let long = vec![7; 1 << 20];
    let answer = long.clone();
    assert_eq!(run(late(), move || answer).unwrap(), Outcome::Done(long));
    let other = run(late(), || process::id().to_ne_bytes().to_vec()).unwrap();
    assert_ne!(other, Outcome::Done(process::id().to_ne_bytes().to_vec()));
}

#[test]
fn a_worker_that_is_held_is_left_behind_and_ends_its_work_without_us() {
    let dir = tempfile::tempdir().unwrap();
    let (begun, done) = (Instant::now(), dir.path().join("done"));
    let outcome = run(soon(), || {
        thread::sleep(Duration::from_secs(2));
        fs::write(&done, "").unwrap();
        Vec::new()
    });
    let Outcome::LeftBehind(held) = outcome.unwrap() else { panic!("it was waited for") };
    assert!(begun.elapsed() < Duration::from_secs(2) && !done.exists());
    // Only where the kernel tells who may see it.
    assert!(held.waits_in.is_none_or(|function| function.contains("nanosleep")));
    // Nobody hears its answer any more, which is no matter.
    waitpid(Pid::from_raw(held.pid), None).unwrap();
    assert!(done.exists());
}

#[test]
fn who_reads_our_standard_output_does_not_wait_for_a_worker_that_was_left_behind() {
    let shown = run(late(), || {
        let shown = (0..3).map(|fd| fs::read_link(format!("/proc/self/fd/{fd}")).unwrap());
        shown.map(|path| path.display().to_string()).collect::<Vec<_>>().join(" ").into_bytes()
    });
    assert_eq!(shown.unwrap(), Outcome::Done(b"/dev/null /dev/null /dev/null".to_vec()));
}

#[test]
fn a_worker_that_dies_is_an_error_and_nothing_of_the_caller_runs_twice() {
    let (sender, receiver) = mpsc::channel();
    let error = run(late(), || process::abort()).unwrap_err();
    sender.send(()).unwrap();
    assert!(error.with_cause().contains("it ended without an answer: Ok(Signaled"), "{}", error.with_cause());
    assert!(run(late(), || panic!("a defect")).is_err());
    assert_eq!(receiver.try_iter().count(), 1);
}
