//! What the kernel counted in one network namespace: SMC connections and fallbacks.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use smc_abi::smc::Role;
use smc_host::HostError;
use smc_host::genl::SmcFamilies;
use smc_host::netns::Netns;
use smc_host::smc;

use crate::host::{Pod, repository};

/// Connection counters of one network namespace, from its creation or between two looks.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counters {
    /// As the connecting side.
    pub client: RoleCounters,
    /// As the accepting side.
    pub server: RoleCounters,
}

/// One role's counters.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RoleCounters {
    /// Connections that became SMC-R.
    pub smcr: u64,
    /// Handshakes that ended in an error, without connection.
    pub errors: u64,
    /// Connections that fell back to TCP, by reason code. Modulo 65536, as the kernel counts.
    pub fallback: BTreeMap<u32, u16>,
}

impl Counters {
    /// Reads the counters of the namespace at `path`. All zero where the kernel has no SMC.
    pub fn read(path: &Path) -> Result<Self, HostError> {
        let mut inside = Netns::open(path)?.connect()?;
        if !smc_host::kernel::module_is_loaded("smc") {
            return Ok(Self::default());
        }
        let Some(families) = SmcFamilies::find(&mut inside.generic)? else { return Ok(Self::default()) };
        let stats = smc::stats(&mut inside.generic, families.smc)?;
        let mut counters = Self::default();
        counters.client.smcr = stats.smcr.client_v1 + stats.smcr.client_v2;
        counters.server.smcr = stats.smcr.server_v1 + stats.smcr.server_v2;
        counters.client.errors = stats.client_handshake_errors;
        counters.server.errors = stats.server_handshake_errors;
        for fallback in smc::fallback_stats(&mut inside.generic, families.smc)? {
            let role = match fallback.role {
                Role::Client => &mut counters.client,
                Role::Server => &mut counters.server,
            };
            if fallback.count > 0 {
                role.fallback.insert(fallback.reason, fallback.count);
            }
        }
        Ok(counters)
    }

    /// Reads a pod's counters on its node.
    pub fn of(pod: &Pod<'_>) -> anyhow::Result<Self> {
        let program = repository().join("target/debug/smc-counters").display().to_string();
        let netns = pod.netns.display().to_string();
        let output = pod.node().command(&[program.as_str(), &netns]).check()?;
        serde_json::from_slice(&output.stdout).with_context(|| format!("read the counters of {}", pod.name))
    }

    /// What happened since `before`.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        Self { client: self.client.since(&before.client), server: self.server.since(&before.server) }
    }
}

impl RoleCounters {
    fn since(&self, before: &Self) -> Self {
        let fallback = self.fallback.iter().filter_map(|(&reason, &count)| {
            let more = count.wrapping_sub(before.fallback.get(&reason).copied().unwrap_or(0));
            (more > 0).then_some((reason, more))
        });
        Self {
            smcr: self.smcr - before.smcr,
            errors: self.errors - before.errors,
            fallback: fallback.collect(),
        }
    }

    /// All fallbacks, whatever the reason.
    pub fn fallbacks(&self) -> u64 {
        self.fallback.values().map(|&count| u64::from(count)).sum()
    }

    /// Whether nothing was counted: no SMC socket took part in a connection.
    pub fn is_zero(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reasons_counter_that_wrapped_still_gives_the_difference() {
        let with =
            |count| RoleCounters { fallback: [(0x0301_0000, count)].into(), ..RoleCounters::default() };
        assert_eq!(with(3).since(&with(65_534)).fallback[&0x0301_0000], 5);
        assert!(with(3).since(&with(3)).is_zero());
    }
}
