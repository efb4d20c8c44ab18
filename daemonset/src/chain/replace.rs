//! Replace a file in one step that also survives a power cut.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use nix::unistd::{Gid, Uid, fchown};

/// In the name of every temporary file or directory of ours. What follows is a process id, so no runtime takes it for a
/// configuration: those end in `.conf`, `.conflist` or `.json`.
const MARK: &str = ".kube-smc-";

/// Who may do what with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// Permission bits.
    pub mode: u32,
    /// User and group; those of this process when `None`.
    pub owner: Option<(u32, u32)>,
}

impl Access {
    /// A file of this process with these permission bits.
    pub const fn own(mode: u32) -> Self {
        Self { mode, owner: None }
    }

    /// As another file has it.
    pub fn of(file: &fs::Metadata) -> Self {
        Self { mode: file.mode() & 0o7777, owner: Some((file.uid(), file.gid())) }
    }
}

/// Writes `content` in a directory of its own below `target`'s, syncs it, asks `still` whether to go on, renames it over
/// `target`, removes that directory and syncs. Returns whether it went on; nothing stays behind when it did not or something
/// failed.
///
/// For containerd this is one event, after the file is in place: of what happens in a directory that it watches it takes no
/// notice of creations, renames into it among them, but of writes and removals (`internal/cri/server/cni_conf_syncer.go`). Each
/// makes it load its network anew, which waits for ADDs under way, and its status waits for that.
pub fn replace_if(
    target: &Path,
    content: &[u8],
    access: Access,
    still: impl FnOnce() -> bool,
) -> io::Result<bool> {
    let (Some(dir), Some(name)) = (target.parent(), target.file_name()) else {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    };
    let aside = dir.join(format!(".{}{MARK}{}", name.to_string_lossy(), std::process::id()));
    match fs::remove_dir_all(&aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // Nobody else can look into it until owner and mode are what they shall be.
    DirBuilder::new().mode(0o700).create(&aside)?;
    let temporary = aside.join(name);
    let write = || -> io::Result<bool> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        file.write_all(content)?;
        if let Some((user, group)) = access.owner {
            let made = file.metadata()?;
            if (made.uid(), made.gid()) != (user, group) {
                fchown(&file, Some(Uid::from_raw(user)), Some(Gid::from_raw(group)))?;
            }
        }
        file.set_permissions(Permissions::from_mode(access.mode))?;
        file.sync_all()?;
        // Before it has its name: a program that somebody holds open for writing cannot be run (ETXTBSY), so that a pod
        // that starts or ends at this moment would find no plugin.
        drop(file);
        if !still() {
            return Ok(false);
        }
        fs::rename(&temporary, target)?;
        Ok(true)
    };
    let written = write();
    let removed = fs::remove_dir_all(&aside);
    let written = written?;
    removed?;
    if written {
        File::open(dir)?.sync_all()?;
    }
    Ok(written)
}

/// Writes `content` to `target`, as [`replace_if`] without a question.
pub fn replace(target: &Path, content: &[u8], access: Access) -> io::Result<()> {
    replace_if(target, content, access, || true).map(drop)
}

/// Removes what an earlier process of ours left in `dir` when it was killed. The caller makes sure
/// that no other one is at work there. Returns how many there were.
pub fn sweep(dir: &Path) -> io::Result<usize> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        entries => entries?,
    };
    let mut swept = 0;
    for entry in entries {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(is_temporary) {
            if entry.file_type()?.is_dir() {
                fs::remove_dir_all(entry.path())?;
            } else {
                fs::remove_file(entry.path())?;
            }
            swept += 1;
        }
    }
    Ok(swept)
}

/// Makes containerd load its configurations anew. It does not watch the directories of drop-ins, and of what happens
/// in `dir` it ignores a file's creation but not its removal.
pub fn nudge(dir: &Path) -> io::Result<()> {
    let file = dir.join(format!(".nudge{MARK}{}", std::process::id()));
    File::create(&file)?;
    fs::remove_file(&file)
}

fn is_temporary(name: &str) -> bool {
    let pid = name.strip_prefix('.').and_then(|name| name.rsplit_once(MARK));
    pid.is_some_and(|(_, pid)| !pid.is_empty() && pid.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests;
