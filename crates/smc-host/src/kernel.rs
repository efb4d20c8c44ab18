//! The running kernel: release, boot, modules.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use nix::sys::utsname::uname;
use nix::time::{ClockId, clock_gettime};

use crate::HostError;

/// Bytes of a UUID in text form.
const BOOT_ID: usize = 36;

/// `uname -r`.
pub fn release() -> Result<String, HostError> {
    let attempt = "ask for the kernel's release";
    let name = uname().map_err(HostError::at(attempt))?;
    Ok(name.release().to_string_lossy().into_owned())
}

/// `uname -v`.
pub fn version() -> Result<String, HostError> {
    let name = uname().map_err(HostError::at("ask for the kernel's version"))?;
    Ok(name.version().to_string_lossy().into_owned())
}

/// The id of this boot (`/proc/sys/kernel/random/boot_id`).
pub fn boot_id() -> Result<String, HostError> {
    let path = "/proc/sys/kernel/random/boot_id";
    let attempt = format_args!("read {path}");
    let mut text = String::with_capacity(BOOT_ID);
    // No more than that: a file's end takes another call to see.
    File::open(path)
        .and_then(|file| file.take(BOOT_ID as u64).read_to_string(&mut text))
        .map_err(HostError::at(attempt))?;
    Ok(text)
}

/// How long ago the node booted, sleep included.
pub fn since_boot() -> Duration {
    // Every kernel has had this clock since 2.6.39.
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::MAX, Duration::from)
}

/// Whether a module is loaded or built in. A look: it loads nothing.
pub fn module_is_loaded(name: &str) -> bool {
    module_inode(name).is_some()
}

/// The inode by which sysfs shows a module, `None` when it is not there. sysfs gives no inode number twice during a boot
/// (fs/kernfs/dir.c, `__kernfs_new_node`), so a module that is loaded anew has another. A look: it loads nothing.
pub fn module_inode(name: &str) -> Option<u64> {
    fs::metadata(Path::new("/sys/module").join(name)).ok().map(|metadata| metadata.ino())
}
