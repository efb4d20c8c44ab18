//! Decide: from facts to an ordered list of steps, or to a reason why not.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::node::NO_PROGRAM;
use crate::peer_ranges::MAX_ADDRESSES_WITH_RANGES;
use crate::{
    Anchor, AnchorState, Conversion, InterfaceKind, KernelFamily, NodeFacts, PeerRanges, PnetId,
    PodConversion, PodFacts, PodInterface, RdmaPort, Reason,
};

/// What to do for one pod attachment, in this order. Empty steps mean that everything is in place already.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Plan {
    /// Which RDMA port serves which interface.
    pub bindings: Vec<Binding>,
    /// The steps that change something.
    pub steps: Vec<Step>,
    /// What a person should know about the choice.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<Note>,
}

/// An interface of the pod and the RDMA port that serves it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// The pod's interface.
    pub interface: String,
    /// The RDMA device.
    pub device: String,
    /// The device's port, from 1.
    pub port: u8,
    /// The PNETID that ties them.
    pub pnetid: PnetId,
}

/// One change of the kernel's state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Step {
    /// Host: keep `address` routed to the pod by a unicast /32 in table local, as long as it is anchored.
    HoldRoute {
        /// The pod's address.
        address: Ipv4Addr,
        /// Index of the host's interface towards the pod.
        towards_pod: u32,
        /// What the host's own packets to the pod have as their source, where its route says so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        source: Option<Ipv4Addr>,
    },
    /// Host: put `address` on the anchor link.
    AnchorAddress {
        /// The pod's address.
        address: Ipv4Addr,
        /// Index of the anchor link.
        anchor: u32,
    },
    /// Host: remove the local route that came with the anchor.
    DropLocalRoute {
        /// The pod's address.
        address: Ipv4Addr,
        /// Index of the anchor link.
        anchor: u32,
    },
    /// Host: remove the unicast /32 again. Never planned: records of versions that held it only for a moment say it.
    ReleaseRoute {
        /// The pod's address.
        address: Ipv4Addr,
        /// Index of the host's interface towards the pod.
        towards_pod: u32,
    },
    /// Host and pod: have the offer taken out of SYNs that come from `address` to guarded interfaces of this node's pods, and
    /// guard `interface`.
    Guard {
        /// The pod's address.
        address: Ipv4Addr,
        /// The pod's interface, where it has not the program yet.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        interface: Option<String>,
        /// IPv6 addresses of the pod, for which the same is done.
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        also: BTreeSet<Ipv6Addr>,
        /// Directory of the pinned program and maps. None in records of versions whose guard was nftables'.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pins: Option<PathBuf>,
        /// Who may speak SMC with the pod, where its owner says that.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        peers: Option<PeerRanges>,
    },
    /// Pod: remove a PNETID that no usable RDMA port bears from the namespace's table, with every interface that has it.
    DropPnetid {
        /// The stale id.
        pnetid: PnetId,
    },
    /// Pod: enter `interface` under `pnetid` in the namespace's PNET table.
    SetPnetid {
        /// The pod's interface.
        interface: String,
        /// The id.
        pnetid: PnetId,
    },
    /// Pod: `net.smc.tcp2smc=1`.
    ConvertBySysctl,
    /// Host: put the pod's namespace cookie into the BPF program's map.
    ConvertByBpf {
        /// Path of the pinned map.
        map: PathBuf,
    },
}

/// Something about a plan that a person should know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "note", rename_all = "kebab-case")]
pub enum Note {
    /// Somebody else converts this pod's sockets; that was left as it is.
    ConversionAdopted,
    /// The pod is refused now, but was converted before and stays so: its new sockets still offer SMC, and the kernel
    /// falls back to TCP, connection by connection.
    ConversionKept,
    /// The pod is refused now and was converted before; ending that failed, so its new sockets still offer SMC.
    ConversionNotEnded {
        /// What was attempted, with the kernel's answer.
        error: String,
    },
    /// Whether programs of this running pod listen on sockets older than the conversion could not be found out.
    ListenersUnknown {
        /// What was attempted, with the kernel's answer.
        error: String,
    },
    /// The guard's program could not be attached, on a node that needs none: whoever reaches the pod may speak SMC with it, and what
    /// the agent switches off later stays as it is.
    NotFiltered {
        /// What was attempted, with the kernel's answer.
        error: String,
    },
    /// The pod's bandwidth limit does not hold for SMC-R, and its owner takes it so.
    NotLimited {
        /// The annotation that has the limit.
        key: String,
    },
    /// A PNETID that no usable RDMA port bears was on the pod's interface and is replaced.
    StalePnetidReplaced {
        /// The pod's interface.
        interface: String,
        /// The id that was there.
        stale: PnetId,
    },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HoldRoute { address, towards_pod, .. } => {
                write!(f, "keep {address} routed to interface {towards_pod} while it is anchored")
            }
            Self::AnchorAddress { address, anchor } => write!(f, "put {address} on anchor link {anchor}"),
            Self::DropLocalRoute { address, .. } => write!(f, "remove the local route of {address}"),
            Self::ReleaseRoute { address, .. } => write!(f, "remove the temporary route of {address}"),
            Self::Guard { address, interface, also, peers, .. } => {
                if let Some(interface) = interface {
                    write!(f, "attach the same-node guard to {interface} and ")?;
                }
                write!(f, "add {address}")?;
                also.iter().try_for_each(|address| write!(f, ", {address}"))?;
                f.write_str(" to the same-node guard")?;
                peers.iter().try_for_each(|peers| write!(f, ", and let only {peers} speak SMC with it"))
            }
            Self::DropPnetid { pnetid } => write!(f, "remove the stale PNETID {pnetid} in the pod"),
            Self::SetPnetid { interface, pnetid } => write!(f, "give {interface} the PNETID {pnetid}"),
            Self::ConvertBySysctl => f.write_str("set net.smc.tcp2smc=1 in the pod"),
            Self::ConvertByBpf { map } => write!(f, "add the pod's namespace to {}", map.display()),
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ConversionAdopted => {
                f.write_str("the pod's sockets were converted already, not by kube-smc; left as it is")
            }
            Self::ConversionKept => f.write_str(
                "the pod was converted before and stays so; its connections fall back to TCP by themselves",
            ),
            Self::ConversionNotEnded { error } => {
                write!(f, "the pod was converted before, and that could not be ended: {error}")
            }
            Self::ListenersUnknown { error } => {
                write!(
                    f,
                    "whether a program listens on an older socket, which stays TCP, is not known: {error}"
                )
            }
            Self::NotFiltered { error } => {
                write!(
                    f,
                    "whoever reaches the pod may speak SMC with it, since no program could be attached: {error}"
                )
            }
            Self::NotLimited { key } => {
                write!(f, "its limit, {key}, does not hold for SMC-R, as its owner wants it")
            }
            Self::StalePnetidReplaced { interface, stale } => {
                write!(
                    f,
                    "{interface} had PNETID {stale}, which no usable RDMA port bears; replaced in the pod's namespace"
                )
            }
        }
    }
}

/// Decides what to do so that new TCP connections of a pod use SMC-R.
///
/// The steps bring everything else in place before the conversion, which is last: a plan that stops half way
/// leaves a pod on plain TCP. Deciding again on the facts after all steps gives a plan without steps.
///
/// # Errors
/// The [`Reason`] why the pod must stay on plain TCP; nothing may be changed then.
pub fn decide(node: &NodeFacts, pod: &PodFacts) -> Result<Plan, Reason> {
    if let Some(obstacle) = node.obstacle() {
        return Err(obstacle);
    }
    if pod.has_too_many_addresses() {
        return Err(Reason::TooManyAddresses { count: pod.count_of_addresses() });
    }
    let mut plan = Plan { bindings: bind(node, pod)?, ..Plan::default() };
    anchor_steps(node, pod, &mut plan)?;
    match node.guard_for_pods() {
        Some(_) if pod.peers.is_some() && pod.addresses_to_guard().len() > MAX_ADDRESSES_WITH_RANGES => {
            let count = pod.addresses_to_guard().len();
            let why = format!(
                "it has {count} addresses; with ranges of its own it may have {MAX_ADDRESSES_WITH_RANGES}"
            );
            return Err(Reason::PeerFilterMissing { why });
        }
        Some(pins) => plan.steps.extend(guard_steps(pins, pod)),
        None if pod.peers.is_some() => {
            return Err(Reason::PeerFilterMissing { why: NO_PROGRAM.to_owned() });
        }
        None => {}
    }
    pnetid_steps(pod, &mut plan);
    match (pod.conversion, &node.conversion) {
        (PodConversion::Off, Conversion::Tcp2smc) => plan.steps.push(Step::ConvertBySysctl),
        (PodConversion::Off, Conversion::Bpf { map, .. }) => {
            plan.steps.push(Step::ConvertByBpf { map: map.clone() });
        }
        (PodConversion::Off, Conversion::None { why }) => {
            return Err(Reason::NoConversion { kernel: node.kernel.release.clone(), why: why.clone() });
        }
        (PodConversion::Ours, _) => {}
        (PodConversion::Foreign, _) => plan.notes.push(Note::ConversionAdopted),
    }
    Ok(plan)
}

/// The interface whose addresses most of the pod's sockets have: the attachment's, where that is routed and has any.
fn main_interface(pod: &PodFacts) -> Option<&PodInterface> {
    let mut candidates = pod.routed().filter(|interface| !interface.addresses.is_empty()).peekable();
    let first = candidates.peek().copied();
    candidates.find(|interface| interface.name == pod.primary).or(first)
}

/// Chooses an RDMA port for each interface that can carry accelerated traffic. The attachment's own interface must
/// get one; another that has no port of its own shares it, since its sockets usually have the pod's main address.
fn bind(node: &NodeFacts, pod: &PodFacts) -> Result<Vec<Binding>, Reason> {
    let primary = main_interface(pod).ok_or(Reason::NoIpv4Route)?;
    let of_primary = choose(node, primary)?;
    let bindings = pod.routed().map(|interface| {
        let (port, pnetid) = if interface.name == primary.name {
            of_primary
        } else {
            choose(node, interface).unwrap_or(of_primary)
        };
        Binding {
            interface: interface.name.clone(),
            device: port.device.clone(),
            port: port.port,
            pnetid: pnetid.clone(),
        }
    });
    Ok(bindings.collect())
}

/// Chooses the RDMA port for one interface, with its PNETID: the one whose PNETID the interface bears already, if it
/// would work; on mainline one whose network device is in the interface's subnet; among several, the one with the
/// fewest pods.
fn choose<'a>(node: &'a NodeFacts, interface: &PodInterface) -> Result<(&'a RdmaPort, &'a PnetId), Reason> {
    let mainline = node.kernel.family == KernelFamily::Mainline;
    let reachable: Vec<&RdmaPort> = node
        .ports
        .iter()
        .filter(|port| !mainline || interface.addresses.iter().any(|net| port.reaches(net.address())))
        .collect();
    let Some(any) = reachable.first() else {
        let address = interface.addresses.first().ok_or(Reason::NoIpv4Route)?.address();
        return Err(Reason::NoDeviceInSubnet { address, ports: describe(&node.ports) });
    };
    let active = || reachable.iter().copied().filter(|port| port.active);
    let Some(unnamed) = active().next() else {
        return Err(Reason::RdmaPortDown { port: any.to_string() });
    };
    // Of the ports with one PNETID the kernel takes the first that works (net/smc/smc_pnet.c,
    // smc_pnet_find_roce_by_pnetid), so the others are no choice.
    let mut ids = BTreeSet::new();
    let named: Vec<(&RdmaPort, &PnetId)> = active()
        .filter_map(|port| port.pnetid.as_ref().map(|pnetid| (port, pnetid)))
        .filter(|(_, pnetid)| ids.insert(*pnetid))
        .collect();
    let bears = |(_, pnetid): &(&RdmaPort, &PnetId)| interface.pnetid.as_ref() == Some(*pnetid);
    let chosen = named.iter().copied().find(bears);
    chosen
        .or_else(|| named.iter().copied().min_by_key(|(port, _)| port.pods))
        .ok_or_else(|| Reason::PnetidMissing { port: unnamed.to_string() })
}

/// Ports with their subnets, in words.
pub(crate) fn describe(ports: &[RdmaPort]) -> String {
    let words = ports.iter().map(|port| match &port.netdev {
        None => format!("{port} without a network device in the host"),
        Some(netdev) if netdev.addresses.is_empty() => {
            format!("{port} over {} without an address", netdev.name)
        }
        Some(netdev) => {
            let nets: Vec<String> = netdev.addresses.iter().map(ToString::to_string).collect();
            format!("{port} over {} with {}", netdev.name, nets.join(" "))
        }
    });
    words.collect::<Vec<_>>().join(", ")
}

/// An address that the host does not route straight to the pod is left out, and its connections are the kernel's to fall back:
/// a second network without the host's part in it, or an address that the pod gave itself. Without the main interface's
/// there is nothing to accelerate.
fn anchor_steps(node: &NodeFacts, pod: &PodFacts, plan: &mut Plan) -> Result<(), Reason> {
    let pairs = pod.routed().filter(|interface| interface.kind == InterfaceKind::Pair);
    let addresses: BTreeSet<Ipv4Addr> =
        pairs.flat_map(|interface| &interface.addresses).map(|net| net.address()).collect();
    let anchor = match &node.anchor {
        Anchor::NotNeeded => return Ok(()),
        Anchor::Missing { .. } if addresses.is_empty() => return Ok(()),
        Anchor::Missing { why } => return Err(Reason::SourceAnchorMissing { why: why.clone() }),
        Anchor::Ready { index } => *index,
    };
    if let Some(main) = main_interface(pod).filter(|main| main.kind == InterfaceKind::Pair)
        && !main.addresses.iter().any(|net| pod.is_led_to(net.address()))
    {
        let nets: Vec<String> = main.addresses.iter().map(|net| net.address().to_string()).collect();
        let why = format!(
            "the host's route to {} does not lead straight to the pod's own interface",
            nets.join(" ")
        );
        return Err(Reason::SourceAnchorMissing { why });
    }
    for address in addresses {
        if let Some(&AnchorState::Needed { towards_pod, source, held, on_link }) = pod.anchors.get(&address) {
            if !held {
                plan.steps.push(Step::HoldRoute { address, towards_pod, source });
            }
            if !on_link {
                plan.steps.extend([
                    Step::AnchorAddress { address, anchor },
                    Step::DropLocalRoute { address, anchor },
                ]);
            }
        }
    }
    Ok(())
}

/// Each interface gets the program, whether or not a route leaves by it, and each address into the map. A step names an IPv4
/// address also where its interface has none, by which earlier versions can read it.
fn guard_steps(pins: &Path, pod: &PodFacts) -> Vec<Step> {
    let fourth = |address| if let IpAddr::V4(address) = address { Some(address) } else { None };
    let Some(any) = pod.addresses_to_guard().into_iter().find_map(fourth) else { return Vec::new() };
    let mut missing: BTreeSet<IpAddr> = pod.addresses_to_guard();
    missing.retain(|address| !pod.guarded.contains(address));
    let mut steps = Vec::new();
    for interface in &pod.interfaces {
        let of_interface: Vec<IpAddr> =
            pod.to_guard_on(interface).filter(|address| missing.remove(address)).collect();
        let also: BTreeSet<Ipv6Addr> = of_interface
            .iter()
            .filter_map(|address| if let IpAddr::V6(address) = address { Some(*address) } else { None })
            .collect();
        let mut own = of_interface.into_iter().filter_map(fourth);
        if !interface.guarded || !also.is_empty() {
            let own_or_any =
                own.next().or_else(|| pod.to_guard_on(interface).find_map(fourth)).unwrap_or(any);
            missing.remove(&IpAddr::V4(own_or_any));
            let name = (!interface.guarded).then(|| interface.name.clone());
            steps.push(Step::Guard {
                address: own_or_any,
                interface: name,
                also,
                pins: Some(pins.to_owned()),
                peers: pod.peers.clone(),
            });
        }
        steps.extend(own.map(|address| Step::Guard {
            address,
            interface: None,
            also: BTreeSet::new(),
            pins: Some(pins.to_owned()),
            peers: pod.peers.clone(),
        }));
    }
    steps
}

/// The kernel's DEL takes an id from every interface that has it, so interfaces that shared a stale id and are
/// still wanted are set anew: each of them is bound to a port, and the port's id is never the stale one.
fn pnetid_steps(pod: &PodFacts, plan: &mut Plan) {
    for binding in &plan.bindings {
        let present =
            pod.interfaces.iter().find(|i| i.name == binding.interface).and_then(|i| i.pnetid.as_ref());
        if present == Some(&binding.pnetid) {
            continue;
        }
        if let Some(stale) = present {
            let drop = Step::DropPnetid { pnetid: stale.clone() };
            if !plan.steps.contains(&drop) {
                plan.steps.push(drop);
            }
            plan.notes.push(Note::StalePnetidReplaced {
                interface: binding.interface.clone(),
                stale: stale.clone(),
            });
        }
    }
    let dropped: Vec<PnetId> = plan
        .steps
        .iter()
        .filter_map(|step| if let Step::DropPnetid { pnetid } = step { Some(pnetid.clone()) } else { None })
        .collect();
    for binding in &plan.bindings {
        let present =
            pod.interfaces.iter().find(|i| i.name == binding.interface).and_then(|i| i.pnetid.as_ref());
        if present != Some(&binding.pnetid) || dropped.contains(&binding.pnetid) {
            plan.steps.push(Step::SetPnetid {
                interface: binding.interface.clone(),
                pnetid: binding.pnetid.clone(),
            });
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
