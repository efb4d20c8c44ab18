//! What kube-smc put into a pod's own namespace, taken out of a pod that goes on living.

use std::path::Path;

use smc_host::genl::SmcFamilies;
use smc_host::netns::Netns;
use smc_host::sysctl::Sysctl;
use smc_host::{HostError, apply, kernel, pnet};
use smc_state::Record;

/// Ends the pod's conversion and removes its PNETIDs, as far as they are ours; `proc` is the host's `/proc`. A namespace
/// that is gone, or another one by now, has nothing of ours.
pub fn undo_inside(record: &Record, proc: &Path) -> Result<(), HostError> {
    let Ok(netns) = Netns::open(&record.netns) else { return Ok(()) };
    if record.netns_id != Some(netns.id()) {
        return Ok(());
    }
    apply::unconvert(&record.owned, &netns, &Sysctl::at(proc.join("sys")))?;
    if record.owned.pnetids.is_empty() || !kernel::module_is_loaded("smc") {
        return Ok(());
    }
    let mut inside = netns.connect()?;
    let Some(families) = SmcFamilies::find(&mut inside.generic)? else { return Ok(()) };
    record.owned.pnetids.iter().try_for_each(|id| pnet::delete(&mut inside.generic, families.pnetid, id))
}
