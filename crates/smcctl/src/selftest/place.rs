//! Throw-away namespaces, and taking all of it back, whatever happens.

use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{SigSet, Signal};
use smc_attach::{Budget, Job, detach, repair};
use smc_host::netlink::{Connection, Protocol};
use smc_host::netns::Netns;
use smc_host::veth::{self, Pair};
use smc_model::{Binding, Verdict, Wish};
use smc_state::{AttachmentId, PodName, Store};

/// A pod's own budget, twice: nobody waits for this one.
const BUDGET: Duration = Duration::from_secs(4);
/// Longest wait for a lock when all is taken back.
const PATIENCE: Duration = Duration::from_secs(5);
/// The interface in the namespace.
const INTERFACE: &str = "eth0";
/// Held while the process that made the directory lives.
const ALIVE: &str = "alive";

/// A throw-away namespace that is set up as a pod is.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) netns: Netns,
    pub(super) address: Ipv4Addr,
    /// The RDMA port that serves it.
    pub(super) binding: Option<Binding>,
    /// Whether a new TCP socket in it is an SMC socket.
    pub(super) converts: bool,
}

/// What has to be taken back. Shared with the thread that waits for signals.
#[derive(Debug, Clone)]
pub(super) struct Cleanup {
    /// Its own, beside the node's.
    store: Store,
    made: Arc<Mutex<Made>>,
}

#[derive(Debug, Default)]
struct Made {
    attachments: Vec<AttachmentId>,
    links: Vec<String>,
    /// Nothing is made any more.
    over: bool,
    _alive: Option<File>,
}

impl Cleanup {
    /// Takes back what killed self-tests left, and makes a state directory for this one: the agent does not know these
    /// namespaces and must not look after them.
    pub(super) fn begin(node: &Store) -> Result<Self> {
        let all = node.selftests_dir();
        sweep(node, &all);
        let dir = all.join(format!("{}-{:x}", process::id(), since_epoch().as_micros()));
        fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        let alive = File::create(dir.join(ALIVE))?;
        alive.lock()?;
        let made = Made { _alive: Some(alive), ..Made::default() };
        Ok(Self { store: Store::beside(node, dir), made: Arc::new(Mutex::new(made)) })
    }

    /// From now on SIGINT, SIGTERM and SIGHUP take everything back and end the process. For the main thread, before
    /// others are made: they inherit that these signals are left to one thread.
    pub(super) fn on_signals(&self) -> Result<()> {
        let mut signals = SigSet::empty();
        for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
            signals.add(signal);
        }
        signals.thread_block().context("cannot leave signals to one thread")?;
        let cleanup = self.clone();
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            if let Ok(signal) = signals.wait() {
                eprintln!("{signal}: taking back what was set up");
                let left = cleanup.finish();
                for left in left {
                    eprintln!("left behind: {left}");
                }
                process::exit(128 + signal as i32);
            }
        })?;
        Ok(())
    }

    fn made(&self) -> MutexGuard<'_, Made> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a namespace with `address` and sets it up exactly as a pod's is.
    pub(super) fn set_up(
        &self,
        name: &str,
        address: Ipv4Addr,
        node_file: &Path,
        boot_id: &str,
        proc: &Path,
    ) -> Result<Place> {
        // Held throughout: a signal waits until what is being made is known.
        let mut made = self.made();
        if made.over {
            bail!("interrupted");
        }
        let netns = Netns::make()?;
        let store = &self.store;
        store.create()?;
        fs::copy(node_file, store.node_path())
            .with_context(|| format!("cannot copy {}", node_file.display()))?;
        let host_end = format!("kst{}{}", &name[..1], process::id() % 1_000_000);
        made.links.push(host_end.clone());
        let mut route = Connection::open(Protocol::Route)?;
        Pair { host: &host_end, inside: INTERFACE, address }.connect(&mut route, &netns)?;
        let attachment = AttachmentId::new(&format!("kube-smc-selftest-{name}"), INTERFACE)?;
        let job = Job {
            id: format!("selftest-{name}"),
            attachment: attachment.clone(),
            network: "selftest".to_owned(),
            pod: PodName { name: name.to_owned(), ..PodName::default() },
            netns: netns.path(),
            wish: Wish::Enabled,
            particulars: smc_model::Particulars::default(),
        };
        made.attachments.push(attachment);
        let started_ms = u64::try_from(since_epoch().as_millis()).unwrap_or(u64::MAX);
        let budget = Budget { deadline: Instant::now() + BUDGET, started_ms };
        let outcome = repair(store, boot_id, &job, budget, &netns, proc)?;
        if let Some(Verdict::Refused { reason }) = &outcome.record.verdict {
            bail!(
                "the throw-away namespace was refused, as a pod would be: {reason} [{}]; {}",
                reason.name(),
                reason.remedy()
            );
        }
        let binding = outcome.record.plan.bindings.first().cloned();
        let converts = netns.connect()?.converts;
        Ok(Place { netns, address, binding, converts })
    }

    /// Takes everything back; returns what could not be.
    pub(super) fn finish(&self) -> Vec<String> {
        let mut made = self.made();
        made.over = true;
        let mut left = Vec::new();
        for attachment in made.attachments.drain(..) {
            left.extend(detach(&self.store, &attachment, Instant::now() + PATIENCE).problems);
        }
        for link in made.links.drain(..) {
            let removed =
                Connection::open(Protocol::Route).and_then(|mut route| veth::remove(&mut route, &link));
            left.extend(removed.err().map(|error| error.with_cause()));
        }
        // What could not be taken back stays on record for the next self-test.
        if left.is_empty()
            && let Err(error) = fs::remove_dir_all(self.store.dir())
            && error.kind() != std::io::ErrorKind::NotFound
        {
            left.push(format!("cannot remove {}: {error}", self.store.dir().display()));
        }
        left
    }
}

/// Takes back what self-tests left that were killed.
fn sweep(node: &Store, all: &Path) {
    for dir in fs::read_dir(all).into_iter().flatten().flatten().map(|entry| entry.path()) {
        let dead = File::open(dir.join(ALIVE)).is_ok_and(|alive| alive.try_lock().is_ok());
        if !dead {
            continue;
        }
        let store = Store::beside(node, &dir);
        let records = store.list().records;
        let problems: Vec<String> = records
            .iter()
            .flat_map(|record| detach(&store, &record.attachment, Instant::now() + PATIENCE).problems)
            .collect();
        if problems.is_empty() {
            let _ = fs::remove_dir_all(&dir);
        } else {
            for problem in problems {
                eprintln!("of an earlier self-test: {problem}");
            }
        }
    }
}

fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests;
