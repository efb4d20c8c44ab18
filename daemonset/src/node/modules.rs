//! Load the kernel's SMC modules, by the kernel's own autoload.

use smc_host::genl::SmcFamilies;
use smc_host::kernel::module_is_loaded;
use smc_host::netlink::{Connection, Protocol};

/// Loads smc, and `smc_diag` with it.
///
/// # Errors
/// In words for a person, why it is not loaded.
pub(super) fn load_smc() -> Result<(), String> {
    // Looking a family up makes the kernel load the module that has it: SMC_PNETID's alias is in smc_diag, which
    // brings smc along (net/netlink/genetlink.c, net/smc/smc_diag.c).
    let mut generic = Connection::open(Protocol::Generic).map_err(|error| error.with_cause())?;
    let found = SmcFamilies::find(&mut generic).map_err(|error| error.with_cause())?;
    if found.is_none() || !module_is_loaded("smc") {
        return Err(
            "this kernel has no smc module, or could not load it (see dmesg and `modinfo smc`)".to_owned()
        );
    }
    Ok(())
}

/// Asking for SMC's sockets makes the kernel load `smc_diag` (net/core/sock_diag.c). Without it only the lists of
/// connections are missing, so that is no more than told.
pub(super) fn load_smc_diag() {
    let asked = Connection::open(Protocol::SockDiag)
        .and_then(|mut diagnosis| diagnosis.request(&"list SMC's sockets", &smc_abi::diag::smc_sockets()));
    if let Err(error) = asked {
        tracing::warn!(
            "the module smc_diag is not there, so connections cannot be listed: {}",
            error.with_cause()
        );
    }
}
