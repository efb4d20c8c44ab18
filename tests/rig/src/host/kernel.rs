//! The files a node boots from, which `hack/setup` keeps.

use std::path::PathBuf;
use std::process::Command;

use super::RigError;
use super::options::{Conversion, Kernel, UpOptions};
use super::state::repository;

/// A kernel ready to boot, and what emulates the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BootFiles {
    pub(crate) kernel: PathBuf,
    pub(crate) initramfs: PathBuf,
    pub(crate) modules: PathBuf,
    pub(crate) emulator: PathBuf,
    /// What gives it `net.smc.tcp2smc`, where that is wanted.
    pub(crate) tcp2smc: Option<PathBuf>,
}

impl BootFiles {
    /// Asks `hack/setup` for the newest kernel of a series, or for the one in a directory; it makes the initramfs when that
    /// is missing.
    pub(crate) fn find(options: &UpOptions) -> Result<Self, RigError> {
        let unexpected = |script: &str| RigError::Kernel(format!("{script} printed something unexpected"));
        let directory = options.kernel_dir.as_ref().map(|directory| format!("{}/", directory.display()));
        let wanted = directory.unwrap_or_else(|| options.kernel.to_string());
        let files = ask("hack/setup", &["--print-boot", &wanted])?;
        let files = Self::parse(&files).ok_or_else(|| unexpected("hack/setup --print-boot"))?;
        let tcp2smc = match (options.conversion, options.kernel, &options.kernel_dir) {
            (Conversion::Bpf, ..) => return Ok(files),
            (Conversion::Sysctl, Kernel::V6_12, None) => {
                ask("hack/rig-module", &[])?;
                ask("hack/rig-module", &["--print"])?
            }
            (Conversion::Sysctl, ..) => {
                return Err(RigError::Kernel("net.smc.tcp2smc is made for Linux 6.12 only".to_owned()));
            }
        };
        Ok(Self { tcp2smc: Some(tcp2smc.trim().into()), ..files })
    }

    /// Where the emulator's firmware is.
    pub(crate) fn firmware(&self) -> [PathBuf; 2] {
        let share = self.emulator.with_file_name("../share");
        ["qemu", "seabios"].map(|package| share.join(package))
    }

    fn parse(output: &str) -> Option<Self> {
        let mut lines = output.lines();
        let _version = lines.next()?;
        let mut path = || lines.next().filter(|line| line.starts_with('/')).map(PathBuf::from);
        Some(Self { kernel: path()?, initramfs: path()?, modules: path()?, emulator: path()?, tcp2smc: None })
    }
}

/// What a script of the repository prints.
fn ask(script: &str, arguments: &[&str]) -> Result<String, RigError> {
    let path = repository().join(script);
    let output = Command::new(&path)
        .args(arguments)
        .output()
        .map_err(|source| RigError::Start { program: path.display().to_string(), source })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(RigError::Kernel(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
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
