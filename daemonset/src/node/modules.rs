//! Load the kernel's SMC modules, by the kernel's own autoload, when that cannot hurt.

use std::path::Path;
use std::sync::Once;

use smc_host::genl::SmcFamilies;
use smc_host::kernel::module_is_loaded;
use smc_host::netlink::{Connection, Protocol};
use smc_host::reserved_ports::{self, RESERVED};

/// Makes sure that smc and `smc_diag` are loaded.
///
/// # Errors
/// In words for a person, why they are not. With an iWARP eRDMA device (`iwarp`) loading fails, or worse, later
/// namespaces cannot be made, when somebody holds one of the reserved ports: then nothing is loaded.
pub fn ensure_loaded(iwarp: bool, proc: &Path) -> Result<(), String> {
    if module_is_loaded("smc") && module_is_loaded("smc_diag") {
        return Ok(());
    }
    if iwarp && !module_is_loaded("smc") {
        let taken = reserved_ports::taken(proc);
        if !taken.is_empty() {
            return Err(format!(
                "the smc module was not loaded: eRDMA in iWARP mode needs TCP ports {}-{} in every network namespace, \
                 and somebody has {}; end that program, and put the range into net.ipv4.ip_local_reserved_ports",
                RESERVED.start(),
                RESERVED.end(),
                reserved_ports::told(&taken),
            ));
        }
    }
    if module_is_loaded("smc") {
        load_smc_diag();
        return Ok(());
    }
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
/// connections are missing, so it is tried once.
fn load_smc_diag() {
    static TRIED: Once = Once::new();
    TRIED.call_once(|| {
        let asked = Connection::open(Protocol::SockDiag).and_then(|mut diagnosis| {
            diagnosis.request(&"list SMC's sockets", &smc_abi::diag::smc_sockets())
        });
        if let Err(error) = asked {
            tracing::warn!(
                "the module smc_diag is not there, so connections cannot be listed: {}",
                error.with_cause()
            );
        }
    });
}
