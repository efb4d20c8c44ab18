//! One look at the files, and what has to be done to them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use cni_spec::PLUGIN_TYPE;
use cni_spec::conflist;

use super::conf_dir::{self, ConfFile};
use super::decide::{self, Decision, Present, Seen, decide};
use super::fight::Fight;
use super::late::{QUIET, Replaced};
use super::provenance::{DropIn, Ours, Provenance, Since};
use super::{Choice, Facts, Mode, Options, Owner, Placement, Problem, choose};
use crate::plugin_binary::PluginBinary;
use crate::replace::{self, replace, replace_if};

/// How long [`install_once`] waits for a list that is being written.
const PATIENCE: Duration = Duration::from_secs(2);

/// Installs, and remembers between two looks what it did.
#[derive(Debug)]
pub(super) struct Installer {
    options: Options,
    binary: PluginBinary,
    pub(super) replaced: Replaced,
    pub(super) fight: Fight,
    /// The list as we wrote it last.
    written: Option<(PathBuf, Vec<u8>)>,
    /// Where the entry was missing at the last look, and what was ours then.
    missing: Option<(PathBuf, Ours)>,
}

/// What was seen and done.
#[derive(Debug, Default)]
pub(super) struct Look {
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

    /// Removes what a killed process of ours left.
    pub(super) fn sweep(&self) -> Result<(), Problem> {
        let conf_dir = &self.options.conf_dir;
        let provenance = Provenance::open(&self.options.provenance_dir, conf_dir)?;
        let mut swept =
            provenance.sweep()? + self.binary.sweep()? + sweep_confs(conf_dir, &provenance.ours())?;
        if let Ok(conf) = conf_dir::active(conf_dir)
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
    pub(super) fn look(&mut self, now: Instant, late: Option<(PathBuf, Vec<u8>)>) -> Look {
        let mut look = Look::default();
        let binary = self.binary.ensure();
        look.binary_copied = matches!(binary, Ok(true));
        if self.options.mode != Mode::Off
            && let Err(problem) = self.look_at_list(&mut look, now, late)
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
        look: &mut Look,
        now: Instant,
        late: Option<(PathBuf, Vec<u8>)>,
    ) -> Result<(), Problem> {
        let mut provenance = Provenance::open(&self.options.provenance_dir, &self.options.conf_dir)?;
        let conf = conf_dir::active(&self.options.conf_dir)?;
        look.list = Some(conf.path.clone());
        look.beside
            .extend(conf.target.parent().filter(|dir| **dir != self.options.conf_dir).map(Path::to_owned));
        let list = self.newest(&conf, late);
        let mut ours = provenance.ours();

        let key = PathBuf::from(conf.path.file_name().unwrap_or_default());
        let has_entry = conflist::find(&list, PLUGIN_TYPE).is_ok_and(|found| found.is_some());
        let missing = (!has_entry).then(|| (conf.path.clone(), ours.clone()));
        if has_entry
            && self.missing == Some((conf.path.clone(), ours.clone()))
            && ours.lists.remove(&key).is_some()
        {
            // It was missing, and neither we nor another process of ours put it in.
            tracing::info!(list = %conf.path.display(), "the list's owner now brings the entry itself; it is left to them");
            provenance.record(ours.clone())?;
        }
        self.missing = missing;
        if !has_entry {
            // Of a list that is being written too: a drop-in's owner is not asked here.
            self.lost_from_list(&ours, &key, now);
        }

        let description = decide::describe(&conf.path, &list)?;
        look.name.clone_from(&description.name);
        let drop_in_directory = description.drop_in_directory();
        let facts = Facts {
            runtime: self.options.runtime.as_ref(),
            list_takes_drop_ins: Some(drop_in_directory.is_some()),
            writable: conf_dir::is_writable(&self.options.conf_dir),
        };
        let Some(choice) = choose(self.options.mode, &facts) else { return Ok(()) };
        let beside = match drop_in_directory {
            Some(name) => conf_dir::drop_ins(&self.options.conf_dir, name)?,
            None => Vec::new(),
        };
        if let Some(name) =
            drop_in_directory.filter(|_| !beside.is_empty() || choice.placement == Placement::DropIn)
        {
            look.beside.push(self.options.conf_dir.join(name));
        }
        let drop_ins = beside
            .iter()
            .map(|file| (file.path.clone(), file.bytes.as_slice(), ours.drop_ins.contains_key(&file.path)));
        let seen = Seen {
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
        if let Some(wait) = self.fight.wait(now) {
            look.again = Some(wait);
            look.present = decision.present.take().filter(|_| decision.was_present);
            return Ok(());
        }
        if let Some(wait) = new_list.as_ref().and_then(|_| until_quiet(&conf)) {
            look.again = Some(wait);
            look.present = decision.present.take().filter(|_| decision.was_present);
            return Ok(());
        }
        // An entry without its program keeps every pod of the node from starting; the program's problem is reported.
        if !self.binary.target().exists() {
            look.present = decision.present.take().filter(|_| decision.was_present);
            return Ok(());
        }
        self.apply(look, &mut provenance, ours, conf, new_list, decision, now)
    }

    /// The list's newest bytes: those that its owner wrote late to a file that we had replaced, unless somebody wrote
    /// another one since.
    fn newest(&mut self, conf: &ConfFile, late: Option<(PathBuf, Vec<u8>)>) -> Vec<u8> {
        let is_as_written =
            self.written.as_ref().is_some_and(|(path, bytes)| *path == conf.target && *bytes == conf.bytes);
        if !is_as_written {
            self.replaced.forget(&conf.path);
        }
        match late {
            Some((path, bytes)) if is_as_written && path == conf.path => bytes,
            _ => conf.bytes.clone(),
        }
    }

    fn lost_from_list(&mut self, ours: &Ours, key: &Path, now: Instant) {
        if ours.lists.contains_key(key) {
            self.fight.gone(now);
        }
    }

    #[allow(clippy::too_many_arguments, reason = "the second half of one operation")]
    fn apply(
        &mut self,
        look: &mut Look,
        provenance: &mut Provenance,
        mut ours: Ours,
        conf: ConfFile,
        new_list: Option<Vec<u8>>,
        mut decision: Decision,
        now: Instant,
    ) -> Result<(), Problem> {
        let conf_dir = self.options.conf_dir.clone();
        let key = PathBuf::from(conf.path.file_name().unwrap_or_default());
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
        if is_ours {
            self.missing = None;
        }
        Ok(())
    }

    /// The record without what is gone.
    fn tidied(&self, mut ours: Ours, key: &Path, decision: &Decision) -> Ours {
        if !decision.list_is_ours {
            ours.lists.remove(key);
        }
        let exists = |path: &PathBuf| self.options.conf_dir.join(path).symlink_metadata().is_ok();
        ours.lists.retain(|path, _| exists(path));
        ours.drop_ins.retain(|path, _| exists(path));
        ours
    }
}

/// How long to wait until nobody wrote to the list for a moment.
fn until_quiet(conf: &ConfFile) -> Option<Duration> {
    // A time in the future says nothing.
    let age = SystemTime::now().duration_since(conf.modified?).ok()?;
    QUIET.checked_sub(age).filter(|wait| !wait.is_zero())
}

/// Removes a drop-in, and its directory when it was made for it and nobody else uses it.
pub(super) fn remove_drop_in(path: &Path, made_directory: bool) -> Result<(), Problem> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(Problem::io("remove", path)(error));
        }
        _ => {}
    }
    let Some(dir) = path.parent().filter(|_| made_directory) else { return Ok(()) };
    replace::sweep(dir).map_err(Problem::io("clean up", dir))?;
    match fs::remove_dir(dir) {
        Err(error) if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty) => {
            Err(Problem::io("remove", dir)(error))
        }
        _ => Ok(()),
    }
}

/// Removes temporary files from the configuration directory and those of our drop-ins.
pub(super) fn sweep_confs(conf_dir: &Path, ours: &Ours) -> Result<usize, Problem> {
    let beside = ours.drop_ins.keys().filter_map(|path| Some(conf_dir.join(path.parent()?)));
    let mut swept = 0;
    for dir in [conf_dir.to_owned()].into_iter().chain(beside) {
        swept += replace::sweep(&dir).map_err(Problem::io("clean up", &dir))?;
    }
    Ok(swept)
}

/// What [`install_once`] did.
#[derive(Debug)]
pub struct Installed {
    /// Whether the program was copied; `false` when an equal one was there.
    pub binary_copied: bool,
    /// How the entry gets into the chain; `None` when it is left alone.
    pub choice: Option<Choice>,
    /// The list or drop-in with the entry.
    pub file: Option<PathBuf>,
    /// Who placed the entry.
    pub owner: Option<Owner>,
    /// Whether a configuration was written.
    pub changed: bool,
}

/// Puts program and entry in place, once. Waits some seconds at most, for a list that is being written.
pub fn install_once(options: Options) -> Result<Installed, Problem> {
    let mut installer = Installer::new(options);
    installer.sweep()?;
    let end = Instant::now() + PATIENCE;
    let mut late = None;
    let mut installed: Option<Installed> = None;
    let mut binary_copied = false;
    loop {
        let look = installer.look(Instant::now(), late.take());
        binary_copied |= look.binary_copied;
        let in_time = Instant::now() < end;
        match (look.problem, look.again) {
            (Some(Problem::Unfinished { .. }), _) if in_time => sleep(QUIET),
            (Some(problem), _) => return Err(problem),
            (None, Some(wait)) if in_time => sleep(wait),
            (None, Some(_)) => {
                return Err(Problem::Unfinished { path: look.list.unwrap_or_default() });
            }
            (None, None) => {
                let changed = look.wrote || installed.as_ref().is_some_and(|installed| installed.changed);
                installed = Some(Installed {
                    binary_copied,
                    choice: look.choice,
                    owner: look.present.as_ref().map(|present| present.owner),
                    file: look.present.map(|present| installer.options.conf_dir.join(present.at)),
                    changed,
                });
                late = look.wrote.then(|| installer.wait_for_late_bytes()).flatten();
                if let (None, Some(installed)) = (&late, installed.take()) {
                    return Ok(installed);
                }
            }
        }
    }
}

impl Installer {
    /// Gives the owner of a list that was just replaced a moment for its last bytes.
    fn wait_for_late_bytes(&mut self) -> Option<(PathBuf, Vec<u8>)> {
        for _ in 0..5 {
            sleep(QUIET);
            if let Some(late) = self.replaced.look(Instant::now()) {
                return Some(late);
            }
        }
        None
    }
}
