//! What Terway does for SMC with `enable_erdma` (its `pkg/smc/pnet.go`), but for `net.smc.tcp2smc`, which mainline lacks.

use std::fs;
use std::path::Path;

use smc_host::genl::SmcFamilies;
use smc_host::netlink::{Connection, Protocol};
use smc_host::netns::Netns;
use smc_host::{HostError, pnet};
use smc_model::PnetId;

use crate::layout::{ERDMA_PNETID, RDMA_DEVICE};

/// Gives the PNETID to the device, unless it has one, and to the pod's interface. Does nothing on a node without it.
pub fn configure(netns: &Path, interface: &str) -> Result<(), HostError> {
    let text = fs::read_to_string(ERDMA_PNETID).unwrap_or_default();
    let Ok(pnetid) = text.trim().parse::<PnetId>() else { return Ok(()) };
    let mut host = Connection::open(Protocol::Generic)?;
    let Some(families) = SmcFamilies::find(&mut host)? else { return Ok(()) };
    pnet::set_port(&mut host, families.pnetid, RDMA_DEVICE, 1, &pnetid)?;
    let mut inside = Netns::open(netns)?.connect()?;
    pnet::set_netdev(&mut inside.generic, families.pnetid, interface, &pnetid)
}
