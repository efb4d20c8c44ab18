//! The running kernel: release, boot, modules.

use std::fs;
use std::path::Path;

use nix::sys::utsname::uname;

use crate::HostError;

/// `uname -r`.
pub fn release() -> Result<String, HostError> {
    let attempt = "ask for the kernel's release";
    let name = uname().map_err(HostError::at(attempt))?;
    Ok(name.release().to_string_lossy().into_owned())
}

/// The id of this boot (`/proc/sys/kernel/random/boot_id`).
pub fn boot_id() -> Result<String, HostError> {
    let path = "/proc/sys/kernel/random/boot_id";
    let text = fs::read_to_string(path).map_err(HostError::at(format!("read {path}")))?;
    Ok(text.trim().to_owned())
}

/// Whether a module is loaded or built in. A look: it loads nothing.
pub fn module_is_loaded(name: &str) -> bool {
    Path::new("/sys/module").join(name).exists()
}
