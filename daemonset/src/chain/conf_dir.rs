//! What stands in the configuration directory.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use cni_spec::conflist::{self, ConflistError};

use nix::unistd::{AccessFlags, eaccess};

use super::Problem;
use crate::chain::replace::Access;

/// More than any list; keeps a wrong file from filling the memory.
const SIZE_LIMIT: u64 = 4 << 20;

/// The file that the runtime uses, held open: it can be told apart from one that is put in its place.
#[derive(Debug)]
pub(super) struct ConfFile {
    /// In the directory.
    pub(super) path: PathBuf,
    /// Where the content is: another place when `path` is a symbolic link.
    pub(super) target: PathBuf,
    pub(super) file: File,
    pub(super) bytes: Vec<u8>,
    pub(super) access: Access,
    pub(super) modified: Option<SystemTime>,
}

/// Device and inode.
pub(super) type FileId = (u64, u64);

/// A file in the directory beside a list.
#[derive(Debug)]
pub(super) struct DropInFile {
    /// Relative to the configuration directory.
    pub(super) path: PathBuf,
    pub(super) bytes: Vec<u8>,
}

/// Which of several files a runtime uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Uses {
    /// The first by name, whatever stands in it: containerd with its default of one configuration.
    First,
    /// The first by name that it can read: CRI-O (ocicni) passes over others.
    FirstValid,
}

/// How long a file may be half-written before it is taken for one that stays so.
const UNFINISHED_FOR: Duration = Duration::from_secs(5);

/// The configuration in `dir` that the runtime uses.
pub(super) fn active(dir: &Path, uses: Uses) -> Result<ConfFile, Problem> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Problem::NoDirectory { path: dir.to_owned() });
        }
        entries => entries.map_err(Problem::io("list", dir))?,
    };
    let files = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| !kind.is_dir()));
    let mut names: Vec<PathBuf> = files.map(|entry| PathBuf::from(entry.file_name())).collect();
    names.retain(|name| conflist::is_configuration(name));
    names.sort();
    let mut first = None;
    for name in names {
        let conf = read(&dir.join(name));
        if uses == Uses::First || conf.as_ref().is_ok_and(is_usable) {
            return conf;
        }
        first.get_or_insert(conf);
    }
    // Where none will do, the first one's trouble is told.
    first.unwrap_or_else(|| Err(Problem::NoConfiguration { dir: dir.to_owned() }))
}

/// Whether a file can be read as what its name says, or may be in a moment.
fn is_usable(conf: &ConfFile) -> bool {
    match conflist::describe(&conf.bytes) {
        Ok(_) => conflist::is_named_as_list(&conf.path),
        Err(ConflistError::SinglePlugin) => !conflist::is_named_as_list(&conf.path),
        Err(error) if error.is_incomplete() => {
            let age = conf.modified.and_then(|modified| SystemTime::now().duration_since(modified).ok());
            age.is_none_or(|age| age < UNFINISHED_FOR)
        }
        Err(_) => false,
    }
}

/// Reads one configuration.
pub(super) fn read(path: &Path) -> Result<ConfFile, Problem> {
    let target = match fs::canonicalize(path) {
        Ok(target) => target,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let dir = path.parent().unwrap_or(Path::new("/")).to_owned();
            return Err(match fs::read_link(path) {
                Ok(to) => Problem::DanglingLink { path: path.to_owned(), to },
                // It was there a moment ago, and will come again or not.
                Err(_) => Problem::NoConfiguration { dir },
            });
        }
        Err(source) => return Err(Problem::Io { action: "follow", path: path.to_owned(), source }),
    };
    let io = |source| Problem::Io { action: "read", path: path.to_owned(), source };
    let mut file = File::open(&target).map_err(io)?;
    let metadata = file.metadata().map_err(io)?;
    let mut bytes = Vec::new();
    (&mut file).take(SIZE_LIMIT).read_to_end(&mut bytes).map_err(io)?;
    Ok(ConfFile {
        path: path.to_owned(),
        target,
        file,
        bytes,
        access: Access::of(&metadata),
        modified: metadata.modified().ok(),
    })
}

impl ConfFile {
    /// Which file this is, whatever its name.
    pub(super) fn id(&self) -> Option<FileId> {
        self.file.metadata().ok().map(|held| (held.dev(), held.ino()))
    }

    /// Whether the directory still has this very file, and nobody wrote to it since.
    pub(super) fn is_current(&self) -> bool {
        let named = fs::metadata(&self.target).ok().map(|named| (named.dev(), named.ino()));
        named.is_some() && named == self.id() && content(&self.file).is_some_and(|bytes| bytes == self.bytes)
    }
}

/// The whole content of a file that is open, whether or not it still has a name.
pub(super) fn content(mut file: &File) -> Option<Vec<u8>> {
    use std::io::Seek;
    file.rewind().ok()?;
    let mut bytes = Vec::new();
    file.take(SIZE_LIMIT).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// The files that a runtime with libcni 1.3 appends to the list of this name, by name.
pub(super) fn drop_ins(dir: &Path, name: &str) -> Result<Vec<DropInFile>, Problem> {
    let beside = dir.join(name);
    let entries = match fs::read_dir(&beside) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        entries => entries.map_err(Problem::io("list", &beside))?,
    };
    let mut files = Vec::new();
    for entry in entries.flatten() {
        let path = Path::new(name).join(entry.file_name());
        if path.extension().is_some_and(|ending| ending == "conf") {
            match fs::read(entry.path()) {
                Ok(bytes) => files.push(DropInFile { path, bytes }),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(Problem::Io { action: "read", path: entry.path(), source }),
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

/// Whether files can be made in `dir`.
pub(super) fn is_writable(dir: &Path) -> bool {
    eaccess(dir, AccessFlags::W_OK | AccessFlags::X_OK).is_ok()
}

#[cfg(test)]
mod tests;
