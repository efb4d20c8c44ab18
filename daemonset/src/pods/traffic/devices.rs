//! How much of the RDMA devices SMC-R uses.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use smc_host::genl::SmcFamilies;
use smc_host::netlink::{Connection, Protocol};
use smc_host::{HostError, smc, traffic};
use smc_model::QueuePairs;
use smc_verbs::DeviceLimits;

use crate::board::DeviceUse;

/// How often devices are counted.
const EVERY: Duration = Duration::from_secs(10);

/// What was last counted.
#[derive(Debug, Default)]
pub(super) struct Devices {
    counted: Option<Duration>,
    /// What each device has, asked once.
    limits: BTreeMap<String, Option<u64>>,
    /// Of the devices whose limits are known.
    queue_pairs: Vec<QueuePairs>,
}

impl Devices {
    /// Counts, unless that was done a moment ago.
    pub(super) fn count(&mut self, now: Duration) -> Option<Vec<DeviceUse>> {
        if self.counted.is_some_and(|counted| now.saturating_sub(counted) < EVERY) {
            return None;
        }
        self.counted = Some(now);
        let used = match traffic::families().and_then(|families| families.map(used).transpose()) {
            Ok(used) => used.unwrap_or_default(),
            Err(error) => {
                tracing::debug!("{}", error.with_cause());
                return None;
            }
        };
        let devices = used.into_iter().map(|(device, (link_groups, queue_pairs))| {
            let limit = || match smc_verbs::device_limits(&device) {
                DeviceLimits::Known(limits) => Some(u64::from(limits.max_qp)),
                DeviceLimits::Unknown(_) => None,
            };
            let queue_pairs_max = *self.limits.entry(device.clone()).or_insert_with(limit);
            DeviceUse { device, link_groups, queue_pairs, queue_pairs_max }
        });
        let devices: Vec<DeviceUse> = devices.collect();
        let known = devices.iter().filter_map(|device| {
            let (used, max) = (device.queue_pairs, device.queue_pairs_max?);
            Some(QueuePairs { device: device.device.clone(), used, max })
        });
        self.queue_pairs = known.collect();
        Some(devices)
    }

    /// Queue pairs of the devices whose limits are known.
    pub(super) fn queue_pairs(&self) -> &[QueuePairs] {
        &self.queue_pairs
    }
}

/// Link groups and links of each device that SMC knows. Each link is a queue pair.
fn used(families: SmcFamilies) -> Result<BTreeMap<String, (u64, u64)>, HostError> {
    let mut generic = Connection::open(Protocol::Generic)?;
    let known = smc::devices(&mut generic, families.smc)?;
    let mut used: BTreeMap<String, (u64, u64)> =
        known.into_iter().map(|device| (device.name, (0, 0))).collect();
    for linked in smc::link_groups(&mut generic, families.smc)? {
        let of: BTreeSet<&String> = linked.links.iter().map(|link| &link.device).collect();
        for device in of {
            used.entry(device.clone()).or_default().0 += 1;
        }
        for link in &linked.links {
            used.entry(link.device.clone()).or_default().1 += 1;
        }
    }
    Ok(used)
}
