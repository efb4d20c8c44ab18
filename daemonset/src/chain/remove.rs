//! Take out of the chain what is ours, and nothing else.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use cni_spec::PLUGIN_TYPE;
use cni_spec::conflist::{self, Change};

use super::Problem;
use super::clean::{remove_drop_in, sweep_confs};
use super::conf_dir;
use super::late::{QUIET, Replaced};
use super::provenance::{Ours, Provenance};
use crate::chain::replace::{self, replace_if};

/// How long a list may be busy.
const PATIENCE: Duration = Duration::from_secs(2);

/// What [`remove`] did.
#[derive(Debug, Default)]
pub struct Removed {
    /// Lists and drop-ins that had an entry of ours and have none now.
    pub files: Vec<PathBuf>,
    /// What could not be done; it stays on record, so that removing again goes on there.
    pub problems: Vec<Problem>,
}

/// Takes the entry out of every list in `conf_dir` where the record in `provenance_dir` says that it is ours, and
/// removes our drop-ins, our temporary files, and the record. The lists' other bytes stay. An entry that the operator
/// placed stays, and so does the plugin's program: pods that run still call it when they end.
///
/// Stop the agents that keep the chain first; they would put the entry back.
pub fn remove(conf_dir: &Path, provenance_dir: &Path) -> Result<Removed, Problem> {
    if !provenance_dir.exists() {
        return Ok(Removed::default());
    }
    let mut provenance = Provenance::open(provenance_dir, conf_dir)?;
    let ours = provenance.ours();
    let (mut left, mut removed) = (Ours::default(), Removed::default());
    let mut take = |path: PathBuf, result: Result<bool, Problem>| -> bool {
        match result {
            Ok(true) => removed.files.push(path),
            Ok(false) => {}
            Err(problem) => {
                removed.problems.push(problem);
                return false;
            }
        }
        true
    };
    for (name, since) in &ours.lists {
        let path = conf_dir.join(name);
        let result = remove_from_list(&path, conf_dir);
        if !take(path, result) {
            left.lists.insert(name.clone(), since.clone());
        }
    }
    for (name, drop_in) in &ours.drop_ins {
        let path = conf_dir.join(name);
        let existed = path.exists();
        let result = remove_drop_in(&path, drop_in.made_directory);
        if !take(path, result.map(|()| existed)) {
            left.drop_ins.insert(name.clone(), drop_in.clone());
        }
    }
    if !ours.drop_ins.is_empty() {
        removed.problems.extend(
            replace::nudge(conf_dir).map_err(Problem::io("make the runtime look at", conf_dir)).err(),
        );
    }
    let swept = sweep_confs(conf_dir, &ours).and(provenance.sweep());
    removed.problems.extend(swept.err());
    provenance.record(left)?;
    let directories = provenance.elsewhere();
    if !directories.is_empty() {
        removed.problems.push(Problem::Elsewhere { directories, record: provenance.path().to_owned() });
    }
    provenance.finish()?;
    Ok(removed)
}

/// Says whether there was an entry.
fn remove_from_list(path: &Path, conf_dir: &Path) -> Result<bool, Problem> {
    let end = Instant::now() + PATIENCE;
    let mut replaced = Replaced::default();
    let mut late: Option<Vec<u8>> = None;
    let mut had_entry = false;
    loop {
        match fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(had_entry),
            _ => {}
        }
        let conf = conf_dir::read(path)?;
        let list = late.take().unwrap_or_else(|| conf.bytes.clone());
        let edited = match conflist::remove(&list, PLUGIN_TYPE) {
            Ok(edited) => edited,
            Err(error) if error.is_incomplete() && Instant::now() < end => {
                sleep(QUIET);
                continue;
            }
            Err(source) => return Err(Problem::Unusable { path: path.to_owned(), source }),
        };
        if edited.bytes == conf.bytes {
            return Ok(had_entry);
        }
        had_entry |= edited.change == Change::Removed;
        let still = || conf.is_current();
        let done = replace_if(&conf.target, &edited.bytes, conf.access, still)
            .map_err(Problem::io("write", path))?;
        if !done {
            if Instant::now() >= end {
                return Err(Problem::Unfinished { path: path.to_owned() });
            }
            sleep(QUIET);
            continue;
        }
        if conf.target.parent() != Some(conf_dir) {
            replace::nudge(conf_dir).map_err(Problem::io("make the runtime look at", conf_dir))?;
        }
        replaced.hold(conf, Instant::now());
        for _ in 0..3 {
            sleep(QUIET);
            late = late.or_else(|| replaced.look(Instant::now()).map(|(_, bytes)| bytes));
        }
    }
}

#[cfg(test)]
mod tests;
