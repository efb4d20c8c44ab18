//! The RDMA ports' PNETIDs.

use std::collections::BTreeSet;

use smc_host::{HostError, observe, pnet, route};
use smc_model::{PnetId, RdmaPort, Reason, terway};
use smc_state::BoundPort;

use super::{Preparation, Smc};

/// What is to be done about one port.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Naming {
    /// It keeps the id that it has, whoever gave it.
    Keep,
    /// It gets this one.
    Give(PnetId),
    /// It gets this one instead of the one that it has from us.
    GiveInstead(PnetId),
    /// It gets one from the MAC address of this network device.
    FromMac(u32),
    /// There is nothing to name it by.
    Nameless,
}

/// Where Terway manages eRDMA devices, a device's id is the one that it gives its own pods: a device that has another it leaves as
/// it is, and those pods would find none.
fn naming(port: &RdmaPort, of_terway: bool, named: &BTreeSet<BoundPort>) -> Naming {
    let wanted = if of_terway { terway::pnetid_of(&port.device) } else { None };
    match (&port.pnetid, wanted, &port.netdev) {
        (Some(has), Some(wanted), _) if *has != wanted => {
            let (device, number) = (port.device.clone(), port.port);
            let is_ours = named.contains(&BoundPort { device, port: number, pnetid: has.clone() });
            if is_ours { Naming::GiveInstead(wanted) } else { Naming::Keep }
        }
        (Some(_), ..) => Naming::Keep,
        (None, Some(wanted), _) => Naming::Give(wanted),
        (None, None, Some(netdev)) => Naming::FromMac(netdev.index),
        (None, None, None) => Naming::Nameless,
    }
}

impl Preparation {
    /// The ports, each with a PNETID; `named` are those that have theirs from us.
    pub(super) fn ports(&mut self, smc: &mut Smc, named: &mut BTreeSet<BoundPort>) -> Vec<RdmaPort> {
        let capabilities = std::fs::read_to_string(terway::NODE_CAPABILITIES_FILE).unwrap_or_default();
        let of_terway = terway::manages_erdma(&capabilities);
        let ports = observe::named_ports(&mut smc.route, &mut smc.generic, smc.families);
        let Some(ports) = self.check_host("list SMC's RDMA ports", ports) else { return Vec::new() };
        let before = self.made.ports.len();
        for port in &ports {
            let naming = naming(port, of_terway, named);
            if naming == Naming::Nameless {
                self.problems.push(format!("RDMA port {port} has no network device in the host's namespace"));
                continue;
            }
            let given = self.check_host("bind RDMA ports", give(smc, port, &naming)).flatten();
            let Some(pnetid) = given else { continue };
            let told = format!("gave RDMA port {port} the PNETID {pnetid}");
            if let Some(had) = &port.pnetid {
                self.notes.push(format!("{told}, by which Terway's pods look for it, instead of {had}"));
                self.renamed.insert(port.to_string());
            } else {
                self.notes.push(told);
                self.restored.push(Reason::PnetidMissing { port: port.to_string() });
            }
            let (device, number) = (port.device.clone(), port.port);
            self.made.ports.insert(BoundPort { device, port: number, pnetid });
        }
        named.extend(self.made.ports.iter().cloned());
        if self.made.ports.len() == before {
            return ports;
        }
        let bound = observe::named_ports(&mut smc.route, &mut smc.generic, smc.families);
        self.check_host("list SMC's RDMA ports", bound).unwrap_or(ports)
    }
}

/// Gives a port its id, and returns it; `None` where it keeps the one that it has.
fn give(smc: &mut Smc, port: &RdmaPort, naming: &Naming) -> Result<Option<PnetId>, HostError> {
    let family = smc.families.pnetid;
    let pnetid = match naming {
        Naming::Keep | Naming::Nameless => return Ok(None),
        Naming::Give(pnetid) => pnetid.clone(),
        Naming::GiveInstead(pnetid) => {
            if let Some(had) = &port.pnetid {
                // It would be taken from all that have it.
                let members = pnet::members(&pnet::list(&mut smc.generic, family)?, had);
                if members != [port.to_string()] {
                    return Ok(None);
                }
                pnet::delete(&mut smc.generic, family, had)?;
            }
            pnetid.clone()
        }
        Naming::FromMac(netdev) => from_mac(smc, port, *netdev)?,
    };
    pnet::set_port(&mut smc.generic, family, &port.device, port.port, &pnetid)?;
    Ok(Some(pnetid))
}

fn from_mac(smc: &mut Smc, port: &RdmaPort, netdev: u32) -> Result<PnetId, HostError> {
    let mac = route::link(&mut smc.route, netdev)?.and_then(|link| link.mac).ok_or_else(|| {
        let problem = smc_host::Cause::Unexpected("its network device has no MAC address".to_owned());
        HostError::new(format!("derive a PNETID for RDMA port {port}"), problem)
    })?;
    Ok(PnetId::from_mac(mac))
}

#[cfg(test)]
mod tests {
    use smc_model::RdmaNetdev;

    use super::*;

    fn id(text: &str) -> PnetId {
        text.parse().unwrap()
    }

    fn port(device: &str, pnetid: Option<&str>) -> RdmaPort {
        let netdev = RdmaNetdev { index: 3, name: "eth1".into(), addresses: Vec::new() };
        let pnetid = pnetid.map(id);
        RdmaPort { device: device.into(), port: 1, active: true, pnetid, netdev: Some(netdev), pods: 0 }
    }

    #[test]
    fn a_port_keeps_its_id_and_one_without_is_named_by_its_mac_address() {
        let named = BTreeSet::new();
        for of_terway in [false, true] {
            assert_eq!(naming(&port("erdma_0", Some("00163E000001")), of_terway, &named), Naming::Keep);
            assert_eq!(
                naming(&port("rxe0", None), of_terway, &named),
                Naming::FromMac(3),
                "no id of Terway's"
            );
        }
        assert_eq!(naming(&port("erdma_0", None), false, &named), Naming::FromMac(3));
        let elsewhere = RdmaPort { netdev: None, ..port("rxe0", None) };
        assert_eq!(naming(&elsewhere, false, &named), Naming::Nameless);
    }

    #[test]
    fn where_terway_manages_devices_they_have_the_id_that_its_pods_get_unless_somebody_else_named_them() {
        let device = |pnetid: Option<&str>| port("erdma_0", pnetid);
        let ours = BoundPort { device: "erdma_0".into(), port: 1, pnetid: id("00163E000001") };
        let named = BTreeSet::from([ours]);
        assert_eq!(naming(&device(None), true, &named), Naming::Give(id("0")));
        assert_eq!(naming(&device(Some("0")), true, &named), Naming::Keep);
        assert_eq!(naming(&device(Some("00163E000001")), true, &named), Naming::GiveInstead(id("0")));
        assert_eq!(naming(&device(Some("00163E000001")), false, &named), Naming::Keep);
        assert_eq!(naming(&device(Some("THEIRS")), true, &named), Naming::Keep);
    }
}
