//! kube-proxy in IPVS mode.

use smc_model::reasons::finding;

use super::{Check, smc};
use crate::output::counted;
use smc_surfaces::facts::Facts;

/// kube-proxy takes the addresses of pods that stand on the anchor link for the node's own, unless it is told which are.
pub(super) fn node_ports(facts: &Facts) -> Option<Check> {
    let name = "node ports";
    let servers = match &facts.virtual_servers {
        Ok(servers) => servers,
        Err(why) => return Some(Check::unknown(name, why)),
    };
    let taken = smc::anchored(facts).filter(|address| servers.contains(address)).count();
    (taken > 0).then(|| {
        let seen = format!(
            "kube-proxy's IPVS serves node ports at {} of accelerated pods, too",
            counted(taken as u64, "address")
        );
        Check::problem(name, &finding::NODE_PORTS_ON_POD_ADDRESSES, seen)
    })
}
