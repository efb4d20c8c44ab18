//! To be told when something changes in a directory.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;

use super::Problem;
use cni_spec::conflist::is_configuration;

const CLOSED: EventKind = EventKind::Access(AccessKind::Close(AccessMode::Write));

/// Watches directories, also when another one takes a watched one's place.
pub(super) struct Watch {
    watcher: Option<RecommendedWatcher>,
    watched: BTreeMap<PathBuf, Identity>,
    changed: mpsc::Receiver<()>,
    wake: mpsc::Sender<()>,
    closed: Arc<AtomicBool>,
}

/// Device, inode and birth: a directory that is made anew often gets the inode of the one before it.
type Identity = (u64, u64, Option<SystemTime>);

impl Watch {
    pub(super) fn new() -> Self {
        // One pending wake-up is enough: a look sees everything that happened before it.
        let (wake, changed) = mpsc::channel(1);
        Self { watcher: None, watched: BTreeMap::new(), changed, wake, closed: Arc::default() }
    }

    /// Waits until something changed.
    pub(super) async fn changed(&mut self) {
        // Never `None`: this value holds a sender.
        self.changed.recv().await;
    }

    /// Whether a writer closed a configuration since this was asked last.
    pub(super) fn was_closed(&self) -> bool {
        self.closed.swap(false, Ordering::AcqRel)
    }

    /// Watches these directories and no others. One that is not there is left out; says whether there is such a one,
    /// so that it has to be looked for.
    pub(super) fn follow(&mut self, dirs: &[PathBuf]) -> Result<bool, Problem> {
        let identity =
            |dir: &Path| fs::metadata(dir).ok().map(|dir| (dir.dev(), dir.ino(), dir.created().ok()));
        let wanted: BTreeMap<PathBuf, Identity> =
            dirs.iter().filter_map(|dir| Some((dir.clone(), identity(dir)?))).collect();
        if self.watcher.is_none() {
            let (wake, closed) = (self.wake.clone(), self.closed.clone());
            let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
                if let Ok(event) = event {
                    if event.kind == CLOSED {
                        let configuration = event.paths.iter().any(|path| is_configuration(path));
                        closed.fetch_or(configuration, Ordering::AcqRel);
                    } else if event.kind.is_access() {
                        // Our own reading is no change.
                        return;
                    }
                }
                let _ = wake.try_send(());
            });
            self.watcher = Some(watcher.map_err(unwatched(&dirs[0]))?);
        }
        let Some(watcher) = &mut self.watcher else { return Ok(true) };
        self.watched.retain(|dir, identity| {
            let stays = wanted.get(dir) == Some(identity);
            if !stays {
                // It may be gone, and its watch with it.
                let _ = watcher.unwatch(dir);
            }
            stays
        });
        for (dir, identity) in &wanted {
            if !self.watched.contains_key(dir) {
                watcher.watch(dir, RecursiveMode::NonRecursive).map_err(unwatched(dir))?;
                self.watched.insert(dir.clone(), *identity);
                // What happened before the watch is seen by one more look.
                let _ = self.wake.try_send(());
            }
        }
        Ok(wanted.len() < dirs.len())
    }
}

fn unwatched(path: &Path) -> impl FnOnce(notify::Error) -> Problem {
    let path = path.to_owned();
    move |source| Problem::Unwatched { path, source }
}
