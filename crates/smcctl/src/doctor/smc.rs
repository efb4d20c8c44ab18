//! What SMC needs of a node: ports, PNETIDs, enterprise ids, subnets, source anchor, guard, queue pairs.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use smc_model::reasons::{finding, refusal};
use smc_model::{Guard, Owned, QueuePairs};
use smc_state::Made;

use crate::output::counted;
use smc_surfaces::facts::{Facts, GuardFacts, SmcPort};
use smc_surfaces::smcctl::Check;

fn ports(facts: &Facts) -> &[SmcPort] {
    facts.ports.as_deref().unwrap_or_default()
}

fn label(port: &SmcPort) -> String {
    format!("{}/{}", port.device, port.port)
}

fn joined(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(", ")
}

pub(super) fn port(facts: &Facts) -> Option<Check> {
    let name = "port";
    if let Err(why) = &facts.ports {
        return Some(Check::unknown(name, why));
    }
    let ports = ports(facts);
    if ports.is_empty() {
        return None;
    }
    let seen = joined(ports.iter().map(|port| {
        let netdev = port.netdev.as_deref().map(|netdev| format!(" over {netdev}")).unwrap_or_default();
        format!("{}{netdev} {}", label(port), if port.active { "ACTIVE" } else { "is not ACTIVE" })
    }));
    Some(if ports.iter().any(|port| port.active) {
        Check::fine(name, seen)
    } else {
        Check::problem(name, &refusal::RDMA_PORT_DOWN, seen)
    })
}

pub(super) fn pnetids(facts: &Facts) -> Option<Check> {
    let name = "PNETIDs";
    let made = match &facts.made {
        Ok(made) => made.clone().unwrap_or_default(),
        Err(why) => return Some(Check::unknown(name, why)),
    };
    let ports = ports(facts);
    if ports.is_empty() {
        return None;
    }
    let seen = joined(ports.iter().map(|port| told(port, &made)));
    let foreign = |port: &SmcPort| port.pnetid.is_some() && port.user_defined && !is_ours(port, &made);
    Some(if ports.iter().any(|port| port.active && port.pnetid.is_none()) {
        Check::problem(name, &refusal::PNETID_MISSING, seen)
    } else if ports.iter().any(foreign) {
        // Pods that still bear another one have lines of their own.
        Check::note(name, finding::FOREIGN_PNETID.name, seen)
    } else {
        Check::fine(name, seen)
    })
}

fn is_ours(port: &SmcPort, made: &Made) -> bool {
    made.ports.iter().any(|ours| {
        ours.device == port.device && ours.port == port.port && Some(&ours.pnetid) == port.pnetid.as_ref()
    })
}

fn was_ours(port: &SmcPort, made: &Made) -> bool {
    made.ports.iter().any(|ours| ours.device == port.device && ours.port == port.port)
}

fn told(port: &SmcPort, made: &Made) -> String {
    let Some(pnetid) = &port.pnetid else { return format!("{} has none", label(port)) };
    let by = match (is_ours(port, made), port.user_defined) {
        (true, _) => "set by smc-agent",
        (false, true) if was_ours(port, made) => "set by somebody else after smc-agent, and left as it is",
        (false, true) => "set by somebody else, and left as it is",
        (false, false) => "of the hardware",
    };
    format!("{} {pnetid} ({by})", label(port))
}

pub(super) fn ueid(facts: &Facts) -> Check {
    let name = "UEID";
    let ueids = match &facts.ueids {
        Ok(ueids) => ueids,
        Err(why) => return Check::unknown(name, why),
    };
    if ueids.is_empty() {
        return Check::problem(name, &refusal::NO_UEID, "none: SMC-R v2 cannot be proposed");
    }
    let made = facts.made.as_ref().ok().and_then(Option::as_ref);
    if let Some(lost) = made.and_then(|made| made.ueids.iter().find(|ueid| !ueids.contains(ueid))) {
        let left = joined(ueids.iter().map(ToString::to_string));
        let seen = format!("{left}; {lost}, which smc-agent added and other nodes may have alone, is gone");
        return Check::problem(name, &finding::UEIDS_DIFFER, seen);
    }
    Check::fine(name, joined(ueids.iter().map(ToString::to_string)))
}

/// Mainline takes a port only when its network device has an address in the pod's subnet, and a RoCE v2 GID.
pub(super) fn subnets(facts: &Facts) -> Option<Check> {
    let name = "subnets";
    let ports = ports(facts);
    if ports.is_empty() || !facts.family.smc().needs_same_subnet {
        return None;
    }
    let bare = ports.iter().find(|port| port.active && port.addresses.is_empty());
    if let Some(port) = bare {
        let netdev = port.netdev.as_deref().unwrap_or("its network device");
        let seen = format!("{}: {netdev} has no IPv4 address in the host", label(port));
        return Some(Check::problem(name, &refusal::NO_DEVICE_IN_SUBNET, seen));
    }
    let reached =
        |address: Ipv4Addr| ports.iter().any(|port| port.addresses.iter().any(|net| net.contains(address)));
    let pods = facts.pods.iter().filter_map(|pod| pod.now.as_ref()?.as_ref().ok());
    let outside: Vec<String> = pods
        .flat_map(|now| &now.addresses)
        .map(|net| net.address())
        .filter(|address| !reached(*address))
        .map(|address| address.to_string())
        .collect();
    let nets =
        joined(ports.iter().map(|port| {
            format!("{} {}", label(port), joined(port.addresses.iter().map(ToString::to_string)))
        }));
    if !outside.is_empty() {
        let seen = format!("{nets}; outside of it: {}", outside.join(", "));
        return Some(Check::problem(name, &refusal::NO_DEVICE_IN_SUBNET, seen));
    }
    if let Some(port) = ports.iter().find(|port| port.active && has_lost_its_gids(facts, port)) {
        let seen = format!("{nets}; {} has no RoCE v2 GID of its address", label(port));
        return Some(Check::problem(name, &refusal::NO_DEVICE_IN_SUBNET, seen));
    }
    let without_v2 = facts.devices.as_ref().ok()?.iter().find(|device| {
        device.ports.iter().any(|port| {
            port.active && !port.gid_kinds.is_empty() && !port.gid_kinds.iter().any(|kind| kind == "RoCE v2")
        })
    });
    Some(match without_v2 {
        Some(device) => {
            let seen = format!("{nets}; {} has no RoCE v2 GID", device.name);
            Check::problem(name, &refusal::NO_DEVICE_IN_SUBNET, seen)
        }
        None => Check::fine(name, format!("{nets}; all pods that are set up are in it")),
    })
}

/// Whether the port's addresses have no GID: a GID goes when its address is taken away, also when that stands there twice.
fn has_lost_its_gids(facts: &Facts, port: &SmcPort) -> bool {
    let devices = facts.devices.iter().flatten().filter(|device| device.name == port.device);
    let found = devices.flat_map(|device| &device.ports).find(|found| found.port == u32::from(port.port));
    let gids = found.and_then(|found| found.ipv4_gids.as_ref());
    gids.is_some_and(|gids| !port.addresses.iter().any(|net| gids.contains(&net.address())))
}

pub(super) fn source_anchor(facts: &Facts) -> Check {
    let name = "source anchor";
    if !facts.family.smc().needs_anchor {
        return Check::fine(name, "not needed on this kernel");
    }
    let missing = |seen| Check::problem(name, &refusal::SOURCE_ANCHOR_MISSING, seen);
    let anchor = match &facts.anchor {
        Err(why) => return Check::unknown(name, why),
        Ok(None) => return missing("the link kubesmc0 is not there".to_owned()),
        Ok(Some(anchor)) => anchor,
    };
    if anchor.up {
        return missing(
            "the link kubesmc0 is up, and the host may take pods' packets for its own".to_owned(),
        );
    }
    let lacking = |of: fn(&Owned) -> &BTreeSet<Ipv4Addr>, there: &BTreeSet<Ipv4Addr>| {
        let wanted = set_up(facts).flat_map(|pod| of(&pod.record.owned));
        let lacking: Vec<String> =
            wanted.filter(|address| !there.contains(address)).map(ToString::to_string).collect();
        (!lacking.is_empty()).then(|| lacking.join(", "))
    };
    if let Some(lacking) = lacking(|owned| &owned.anchored, &anchor.addresses) {
        return missing(format!("kubesmc0 lacks {lacking}"));
    }
    if let Some(lacking) = lacking(|owned| &owned.held, &anchor.held) {
        return missing(format!("no route in table local holds the packets of {lacking}"));
    }
    Check::fine(name, format!("kubesmc0 with {}", counted(anchor.addresses.len() as u64, "address")))
}

/// The addresses on the anchor link.
pub(super) fn anchored(facts: &Facts) -> impl Iterator<Item = &Ipv4Addr> {
    facts.anchor.iter().flatten().flat_map(|anchor| &anchor.addresses)
}

fn set_up(facts: &Facts) -> impl Iterator<Item = &smc_surfaces::facts::PodState> {
    facts.pods.iter().filter(|pod| pod.record.verdict.as_ref().is_some_and(smc_model::Verdict::is_set_up))
}

pub(super) fn same_node_guard(facts: &Facts) -> Check {
    let name = "same-node guard";
    let devices = facts.devices.as_deref().unwrap_or_default();
    let all_iwarp = !devices.is_empty() && devices.iter().all(|device| device.protocol == "iw");
    if !Guard::is_needed(facts.family.smc(), all_iwarp, facts.loopback == Ok(true)) {
        let why = if facts.loopback == Ok(true) {
            "SMC-D loopback carries what pods of one node send each other"
        } else {
            "eRDMA adapters are taken to carry what pods of one node send each other"
        };
        return Check::fine(name, format!("not needed: {why}"));
    }
    match &facts.guard {
        Err(why) => Check::unknown(name, why),
        Ok(Some(GuardFacts { stripped, .. })) => {
            Check::fine(name, format!("pinned; took the offer out of {stripped} SYNs to running pods"))
        }
        Ok(None) => Check::problem(
            name,
            &refusal::SAME_NODE_GUARD_MISSING,
            "its BPF program or a map of it is not pinned in /sys/fs/bpf/kube-smc",
        ),
    }
}

pub(super) fn queue_pairs(facts: &Facts) -> Option<Check> {
    let name = "queue pairs";
    let ports = ports(facts);
    if ports.is_empty() {
        return None;
    }
    let groups = match &facts.link_groups {
        Ok(groups) => groups,
        Err(why) => return Some(Check::unknown(name, why)),
    };
    let mut low = false;
    let used = joined(ports.iter().map(|port| {
        let links = u64::from(port.links);
        match facts.queue_pairs_max(&port.device) {
            Some(max) => {
                low |= QueuePairs { device: port.device.clone(), used: links, max }.are_low();
                format!("{} {links} of {max}", label(port))
            }
            None => format!("{} {links} (how many it has, only the device tells)", label(port)),
        }
    }));
    let (groups, connections) =
        (counted(groups.groups, "link group"), counted(groups.connections, "connection"));
    let seen = format!("{used}; {groups} with {connections}");
    Some(if low { Check::problem(name, &finding::QUEUE_PAIRS_LOW, seen) } else { Check::fine(name, seen) })
}
