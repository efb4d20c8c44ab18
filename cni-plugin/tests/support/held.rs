//! A call that answers without its worker.

use std::fs::{self, File};
use std::process::Command;

use super::{Call, Lab, Outcome};

/// Has a call answer while its worker is stopped, which goes on afterwards.
pub(crate) fn held(lab: &Lab, call: &Call) -> Outcome {
    // The worker waits for the attachment's lock, so that there is time to stop it.
    let locks = lab.state().join("locks");
    fs::create_dir_all(&locks).unwrap();
    let lock = File::create(locks.join(format!("{}-eth0", lab.container))).unwrap();
    lock.lock().unwrap();
    let running = call.spawn();
    let worker = running.worker();
    signal("-STOP", worker);
    let outcome = running.finish();
    assert!(fs::exists(format!("/proc/{worker}")).unwrap(), "the answer came without the worker");
    lock.unlock().unwrap();
    signal("-CONT", worker);
    outcome
}

fn signal(name: &str, process: u32) {
    assert!(Command::new("kill").args([name, &process.to_string()]).status().unwrap().success());
}
