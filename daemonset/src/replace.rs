//! Replace a file in one step that also survives a power cut.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use nix::unistd::{Gid, Uid, fchown};

/// In the name of every temporary file of ours. What follows is a process id, so no runtime takes the file for a
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

/// Writes `content` beside `target` (a rename from another directory is invisible to containerd), syncs it, asks
/// `still` whether to go on, renames it over `target` and syncs the directory. Returns whether it went on; nothing
/// stays behind when it did not or something failed.
pub fn replace_if(
    target: &Path,
    content: &[u8],
    access: Access,
    still: impl FnOnce() -> bool,
) -> io::Result<bool> {
    let (Some(dir), Some(name)) = (target.parent(), target.file_name()) else {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    };
    let temporary = dir.join(format!(".{}{MARK}{}", name.to_string_lossy(), std::process::id()));
    let write = || -> io::Result<bool> {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            // Readable by nobody else until owner and mode are what they shall be.
            .mode(0o600)
            .custom_flags(nix::libc::O_NOFOLLOW)
            .open(&temporary)?;
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
            fs::remove_file(&temporary)?;
            return Ok(false);
        }
        fs::rename(&temporary, target)?;
        File::open(dir)?.sync_all()?;
        Ok(true)
    };
    write().inspect_err(|_| drop(fs::remove_file(&temporary)))
}

/// Writes `content` to `target`, as [`replace_if`] without a question.
pub fn replace(target: &Path, content: &[u8], access: Access) -> io::Result<()> {
    replace_if(target, content, access, || true).map(drop)
}

/// Removes the temporary files that an earlier process of ours left in `dir` when it was killed. The caller makes sure
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
            fs::remove_file(entry.path())?;
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
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_replaced_with_its_mode_and_nothing_stays_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("10-a.conflist");
        fs::write(&file, "old").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        let access = Access::of(&fs::metadata(&file).unwrap());
        replace(&file, b"new", access).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        assert_eq!(Access::of(&fs::metadata(&file).unwrap()), access);
        assert_eq!(names(dir.path()), ["10-a.conflist"]);
    }

    #[test]
    fn the_owner_is_kept() {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("not run: giving files away needs root");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("f");
        fs::write(&file, "old").unwrap();
        std::os::unix::fs::chown(&file, Some(1234), Some(4321)).unwrap();
        replace(&file, b"new", Access::of(&fs::metadata(&file).unwrap())).unwrap();
        let after = fs::metadata(&file).unwrap();
        assert_eq!((after.uid(), after.gid()), (1234, 4321));
    }

    #[test]
    fn a_file_that_changed_meanwhile_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("f");
        fs::write(&file, "theirs").unwrap();
        assert!(!replace_if(&file, b"ours", Access::own(0o600), || false).unwrap());
        assert_eq!(
            (fs::read_to_string(&file).unwrap().as_str(), names(dir.path())),
            ("theirs", vec!["f".into()])
        );
    }

    #[test]
    fn only_our_own_leftovers_are_swept() {
        let dir = tempfile::tempdir().unwrap();
        let others = [".10-a.conflist.swp", ".kube-smc-", "10-a.conflist", "x.kube-smc-7", ".x.kube-smc-7a"];
        for name in others.iter().chain(&[".10-a.conflist.kube-smc-7", ".nudge.kube-smc-8"]) {
            fs::write(dir.path().join(name), "").unwrap();
        }
        assert_eq!(sweep(dir.path()).unwrap(), 2);
        assert_eq!(
            names(dir.path()),
            [".10-a.conflist.swp", ".kube-smc-", ".x.kube-smc-7a", "10-a.conflist", "x.kube-smc-7"]
        );
        assert_eq!(sweep(&dir.path().join("absent")).unwrap(), 0);
    }

    #[test]
    fn a_nudge_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        nudge(dir.path()).unwrap();
        assert_eq!(names(dir.path()), [""; 0]);
    }
}
