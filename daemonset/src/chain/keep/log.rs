//! What a look changed, for the log.

use std::time::Duration;

use super::Keeper;
use crate::chain::Owner;
use crate::chain::decide::Present;
use crate::chain::install::Findings;

impl Keeper {
    pub(super) fn log(&mut self, look: &Findings) {
        if look.binary_copied {
            tracing::info!(directory = %self.installer.options().bin_dir.display(), "copied the plugin's program");
        }
        if let Some(choice) = look.choice.as_ref().filter(|choice| self.choice.as_ref() != Some(choice)) {
            tracing::info!(placement = %choice.placement, why = choice.why, "how the entry gets into the CNI chain");
            self.state.placement = Some(choice.placement);
            self.state.why.clone_from(&choice.why);
            self.choice = Some(choice.clone());
        }
        let Some(Present { at, owner, .. }) = &look.present else { return };
        let at = self.installer.options().conf_dir.join(at);
        if look.put_in {
            let exposed = self.exposed_since.map_or(Duration::ZERO, |since| since.elapsed());
            tracing::info!(file = %at.display(), exposed_ms = exposed.as_millis(), "put the entry into the CNI chain");
        } else if self.state.present.as_ref() != Some(&at) || self.state.owner != Some(*owner) {
            let by = if *owner == Owner::Agent { "the agent" } else { "the operator" };
            tracing::info!(file = %at.display(), by, "the entry stands in the CNI chain");
        }
    }
}
