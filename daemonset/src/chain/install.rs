//! One look at the files, and what has to be done to them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use cni_spec::PLUGIN_TYPE;
use cni_spec::conflist;

use super::clean::{remove_drop_in, sweep_confs};
use super::conf_dir::{self, ConfFile, FileId, Uses};
use super::decide::{self, Decision, OnDisk, Present, decide};
use super::fight::Fight;
use super::late::{QUIET, Replaced};
use super::provenance::{DropIn, Ours, Provenance, Since};
use super::{Choice, Facts, Mode, Options, Owner, Placement, Problem, RuntimeVersion, choose};
use crate::chain::plugin_binary::PluginBinary;
use crate::chain::replace::{self, replace, replace_if};

/// Installs, and remembers between two looks what it did.
#[derive(Debug)]
pub(super) struct Installer {
    options: Options,
    binary: PluginBinary,
    pub(super) replaced: Replaced,
    pub(super) fight: Fight,
    /// The list as we wrote it last.
    written: Option<(PathBuf, Vec<u8>)>,
    /// The very file in which the entry was missing at the last look.
    missing: Option<FileId>,
}

/// What was seen and done.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) binary_copied: bool,
    pub(super) choice: Option<Choice>,
    /// The list in use.
    pub(super) list: Option<PathBuf>,
    /// What the list calls itself.
    pub(super) name: Option<String>,
    /// The entry, if it stands somewhere now.
    pub(super) present: Option<Present>,
    /// Whether the entry was missing and was put in.
    pub(super) put_in: bool,
    /// Whether the runtime has something to read.
    pub(super) wrote: bool,
    /// Directories in which a change matters, besides the configuration directory.
    pub(super) beside: Vec<PathBuf>,
    /// After what time to look again, though nothing may change.
    pub(super) again: Option<Duration>,
    pub(super) problem: Option<Problem>,
}

impl Installer {
    pub(super) fn new(options: Options) -> Self {
        Self {
            binary: PluginBinary::new(options.plugin.clone(), options.bin_dir.clone()),
            fight: Fight::new(options.fight),
            options,
            replaced: Replaced::default(),
            written: None,
            missing: None,
        }
    }

    pub(super) fn options(&self) -> &Options {
        &self.options
    }

    fn uses(&self) -> Uses {
        let skips = self.options.runtime.as_ref().is_some_and(RuntimeVersion::skips_what_it_cannot_read);
        if skips { Uses::FirstValid } else { Uses::First }
    }

    /// Removes what a killed process of ours left.
    pub(super) fn sweep(&self) -> Result<(), Problem> {
        let conf_dir = &self.options.conf_dir;
        let provenance = Provenance::open(&self.options.provenance_dir, conf_dir)?;
        let mut swept =
            provenance.sweep()? + self.binary.sweep()? + sweep_confs(conf_dir, &provenance.ours())?;
        if let Ok(conf) = conf_dir::active(conf_dir, self.uses())
            && let Some(dir) = conf.target.parent().filter(|dir| *dir != conf_dir)
        {
            swept += replace::sweep(dir).map_err(Problem::io("clean up", dir))?;
        }
        if swept > 0 {
            tracing::info!(swept, "removed temporary files of an installation that was interrupted");
        }
        Ok(())
    }

    /// Looks once and does what has to be done. `late` is what a replaced file's owner wrote to it afterwards.
    /// `closed` tells that a writer has just closed a configuration: there is no need to wait whether it goes on.
    pub(super) fn look(&mut self, now: Instant, late: Option<(PathBuf, Vec<u8>)>, closed: bool) -> Findings {
        let mut look = Findings::default();
        let binary = self.binary.ensure();
        look.binary_copied = matches!(binary, Ok(true));
        let binary = binary.and_then(|_| self.binary.prove());
        if self.options.mode != Mode::Off
            && let Err(problem) = self.look_at_list(&mut look, now, late, closed)
        {
            look.problem = Some(problem);
        }
        if let Err(error) = binary {
            look.problem = Some(error.into());
        }
        look
    }

    fn look_at_list(
        &mut self,
        look: &mut Findings,
        now: Instant,
        late: Option<(PathBuf, Vec<u8>)>,
        closed: bool,
    ) -> Result<(), Problem> {
        let mut provenance = Provenance::open(&self.options.provenance_dir, &self.options.conf_dir)?;
        let conf = conf_dir::active(&self.options.conf_dir, self.uses())?;
        look.list = Some(conf.path.clone());
        look.beside
            .extend(conf.target.parent().filter(|dir| **dir != self.options.conf_dir).map(Path::to_owned));
        let (list, is_late) = self.newest(&conf, late);
        let mut ours = provenance.ours();

        let key = PathBuf::from(conf.path.file_name().unwrap_or_default());
        // Late bytes come while the entry stands in the list: nothing was lost.
        if !is_late {
            let has_entry = conflist::find(&list, PLUGIN_TYPE).is_ok_and(|found| found.is_some());
            let was_missing = replace_missing(&mut self.missing, conf.id(), has_entry);
            if has_entry && was_missing && ours.lists.remove(&key).is_some() {
                // We and other processes of ours only ever put another file in its place.
                tracing::info!(list = %conf.path.display(), "the list's owner now brings the entry itself; it is left to them");
                provenance.record(ours.clone())?;
            }
            if !has_entry && ours.lists.contains_key(&key) {
                self.fight.gone(now);
            }
        }

        let description = decide::describe(&conf.path, &list)?;
        look.name.clone_from(&description.name);
        let drop_in_directory = description.drop_in_directory();
        let beside = match drop_in_directory {
            Some(name) => conf_dir::drop_ins(&self.options.conf_dir, name)?,
            None => Vec::new(),
        };
        let facts = Facts {
            runtime: self.options.runtime.as_ref(),
            list_takes_drop_ins: Some(drop_in_directory.is_some()),
            writable: conf_dir::is_writable(&self.options.conf_dir),
            has_drop_in: beside.iter().any(|file| ours.drop_ins.contains_key(&file.path)),
        };
        let Some(choice) = choose(self.options.mode, &facts) else { return Ok(()) };
        if let Some(name) =
            drop_in_directory.filter(|_| !beside.is_empty() || choice.placement == Placement::DropIn)
        {
            look.beside.push(self.options.conf_dir.join(name));
        }
        let drop_ins = beside
            .iter()
            .map(|file| (file.path.clone(), file.bytes.as_slice(), ours.drop_ins.contains_key(&file.path)));
        let seen = OnDisk {
            placement: choice.placement,
            why: &choice.why,
            runtime: self.options.runtime.as_ref(),
            path: &conf.path,
            list: &list,
            list_is_ours: ours.lists.contains_key(&key),
            drop_ins: drop_ins.collect(),
            entry: &self.options.entry,
        };
        let decided = decide(&seen);
        look.choice = Some(choice);
        let (mut decision, problem) = decided?;
        look.problem = problem;
        decision.was_present |= is_late;
        self.carry_out(look, &mut provenance, Decided { key, ours, conf, list, decision }, now, closed)
    }

    /// Writes what was decided, unless nothing is to be written, or not now.
    fn carry_out(
        &mut self,
        look: &mut Findings,
        provenance: &mut Provenance,
        decided: Decided,
        now: Instant,
        closed: bool,
    ) -> Result<(), Problem> {
        let Decided { key, ours, conf, list, mut decision } = decided;
        let new_list = decision.write_list.take().unwrap_or(list);
        let new_list = (new_list != conf.bytes).then_some(new_list);
        let pending =
            new_list.is_some() || decision.write_drop_in.is_some() || !decision.remove_drop_ins.is_empty();
        if !pending {
            look.present = decision.present.take();
            let ours = self.tidied(ours, &key, &decision);
            return provenance.record(ours);
        }
        if !decision.was_present {
            self.fight.gone(now);
        }
        let wait = self
            .fight
            .wait(now)
            .or_else(|| new_list.as_ref().filter(|_| !closed).and_then(|_| until_quiet(&conf)));
        // An entry whose program cannot run keeps every pod of the node from starting; the program's problem is reported.
        if wait.is_some() || !self.binary.is_proven() {
            look.again = wait;
            look.present = decision.present.take().filter(|_| decision.was_present);
            return Ok(());
        }
        self.apply(look, provenance, Pending { key, ours, conf, new_list, decision }, now)
    }

    /// The list's newest bytes: those that its owner wrote late to a file that we had replaced, unless somebody wrote
    /// another one since. Says whether they are the late ones.
    fn newest(&mut self, conf: &ConfFile, late: Option<(PathBuf, Vec<u8>)>) -> (Vec<u8>, bool) {
        let written = self.written.as_ref();
        let is_as_written = written.is_some_and(|(path, bytes)| *path == conf.target && *bytes == conf.bytes);
        if !is_as_written {
            self.replaced.forget(&conf.path);
        }
        match late {
            Some((path, bytes)) if is_as_written && path == conf.path => (bytes, true),
            _ => (conf.bytes.clone(), false),
        }
    }

    fn apply(
        &mut self,
        look: &mut Findings,
        provenance: &mut Provenance,
        pending: Pending,
        now: Instant,
    ) -> Result<(), Problem> {
        let Pending { key, mut ours, conf, new_list, mut decision } = pending;
        let conf_dir = self.options.conf_dir.clone();
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        // First the intent: an agent that is killed now will know what is its own.
        if decision.list_is_ours {
            ours.lists.entry(key.clone()).or_insert(Since { since });
        }
        if let Some((path, _)) = &decision.write_drop_in {
            let made_directory = !conf_dir.join(path).parent().is_some_and(Path::exists);
            ours.drop_ins.entry(path.clone()).or_insert(DropIn { since, made_directory });
        }
        provenance.record(ours.clone())?;

        let mut unseen = false;
        if let Some((path, text)) = &decision.write_drop_in {
            let path = conf_dir.join(path);
            let dir = path.parent().unwrap_or(&conf_dir);
            fs::create_dir_all(dir).map_err(Problem::io("make", dir))?;
            replace(&path, text.as_bytes(), conf.access).map_err(Problem::io("write", &path))?;
            unseen = true;
        }
        let list = conf.path.clone();
        if let Some(bytes) = new_list {
            let replaced = replace_if(&conf.target, &bytes, conf.access, || conf.is_current());
            if !replaced.map_err(Problem::io("write", &list))? {
                look.again = Some(QUIET);
                look.wrote |= unseen;
                look.present = decision.present.take().filter(|_| decision.was_present);
                return Ok(());
            }
            // A rename elsewhere, behind a symbolic link, is not seen by the runtime.
            unseen |= conf.target.parent() != Some(&conf_dir);
            self.written = Some((conf.target.clone(), bytes));
            self.replaced.hold(conf, now);
        }
        for path in &decision.remove_drop_ins {
            let made_directory = ours.drop_ins.get(path).is_some_and(|drop_in| drop_in.made_directory);
            remove_drop_in(&conf_dir.join(path), made_directory)?;
            unseen = true;
        }
        if unseen {
            replace::nudge(&conf_dir).map_err(Problem::io("make the runtime look at", &conf_dir))?;
        }
        let ours = self.tidied(ours, &key, &decision);
        provenance.record(ours)?;

        let is_ours = decision.present.as_ref().is_some_and(|present| present.owner == Owner::Agent);
        look.put_in = is_ours && !decision.was_present;
        look.wrote = true;
        look.present = decision.present;
        if look.put_in {
            self.fight.put_in(now);
        }
        Ok(())
    }

    /// The record without what is gone.
    fn tidied(&self, mut ours: Ours, key: &Path, decision: &Decision) -> Ours {
        if !decision.list_is_ours {
            ours.lists.remove(key);
        }
        let exists = |path: &Path| self.options.conf_dir.join(path).symlink_metadata().is_ok();
        ours.lists.retain(|path, _| exists(path));
        // A directory that was made stays to be removed, also when the drop-in is lost just now.
        ours.drop_ins.retain(|path, drop_in| {
            exists(path) || drop_in.made_directory && path.parent().is_some_and(&exists)
        });
        ours
    }
}

/// What was decided, with what it was decided by.
struct Decided {
    /// The list's name in the record.
    key: PathBuf,
    ours: Ours,
    conf: ConfFile,
    /// The list's newest bytes.
    list: Vec<u8>,
    decision: Decision,
}

/// What is to be done, with all that it takes.
struct Pending {
    /// The list's name in the record.
    key: PathBuf,
    ours: Ours,
    conf: ConfFile,
    new_list: Option<Vec<u8>>,
    decision: Decision,
}

/// Remembers whether the entry is missing in this very file; says whether it was at the last look.
fn replace_missing(missing: &mut Option<FileId>, file: Option<FileId>, has_entry: bool) -> bool {
    let was_missing = missing.is_some() && *missing == file;
    *missing = file.filter(|_| !has_entry);
    was_missing
}

/// How long to wait until nobody wrote to the list for a moment.
fn until_quiet(conf: &ConfFile) -> Option<Duration> {
    // A time in the future says nothing.
    let age = SystemTime::now().duration_since(conf.modified?).ok()?;
    QUIET.checked_sub(age).filter(|wait| !wait.is_zero())
}
