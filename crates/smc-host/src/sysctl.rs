//! Sysctls: read before write, read back after.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::{Cause, HostError};

/// A view of `/proc/sys`; inside a container the host's is mounted elsewhere. What is under `net` belongs to the
/// network namespace of the calling thread.
#[derive(Debug, Clone)]
pub struct Sysctl {
    root: PathBuf,
}

impl Default for Sysctl {
    fn default() -> Self {
        Self::at("/proc/sys")
    }
}

impl Sysctl {
    /// The view mounted at `root`.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.join(name.replace('.', "/"))
    }

    /// The value, without its newline; `None` where the kernel has no such sysctl.
    pub fn read(&self, name: &str) -> Result<Option<String>, HostError> {
        match fs::read_to_string(self.path(name)) {
            Ok(text) => Ok(Some(text.trim_end().to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(HostError::new(format!("read the sysctl {name}"), error)),
        }
    }

    /// Sets the value unless it is so already; returns what it was.
    ///
    /// # Errors
    /// Also when the kernel took the write but shows another value afterwards.
    pub fn set(&self, name: &str, value: &str) -> Result<Option<String>, HostError> {
        let attempt = format_args!("set the sysctl {name} to {value}");
        let before = self.read(name)?;
        if before.as_deref() == Some(value) {
            return Ok(before);
        }
        write(&self.path(name), value).map_err(HostError::at(attempt))?;
        match self.read(name)? {
            Some(after) if after == value => Ok(before),
            after => {
                let found = after.unwrap_or_else(|| "nothing".to_owned());
                Err(HostError::new(attempt, Cause::Unexpected(format!("it reads {found} afterwards"))))
            }
        }
    }
}

/// Without creating: a sysctl that is not there must not become a file.
fn write(path: &Path, value: &str) -> io::Result<()> {
    use std::io::Write;
    fs::OpenOptions::new().write(true).open(path)?.write_all(value.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sysctl_with(value: &str) -> (tempfile::TempDir, Sysctl) {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("net/smc")).unwrap();
        fs::write(dir.path().join("net/smc/tcp2smc"), value).unwrap();
        let sysctl = Sysctl::at(dir.path());
        (dir, sysctl)
    }

    #[test]
    fn a_sysctl_the_kernel_does_not_have_reads_as_none_and_cannot_be_set() {
        let (dir, sysctl) = sysctl_with("0\n");
        assert_eq!(sysctl.read("net.smc.absent").unwrap(), None);
        assert!(sysctl.set("net.smc.absent", "1").is_err());
        assert!(!dir.path().join("net/smc/absent").exists());
    }

    #[test]
    fn setting_tells_what_it_was_before() {
        let (_dir, sysctl) = sysctl_with("0\n");
        assert_eq!(sysctl.set("net.smc.tcp2smc", "1").unwrap().as_deref(), Some("0"));
        assert_eq!(sysctl.set("net.smc.tcp2smc", "1").unwrap().as_deref(), Some("1"));
    }
}
