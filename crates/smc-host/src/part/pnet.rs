//! The PNET table of a network namespace.

use std::collections::BTreeMap;

use smc_abi::pnetid;
pub use smc_abi::pnetid::PnetEntry;
use smc_model::PnetId;

use crate::netlink::Connection;
use crate::{HostError, error};

/// All entries of the table of the namespace that `generic` was opened in.
pub fn list(generic: &mut Connection, family: u16) -> Result<Vec<PnetEntry>, HostError> {
    let attempt = "list the PNET table";
    let answers = generic.request(&attempt, &pnetid::list(family))?;
    let entries = answers.iter().map(|answer| pnetid::parse(&answer.body));
    entries.collect::<Result<_, _>>().map_err(HostError::at(attempt))
}

/// The PNETIDs of network devices, by device name. Ids that are none by the kernel's own rules are left out.
pub fn netdevs(entries: &[PnetEntry]) -> BTreeMap<&str, PnetId> {
    let ids = entries.iter().filter_map(|entry| match entry {
        PnetEntry::Netdev { pnetid, netdev } => Some((netdev.as_str(), pnetid.parse().ok()?)),
        PnetEntry::Device { .. } => None,
    });
    ids.collect()
}

/// Who bears `id`, as the kernel names them: a network device, or an RDMA device and its port.
pub fn members(entries: &[PnetEntry], id: &PnetId) -> Vec<String> {
    let members = entries.iter().filter_map(|entry| match entry {
        PnetEntry::Netdev { pnetid, netdev } => (*pnetid == id.as_str()).then(|| netdev.clone()),
        PnetEntry::Device { pnetid, device, port } => {
            (*pnetid == id.as_str()).then(|| format!("{device}/{port}"))
        }
    });
    members.collect()
}

/// Enters a network device. The kernel answers EEXIST both when the device has this id already and when it has
/// another, so success means no more than "it has one": read back.
pub fn set_netdev(generic: &mut Connection, family: u16, netdev: &str, id: &PnetId) -> Result<(), HostError> {
    let attempt = format_args!("give {netdev} the PNETID {id}");
    let result = generic.request(&attempt, &pnetid::add_netdev(family, id.as_str(), netdev));
    error::tolerate(result.map(drop), &[libc::EEXIST])
}

/// Enters an RDMA device's port; works in the initial network namespace only. EEXIST as in [`set_netdev`].
pub fn set_port(
    generic: &mut Connection,
    family: u16,
    device: &str,
    port: u8,
    id: &PnetId,
) -> Result<(), HostError> {
    let attempt = format_args!("give RDMA port {device}/{port} the PNETID {id}");
    let result = generic.request(&attempt, &pnetid::add_device(family, id.as_str(), device, port));
    error::tolerate(result.map(drop), &[libc::EEXIST])
}

/// Removes every entry with this id from the table; fine when there is none.
pub fn delete(generic: &mut Connection, family: u16, id: &PnetId) -> Result<(), HostError> {
    let attempt = format_args!("remove the PNETID {id}");
    let result = generic.request(&attempt, &pnetid::delete(family, id.as_str()));
    error::tolerate(result.map(drop), &[libc::ENOENT])
}
