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
mod tests {
    use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

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

    /// What containerd loads its network anew for, by its own watch (fsnotify's): writes, removals, and renames away.
    fn reloads(watch: &Inotify) -> Vec<String> {
        let ignored = AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO | AddWatchFlags::IN_ATTRIB;
        let events = match watch.read_events() {
            Err(nix::errno::Errno::EAGAIN) => Vec::new(),
            events => events.unwrap(),
        };
        let heeded = events.into_iter().filter(|event| !event.mask.intersects(ignored));
        heeded.map(|event| format!("{:?} {:?}", event.mask, event.name)).collect()
    }

    #[test]
    fn a_file_that_is_replaced_is_one_event_for_the_runtime_and_it_is_in_place_by_then() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("10-a.conflist");
        fs::write(&file, "old").unwrap();
        let watch = Inotify::init(InitFlags::IN_NONBLOCK).unwrap();
        let heeded = AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_MODIFY
            | AddWatchFlags::IN_ATTRIB
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_MOVE;
        watch.add_watch(dir.path(), heeded).unwrap();
        let seen_when_asked = std::cell::RefCell::new(Vec::new());
        let still = || {
            seen_when_asked.borrow_mut().extend(reloads(&watch));
            true
        };
        assert!(replace_if(&file, b"new", Access::own(0o644), still).unwrap());
        assert_eq!(*seen_when_asked.borrow(), [""; 0], "nothing is seen of what is being written");
        let seen = reloads(&watch);
        assert_eq!(seen.len(), 1, "{seen:?}");
        assert!(seen[0].contains("IN_DELETE"), "after the rename: {seen:?}");
        nudge(dir.path()).unwrap();
        assert_eq!(reloads(&watch).len(), 1);
    }

    #[test]
    fn the_owner_is_kept() {
        if !test_support::as_root() {
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
        let aside = dir.path().join(".10-b.conflist.kube-smc-9");
        fs::create_dir(&aside).unwrap();
        fs::write(aside.join("10-b.conflist"), "").unwrap();
        assert_eq!(sweep(dir.path()).unwrap(), 3);
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
