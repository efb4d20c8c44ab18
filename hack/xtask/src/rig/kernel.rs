//! The files a node boots from, which `hack/setup` keeps.

use std::path::PathBuf;
use std::process::Command;

use super::RigError;
use super::options::Kernel;
use super::state::repository;

/// A kernel ready to boot, and what emulates the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BootFiles {
    pub(crate) kernel: PathBuf,
    pub(crate) initramfs: PathBuf,
    pub(crate) modules: PathBuf,
    pub(crate) emulator: PathBuf,
}

impl BootFiles {
    /// Asks `hack/setup` for the newest kernel of a series; it makes the initramfs when that is missing.
    pub(crate) fn find(kernel: Kernel) -> Result<Self, RigError> {
        let setup = repository().join("hack/setup");
        let output = Command::new(&setup)
            .args(["--print-boot", &kernel.to_string()])
            .output()
            .map_err(|source| RigError::Start { program: setup.display().to_string(), source })?;
        if !output.status.success() {
            return Err(RigError::Kernel(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
        }
        Self::parse(&String::from_utf8_lossy(&output.stdout)).ok_or_else(|| {
            RigError::Kernel("hack/setup --print-boot printed something unexpected".to_owned())
        })
    }

    fn parse(output: &str) -> Option<Self> {
        let mut lines = output.lines();
        let _version = lines.next()?;
        let mut path = || lines.next().filter(|line| line.starts_with('/')).map(PathBuf::from);
        Some(Self { kernel: path()?, initramfs: path()?, modules: path()?, emulator: path()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn setups_five_lines_are_understood() {
        let files = BootFiles::parse("6.12\n/k/vmlinuz\n/k/initramfs\n/k/modules\n/q/qemu\n").unwrap();
        assert_eq!(files.initramfs, PathBuf::from("/k/initramfs"));
        assert_eq!(files.emulator, PathBuf::from("/q/qemu"));
    }

    #[test]
    fn missing_lines_and_relative_paths_are_not() {
        assert_eq!(BootFiles::parse(""), None);
        assert_eq!(BootFiles::parse("6.12\n/k/vmlinuz\n/k/initramfs\n/k/modules\n"), None);
        assert_eq!(BootFiles::parse("6.12\nvmlinuz\n/k/initramfs\n/k/modules\n/q/qemu\n"), None);
    }
}
