//! RDMA devices by netlink, and their GIDs by sysfs.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use smc_abi::rdma::{self, RdmaDevice};
use smc_model::RdmaNetnsMode;

use crate::netlink::Connection;
use crate::{Cause, HostError};

/// Whether RDMA devices are shared by all network namespaces.
pub fn netns_mode(rdma: &mut Connection) -> Result<RdmaNetnsMode, HostError> {
    let attempt = "ask for the RDMA subsystem's namespace mode";
    let answers = rdma.request(&attempt, &rdma::netns_mode())?;
    let first = answers
        .first()
        .ok_or_else(|| HostError::new(attempt, Cause::Unexpected("the kernel gave no answer".to_owned())))?;
    match rdma::parse_netns_mode(&first.body).map_err(HostError::at(attempt))? {
        rdma::NetnsMode::Shared => Ok(RdmaNetnsMode::Shared),
        rdma::NetnsMode::Exclusive => Ok(RdmaNetnsMode::Exclusive),
    }
}

/// Every RDMA device.
pub fn devices(connection: &mut Connection) -> Result<Vec<RdmaDevice>, HostError> {
    let attempt = "list the RDMA devices";
    let answers = connection.request(&attempt, &rdma::devices())?;
    answers
        .iter()
        .map(|answer| rdma::parse_device(&answer.body))
        .collect::<Result<_, _>>()
        .map_err(HostError::at(attempt))
}

/// The ports of one device.
pub fn ports(connection: &mut Connection, device: &RdmaDevice) -> Result<Vec<rdma::RdmaPort>, HostError> {
    let attempt = format_args!("list the ports of RDMA device {}", device.name);
    let answers = connection.request(&attempt, &rdma::ports(device.index))?;
    answers
        .iter()
        .map(|answer| rdma::parse_port(&answer.body))
        .collect::<Result<_, _>>()
        .map_err(HostError::at(attempt))
}

/// The network devices below all ports, by device and port, as far as they are in the namespace of `connection`.
pub fn netdevs(connection: &mut Connection) -> Result<BTreeMap<(String, u32), u32>, HostError> {
    let mut found = BTreeMap::new();
    for device in devices(connection)? {
        for port in ports(connection, &device)? {
            found.extend(port.netdev_index.map(|index| ((device.name.clone(), port.port), index)));
        }
    }
    Ok(found)
}

/// One entry of a port's GID table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gid {
    /// Index in the table.
    pub index: u16,
    /// The GID in its text form.
    pub gid: String,
    /// `IB/RoCE v1` or `RoCE v2`.
    pub kind: String,
    /// The network device it belongs to.
    pub netdev: String,
}

/// The used entries of a port's GID table, from a sysfs mounted at `sys` (usually `/sys`). Netlink does not tell
/// RoCE v1 from v2.
pub fn gids(sys: &Path, device: &str, port: u8) -> Vec<Gid> {
    let dir = sys.join("class/infiniband").join(device).join("ports").join(port.to_string());
    let read = |path: &str| fs::read_to_string(dir.join(path)).map(|text| text.trim().to_owned());
    let Ok(entries) = fs::read_dir(dir.join("gids")) else { return Vec::new() };
    let indices = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u16>().ok());
    let mut gids: Vec<Gid> = indices
        .filter_map(|index| {
            // Reading the attributes of an unused entry fails with EINVAL.
            let kind = read(&format!("gid_attrs/types/{index}")).ok()?;
            let netdev = read(&format!("gid_attrs/ndevs/{index}")).ok()?;
            Some(Gid { index, gid: read(&format!("gids/{index}")).ok()?, kind, netdev })
        })
        .collect();
    gids.sort_by_key(|gid| gid.index);
    gids
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unused_gid_entries_are_left_out() {
        let sys = tempfile::tempdir().unwrap();
        let dir = sys.path().join("class/infiniband/rxe0/ports/1");
        for sub in ["gids", "gid_attrs/types", "gid_attrs/ndevs"] {
            fs::create_dir_all(dir.join(sub)).unwrap();
        }
        for index in ["0", "1"] {
            fs::write(dir.join("gids").join(index), "fe80::1\n").unwrap();
        }
        fs::write(dir.join("gid_attrs/types/1"), "RoCE v2\n").unwrap();
        fs::write(dir.join("gid_attrs/ndevs/1"), "eri0\n").unwrap();
        let expected = Gid { index: 1, gid: "fe80::1".into(), kind: "RoCE v2".into(), netdev: "eri0".into() };
        assert_eq!(gids(sys.path(), "rxe0", 1), [expected]);
        assert!(gids(sys.path(), "rxe9", 1).is_empty());
    }
}
