//! What has to be done to the files: a function of what stands in them.

use std::path::{Path, PathBuf};

use cni_spec::PLUGIN_TYPE;
use cni_spec::conflist::{self, Change, ConflistError, Entry, Found};
use serde::Serialize;

use super::{Placement, Problem, RuntimeVersion};

/// The name of our drop-in: late in the order, so that what others drop in stays before it.
const DROP_IN_NAME: &str = "90-smc-cni.conf";

/// Who placed the entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Owner {
    /// This agent.
    Agent,
    /// Someone else; it is never changed or removed.
    Operator,
}

/// What is known before deciding.
#[derive(Debug)]
pub(super) struct OnDisk<'a> {
    pub(super) placement: Placement,
    pub(super) why: &'a str,
    pub(super) runtime: Option<&'a RuntimeVersion>,
    /// The list in use.
    pub(super) path: &'a Path,
    pub(super) list: &'a [u8],
    /// Whether the record says that the list's entry is ours.
    pub(super) list_is_ours: bool,
    /// Files beside the list; whether the record says that they are ours.
    pub(super) drop_ins: Vec<(PathBuf, &'a [u8], bool)>,
    /// What we want in the chain.
    pub(super) entry: &'a Entry,
}

impl OnDisk<'_> {
    /// Our entry, in force at a place.
    fn present(&self, at: PathBuf) -> Present {
        Present { at, owner: Owner::Agent, entry: Some(self.entry.clone()) }
    }
}

/// The list's name and the directory of its drop-ins, once its bytes make sense.
pub(super) fn describe(path: &Path, list: &[u8]) -> Result<conflist::Description, Problem> {
    conflist::describe(list).map_err(|error| unusable(path, error))
}

fn unusable(path: &Path, source: ConflistError) -> Problem {
    let path = path.to_owned();
    match source {
        ConflistError::SinglePlugin => Problem::SinglePlugin { path },
        source if source.is_incomplete() => Problem::Unfinished { path },
        source => Problem::Unusable { path, source },
    }
}

/// What to do, in this order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Decision {
    /// A drop-in to write: before an entry of ours leaves the list, so that no pod is missed.
    pub(super) write_drop_in: Option<(PathBuf, String)>,
    /// The list's new bytes.
    pub(super) write_list: Option<Vec<u8>>,
    /// Whether the list's entry is ours afterwards.
    pub(super) list_is_ours: bool,
    /// Drop-ins of ours to remove.
    pub(super) remove_drop_ins: Vec<PathBuf>,
    /// Whether the entry stood in its place before anything was done.
    pub(super) was_present: bool,
    /// Where the entry stands afterwards, who placed it, and what it says; `None`: nowhere.
    pub(super) present: Option<Present>,
}

/// The entry in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Present {
    /// The list, or the drop-in relative to the configuration directory.
    pub(super) at: PathBuf,
    pub(super) owner: Owner,
    /// `None` when it cannot work.
    pub(super) entry: Option<Entry>,
}

/// Decides. A problem may come with a decision: then the decision still holds.
pub(super) fn decide(seen: &OnDisk<'_>) -> Result<(Decision, Option<Problem>), Problem> {
    let description = describe(seen.path, seen.list)?;
    if !conflist::is_named_as_list(seen.path) {
        return Err(Problem::NotAListsName { path: seen.path.to_owned() });
    }
    let found = conflist::find(seen.list, PLUGIN_TYPE).map_err(|error| unusable(seen.path, error))?;
    let reads_drop_ins = seen.runtime.and_then(RuntimeVersion::reads_drop_ins);
    let ours: Vec<PathBuf> =
        seen.drop_ins.iter().filter(|(.., ours)| *ours).map(|(path, ..)| path.clone()).collect();
    let operators_drop_in = seen
        .drop_ins
        .iter()
        .find(|(_, bytes, ours)| !ours && reads_drop_ins != Some(false) && conflist::is_drop_in(bytes));

    // libcni 1.3 brought both.
    let called_in = description.called_in(reads_drop_ins);

    // What the operator placed stays, and ours gives way: the plugin would run twice for each pod.
    if let Some(found) = found.as_ref().filter(|_| !seen.list_is_ours) {
        let entry = found.entry.as_ref().map_err(ToString::to_string);
        let wrong =
            entry.err().or_else(|| misplaced(found)).or_else(|| Some(called_in.as_ref().err()?.to_string()));
        let decision = Decision { remove_drop_ins: ours, ..Decision::default() };
        return Ok(operators(seen.path.to_owned(), found.entry.clone().ok(), wrong, decision));
    }
    let without_ours = || -> Result<Option<Vec<u8>>, Problem> {
        let Some(_) = &found else { return Ok(None) };
        let edited = conflist::remove(seen.list, PLUGIN_TYPE).map_err(|error| unusable(seen.path, error))?;
        Ok((edited.change != Change::Unchanged).then_some(edited.bytes))
    };
    if let Some((path, bytes, _)) = operators_drop_in {
        let entry = Entry::parse(&String::from_utf8_lossy(bytes)).map_err(|error| error.to_string());
        let wrong = entry.as_ref().err().cloned().or_else(|| Some(called_in.as_ref().err()?.to_string()));
        let decision = Decision { write_list: without_ours()?, remove_drop_ins: ours, ..Decision::default() };
        return Ok(operators(path.clone(), entry.ok(), wrong, decision));
    }
    if let (Err(source), true) = (called_in, seen.placement != Placement::Managed) {
        // Every pod that asks for SMC would be refused, and each ADD would leave a line in the log.
        let decision = Decision { write_list: without_ours()?, remove_drop_ins: ours, ..Decision::default() };
        return Ok((decision, Some(Problem::NoCommonVersion { path: seen.path.to_owned(), source })));
    }

    match seen.placement {
        Placement::Managed => Ok(managed(seen, found.is_some(), &ours)),
        Placement::Inject => Ok((inject(seen, found.is_some(), ours)?, None)),
        Placement::DropIn => {
            let directory = description.drop_in_directory();
            let decision = drop_in(seen, directory, found.is_some(), without_ours, ours)?;
            Ok((decision, None))
        }
    }
}

/// Somebody else places the entry, and says that it is ours.
fn managed(seen: &OnDisk<'_>, found: bool, ours: &[PathBuf]) -> (Decision, Option<Problem>) {
    let at = found.then(|| seen.path.to_owned()).or_else(|| ours.first().cloned());
    let present = at.map(|at| seen.present(at));
    let problem = present
        .is_none()
        .then(|| Problem::NotManaged { path: seen.path.to_owned(), why: seen.why.to_owned() });
    let was_present = present.is_some();
    (Decision { list_is_ours: found, was_present, present, ..Decision::default() }, problem)
}

/// Into the list.
fn inject(seen: &OnDisk<'_>, found: bool, ours: Vec<PathBuf>) -> Result<Decision, Problem> {
    let edited = conflist::insert(seen.list, seen.entry).map_err(|error| unusable(seen.path, error))?;
    Ok(Decision {
        was_present: found,
        write_list: (edited.change != Change::Unchanged).then_some(edited.bytes),
        list_is_ours: true,
        remove_drop_ins: ours,
        present: Some(seen.present(seen.path.to_owned())),
        ..Decision::default()
    })
}

/// Beside the list, in `directory`; `without_ours` gives the list without an entry of ours.
fn drop_in(
    seen: &OnDisk<'_>,
    directory: Option<&str>,
    found: bool,
    without_ours: impl FnOnce() -> Result<Option<Vec<u8>>, Problem>,
    ours: Vec<PathBuf>,
) -> Result<Decision, Problem> {
    let directory = directory.ok_or_else(|| Problem::NoDropIns { path: seen.path.to_owned() })?;
    if let Some(runtime) = seen.runtime.filter(|runtime| runtime.reads_drop_ins() == Some(false)) {
        return Err(Problem::RuntimeIgnoresDropIns { runtime: runtime.to_string() });
    }
    let path = Path::new(directory).join(DROP_IN_NAME);
    let text = conflist::drop_in(seen.entry);
    let there = seen.drop_ins.iter().find(|(name, ..)| *name == path);
    let equal = there.is_some_and(|(_, bytes, _)| *bytes == text.as_bytes());
    Ok(Decision {
        was_present: there.is_some() || found,
        write_drop_in: (!equal).then_some((path.clone(), text)),
        write_list: without_ours()?,
        list_is_ours: false,
        remove_drop_ins: ours.into_iter().filter(|ours| *ours != path).collect(),
        present: Some(seen.present(path)),
    })
}

/// The operator's entry, which stays as it is, whatever is wrong with it.
fn operators(
    at: PathBuf,
    entry: Option<Entry>,
    wrong: Option<String>,
    decision: Decision,
) -> (Decision, Option<Problem>) {
    let problem = wrong.map(|why| Problem::OperatorsEntry { path: at.clone(), why });
    let present = Present { at, owner: Owner::Operator, entry };
    (Decision { was_present: true, present: Some(present), ..decision }, problem)
}

/// Why an entry cannot work where it stands.
fn misplaced(found: &Found) -> Option<String> {
    let why = match (found.index, found.count) {
        (0, 1) => "it stands alone, so nobody makes the pods' network",
        (0, _) => {
            "it stands first, before there is a network to look at: it must come after the plugin that makes it"
        }
        _ => return None,
    };
    Some(why.to_owned())
}

#[cfg(test)]
mod tests;
