//! Sees to it that no process of a rig outlives the process that is bringing a rig up, however that process ends.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use super::state::StateDirectory;
use super::{RigError, processes};

/// A child that waits for its standard input to end. It ends together with this process, be it by an error, Ctrl-C or
/// SIGKILL; the child then ends the rig's processes, by the same rule as [`processes`], and removes the state directory.
#[derive(Debug)]
pub(crate) struct Guard {
    child: Child,
}

const SCRIPT: &str = r#"
read -r word
[ "$word" = dismissed ] && exit
for process in /proc/[0-9]*; do
  { read -r name <"$process/comm"; } 2>/dev/null || continue
  case " $2 " in
    *" $name "*) [ "$process/cwd" -ef "$1" ] && kill -9 "${process#/proc/}" ;;
  esac
done
rm -rf "$1"
"#;

impl Guard {
    /// Guards the rig with this state directory, which must exist.
    pub(crate) fn start(state: &StateDirectory) -> Result<Self, RigError> {
        let child = Command::new("sh")
            .args(["-c", SCRIPT, "sh"])
            .arg(state.path())
            .arg(processes::PROGRAMS.join(" "))
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C reaches a whole process group; the guard must outlive it.
            .process_group(0)
            .spawn();
        let child = child.map_err(|source| RigError::Start { program: "sh".to_owned(), source })?;
        Ok(Self { child })
    }

    /// Lets the rig live on without this process.
    pub(crate) fn dismiss(mut self) {
        if let Some(mut stdin) = self.child.stdin.take() {
            let _ = stdin.write_all(b"dismissed\n");
        }
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn an_abandoned_guard_ends_the_emulators_and_removes_their_directory() {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("rig");
        fs::create_dir(&directory).unwrap();
        let program = parent.path().join("qemu-system-x86_64");
        fs::copy("/bin/sleep", &program).unwrap();
        let mut emulator = Command::new(&program).arg("60").current_dir(&directory).spawn().unwrap();
        let mut other = Command::new(&program).arg("60").current_dir(parent.path()).spawn().unwrap();

        let mut guard = Guard::start(&StateDirectory::at(directory.clone())).unwrap();
        drop(guard.child.stdin.take());
        guard.child.wait().unwrap();

        assert!(!emulator.wait().unwrap().success());
        assert!(!directory.exists());
        assert!(other.try_wait().unwrap().is_none());
        other.kill().unwrap();
        other.wait().unwrap();
    }

    #[test]
    fn a_dismissed_guard_does_nothing() {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("rig");
        fs::create_dir(&directory).unwrap();
        Guard::start(&StateDirectory::at(directory.clone())).unwrap().dismiss();
        assert!(directory.exists());
    }
}
