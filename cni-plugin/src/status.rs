//! STATUS: an optional plugin must not take the node down.

use cni_spec::{CniError, Policy, code};
use smc_host::kernel;
use smc_model::Reason;

use crate::call::Call;

/// STATUS: fails only where acceleration is required and this node cannot give it; a failing STATUS makes the whole
/// node NotReady.
pub(crate) fn status(call: &Call<'_>) -> Result<(), CniError> {
    if call.config.options.policy != Policy::Required || call.store().is_uninstalled() {
        return Ok(());
    }
    let boot_id = kernel::boot_id().map_err(|error| {
        CniError::new(code::PLUGIN_NOT_AVAILABLE, "cannot tell this boot from another")
            .with_details(error.with_cause())
    })?;
    let obstacle = match call.store().node_facts(&boot_id) {
        // A switch is no failure of the node.
        Ok(facts) => facts.obstacle().filter(|reason| !matches!(reason, Reason::SwitchedOff { .. })),
        Err(reason) => Some(reason),
    };
    obstacle.map_or(Ok(()), |reason| {
        let text = format!("SMC is required, but this node cannot give it: {reason}");
        Err(CniError::new(code::PLUGIN_NOT_AVAILABLE, text).with_details(reason.remedy()))
    })
}
