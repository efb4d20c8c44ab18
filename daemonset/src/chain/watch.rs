//! To be told when something changes in a directory.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;

use super::Problem;

/// Watches directories, also when another one takes a watched one's place.
pub(super) struct Watch {
    watcher: Option<RecommendedWatcher>,
    watched: BTreeMap<PathBuf, (u64, u64)>,
    changed: mpsc::Receiver<()>,
    wake: mpsc::Sender<()>,
}

impl Watch {
    pub(super) fn new() -> Self {
        // One pending wake-up is enough: a look sees everything that happened before it.
        let (wake, changed) = mpsc::channel(1);
        Self { watcher: None, watched: BTreeMap::new(), changed, wake }
    }

    /// Waits until something changed.
    pub(super) async fn changed(&mut self) {
        // Never `None`: this value holds a sender.
        self.changed.recv().await;
    }

    /// Watches these directories and no others. One that is not there is left out; says whether there is such a one,
    /// so that it has to be looked for.
    pub(super) fn follow(&mut self, dirs: &[PathBuf]) -> Result<bool, Problem> {
        let identity = |dir: &Path| fs::metadata(dir).ok().map(|dir| (dir.dev(), dir.ino()));
        let wanted: BTreeMap<PathBuf, (u64, u64)> =
            dirs.iter().filter_map(|dir| Some((dir.clone(), identity(dir)?))).collect();
        if self.watcher.is_none() {
            let wake = self.wake.clone();
            let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
                if event.is_ok_and(|event| !is_change(event.kind)) {
                    return;
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

/// Our own reading is no change.
fn is_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(access) => access == AccessKind::Close(AccessMode::Write),
        _ => true,
    }
}

fn unwatched(path: &Path) -> impl FnOnce(notify::Error) -> Problem {
    let path = path.to_owned();
    move |source| Problem::Unwatched { path, source }
}
