//! What an init system does for a node's services: it starts them, and starts them again when they end.

use std::convert::Infallible;
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use smc_host::with_causes;

use super::{GuestError, init, make_directory, runtime, write_file};
use crate::layout::{
    BootWords, FAILED_LINE, HELD_SERVICES, KUBERNETES_DIRECTORY, STATIC_PODS, second_family,
};

/// As systemd's `RestartSec` of a kubelet's unit, shortened.
const RESTART_DELAY: Duration = Duration::from_secs(1);
/// How often a service that is held back is looked at again.
const HELD_DELAY: Duration = Duration::from_millis(100);

/// A program that is to run all the time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    name: String,
    argv: Vec<String>,
}

/// Runs all services of the node and returns only when one of them cannot be started at all.
pub fn run() -> Result<(), GuestError> {
    let words = init::boot_words()?;
    make_directory(HELD_SERVICES)?;
    let containerd = runtime::containerd(&words);
    let containerd = thread::spawn(move || containerd.keep());
    runtime::import_images()?;
    if words.kubernetes {
        make_directory(STATIC_PODS)?;
        for service in kubernetes(&words) {
            thread::spawn(move || {
                let Err(error) = service.keep();
                // The rig shows the console; whoever waits for the node gives up by himself.
                let _ = write_file("/dev/console", format!("{FAILED_LINE} {}\n", with_causes(&error)));
            });
        }
    }
    let Err(error) = containerd.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    Err(error)
}

/// The kubelet and kube-proxy, by the files that the cluster wrote for this node.
fn kubernetes(words: &BootWords) -> [Service; 2] {
    let directory = words.state.join(KUBERNETES_DIRECTORY);
    let node = words.node;
    let of_node = |file: &str| directory.join(node.host_name()).join(file).display().to_string();
    let program = |name: &str| directory.join("bin").join(name).display().to_string();
    let mut addresses = node.address().to_string();
    if words.dual_stack {
        addresses = format!("{addresses},{}", second_family(node.address()));
    }
    [
        Service::new(
            "kubelet",
            &[
                &program("kubelet"),
                &format!("--config={}", of_node("kubelet.yaml")),
                &format!("--kubeconfig={}", of_node("kubelet.kubeconfig")),
                &format!("--node-ip={addresses}"),
                "--v=2",
            ],
        ),
        Service::new("kube-proxy", &[&program("kube-proxy"), &format!("--config={}", of_node("proxy.yaml"))]),
    ]
}

impl Service {
    /// A service of this name; what it writes goes to `/var/log/<name>.log`.
    pub fn new(name: &str, argv: &[&str]) -> Self {
        Self { name: name.to_owned(), argv: argv.iter().map(|word| (*word).to_owned()).collect() }
    }

    fn log(&self) -> PathBuf {
        PathBuf::from(format!("/var/log/{}.log", self.name))
    }

    /// Starts it again and again; returns only when it cannot be started.
    fn keep(&self) -> Result<Infallible, GuestError> {
        let held = Path::new(HELD_SERVICES).join(&self.name);
        loop {
            while held.exists() {
                thread::sleep(HELD_DELAY);
            }
            let mut child = self.command()?.spawn().map_err(|source| self.start_error(source))?;
            child.wait().map_err(|source| self.start_error(source))?;
            thread::sleep(RESTART_DELAY);
        }
    }

    fn command(&self) -> Result<Command, GuestError> {
        let path = self.log();
        let log_error = |source| GuestError::File { action: "write", path: path.clone(), source };
        let log = OpenOptions::new().create(true).append(true).open(&path).map_err(log_error)?;
        let error_log = log.try_clone().map_err(log_error)?;
        let mut argv = self.argv.iter();
        let mut command = Command::new(argv.next().map_or("", String::as_str));
        command.args(argv).stdin(Stdio::null()).stdout(log).stderr(error_log);
        Ok(command)
    }

    fn start_error(&self, source: std::io::Error) -> GuestError {
        GuestError::Start { program: self.name.clone(), source }
    }
}
