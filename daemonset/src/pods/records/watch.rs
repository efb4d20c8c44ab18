//! To be told when the records' directory changes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;

/// How often the directory is looked at where nothing can be heard of it.
const UNHEARD: Duration = Duration::from_secs(1);

/// Watches a directory; where the kernel refuses that (`fs.inotify.max_user_instances` is one number for all containers of
/// root), it is looked at once a second.
#[derive(Debug)]
pub struct Watch {
    directory: PathBuf,
    watcher: Option<RecommendedWatcher>,
    wake: mpsc::Sender<()>,
    changed: mpsc::Receiver<()>,
}

impl Watch {
    /// Nothing is heard before [`Watch::begin`].
    pub fn new(directory: &Path) -> Self {
        // One pending wake-up is enough: a look sees everything that happened before it.
        let (wake, changed) = mpsc::channel(1);
        Self { directory: directory.to_owned(), watcher: None, wake, changed }
    }

    /// Begins to watch unless that is done already; what keeps it from that, in words.
    pub fn begin(&mut self) -> Result<(), String> {
        if self.watcher.is_some() {
            return Ok(());
        }
        let wake = self.wake.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // Looking opens the directory, and would lead to the next look for ever.
            if !event.is_ok_and(|event| event.kind.is_access()) {
                let _ = wake.try_send(());
            }
        });
        let begun = watcher.and_then(|mut watcher| {
            watcher.watch(&self.directory, RecursiveMode::NonRecursive)?;
            Ok(watcher)
        });
        let told = |error: notify::Error| {
            format!(
                "cannot watch {}: {error}; it is looked at once a second instead; if the node's inotify is used up, raise \
                 fs.inotify.max_user_instances and fs.inotify.max_user_watches there",
                self.directory.display()
            )
        };
        self.watcher = Some(begun.map_err(told)?);
        // What happened before is seen by one more look.
        let _ = self.wake.try_send(());
        Ok(())
    }

    /// Waits until something changed, and says so; or until it is time to look, where nothing is heard.
    pub async fn changed(&mut self) -> bool {
        if self.watcher.is_none() {
            tokio::time::sleep(UNHEARD).await;
            return false;
        }
        // Never `None`: this value holds a sender.
        self.changed.recv().await.is_some()
    }
}

#[cfg(test)]
mod tests;
