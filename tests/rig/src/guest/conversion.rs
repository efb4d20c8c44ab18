//! `net.smc.tcp2smc` on a kernel that has none; see `hack/guest/tcp2smc`.

use super::{GuestError, write_file};
use crate::layout::BootWords;

const MODPROBE_SETTINGS: &str = "/etc/modprobe.d/rig-tcp2smc.conf";

/// Has the module loaded whenever smc is, whoever asks for that: as on Alibaba's kernel, the sysctl comes with smc.
pub fn prepare(words: &BootWords) -> Result<(), GuestError> {
    let Some(module) = &words.tcp2smc else { return Ok(()) };
    let then = format!("install smc modprobe --ignore-install smc && insmod {}\n", module.display());
    write_file(MODPROBE_SETTINGS, then)
}
