//! The chain's keeper on a thread of its own: preparing the node takes longer than a list may be without the entry.

use std::io;
use std::thread::{self, JoinHandle};

use tokio::runtime::Builder;
use tokio::sync::{oneshot, watch};

use super::{Options, Runtime, Status, keep};

/// A thread that keeps the entry in the chain.
#[derive(Debug)]
pub struct ChainThread {
    status: watch::Receiver<Status>,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl ChainThread {
    /// Starts it.
    pub fn start<R: Runtime + Send + 'static>(options: Options, runtime: R) -> io::Result<Self> {
        let (sender, status) = watch::channel(Status::default());
        let (stop, stopped) = oneshot::channel();
        let executor = Builder::new_current_thread().enable_all().build()?;
        let thread = thread::Builder::new().name("cni-chain".to_owned()).spawn(move || {
            // A handle that was dropped stops it too.
            executor.block_on(keep(options, runtime, sender, async { drop(stopped.await) }));
        })?;
        Ok(Self { status, stop, thread })
    }

    /// What it says about the chain.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// Ends it, and leaves the entry where it is. What it is just doing is finished first.
    pub fn stop(self) {
        let _ = self.stop.send(());
        if self.thread.join().is_err() {
            tracing::error!("the thread that kept the CNI chain had panicked");
        }
    }
}
