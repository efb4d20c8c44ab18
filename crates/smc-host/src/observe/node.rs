//! The node's RDMA ports, and what of it may have changed since the agent published it.

use smc_model::{Anchor, Ipv4Net, NodeFacts, RdmaNetdev, RdmaPort};

use super::Host;
use crate::genl::SmcFamilies;
use crate::netlink::{Connection, Protocol};
use crate::{HostError, anchor, rdma, route, smc};

/// Reads every RDMA port that SMC knows: they are the same in every namespace. A network device that was known under
/// `known` keeps its name, so that links need not be listed; addresses are read anew from `addresses`, the host's.
pub fn ports(
    generic: &mut Connection,
    families: SmcFamilies,
    addresses: &[(u32, Ipv4Net)],
    known: &[RdmaPort],
) -> Result<Vec<RdmaPort>, HostError> {
    let devices = smc::devices(generic, families.smc)?;
    let mut ports = Vec::new();
    for device in devices {
        for (number, port) in (1_u8..).zip(device.ports) {
            let before = known.iter().find(|known| known.device == device.name && known.port == number);
            let before_netdev = before.and_then(|known| known.netdev.as_ref());
            let index = port.netdev_index.filter(|&index| index != 0);
            let netdev = index.or(before_netdev.map(|netdev| netdev.index)).map(|index| RdmaNetdev {
                index,
                name: before_netdev
                    .filter(|netdev| netdev.index == index)
                    .map_or_else(|| format!("interface {index}"), |netdev| netdev.name.clone()),
                addresses: addresses_of(addresses, index),
            });
            ports.push(RdmaPort {
                device: device.name.clone(),
                port: number,
                active: port.active,
                pnetid: port.pnetid.and_then(|id| id.parse().ok()),
                netdev,
                pods: before.map_or(0, |known| known.pods),
            });
        }
    }
    Ok(ports)
}

fn addresses_of(addresses: &[(u32, Ipv4Net)], link: u32) -> Vec<Ipv4Net> {
    addresses.iter().filter(|(index, _)| *index == link).map(|(_, net)| *net).collect()
}

/// Every RDMA port that SMC knows, with its network device's name and addresses; both connections are the host's.
///
/// SMC tells a port's network device only where the RDMA driver has `get_netdev` (5.10's rxe and siw have not); RDMA's own
/// netlink knows it all the same.
pub fn named_ports(
    route: &mut Connection,
    generic: &mut Connection,
    families: SmcFamilies,
) -> Result<Vec<RdmaPort>, HostError> {
    let addresses = route::addresses(route)?;
    let mut ports = ports(generic, families, &addresses, &[])?;
    if ports.iter().any(|port| port.netdev.is_none()) {
        let indices = rdma::netdevs(&mut Connection::open(Protocol::Rdma)?)?;
        for port in ports.iter_mut().filter(|port| port.netdev.is_none()) {
            let index = indices.get(&(port.device.clone(), u32::from(port.port)));
            port.netdev = index.map(|&index| RdmaNetdev {
                index,
                name: String::new(),
                addresses: addresses_of(&addresses, index),
            });
        }
    }
    for port in &mut ports {
        let Some(mut netdev) = port.netdev.take() else { continue };
        port.netdev = route::link(route, netdev.index)?.map(|link| {
            netdev.name = link.name;
            netdev
        });
    }
    Ok(ports)
}

/// Reads again what may have changed since the agent published `published`: the module, port states, PNETIDs,
/// addresses and the anchor link. `addresses` are the host's, and `generic` is of any namespace.
pub fn refresh(
    generic: &mut Connection,
    host: &Host,
    published: NodeFacts,
    addresses: &[(u32, Ipv4Net)],
) -> Result<NodeFacts, HostError> {
    let ports = ports(generic, host.families, addresses, &published.ports)?;
    let anchor = match published.anchor {
        Anchor::Ready { .. } => host.route.link_index(anchor::LINK)?.map_or_else(
            || Anchor::Missing { why: format!("the link {} is gone", anchor::LINK) },
            |index| Anchor::Ready { index },
        ),
        other => other,
    };
    Ok(NodeFacts { ports, anchor, smc_loaded: true, ..published })
}
