//! The guard: SMC's offer, taken out of the SYNs that come to a pod from this node's pods and from whoever may not speak SMC with it,
//! by a BPF program at the pod's own interface. There the destination is final, whatever redirected it, and no firewall can flush it.
//!
//! The agent loads the program (`daemonset/bpf/syn_options.bpf.c`) and pins it with its maps; the plugin opens the pins.

mod address_key;
pub mod former;
mod ingress;
pub mod peers;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use smc_model::{PeerRanges, StripCause};

use crate::bpf::{MAP_TYPE_ARRAY, MAP_TYPE_HASH, PinnedMap, PinnedProgram, Shape};
use crate::netlink::Connection;
use crate::{HostError, route};

use address_key::read_address;
pub use address_key::{ADDRESS_BYTES, address_key};
use peers::{AllowedPeers, Whose};

/// File name of the pinned program.
pub const PROGRAM_NAME: &str = "strip_offer";
/// File name of the pinned map of sources whose offers are taken out.
pub const SOURCES_NAME: &str = "strip_from";
/// File name of the pinned map of what was taken out, by pod.
pub const COUNTS_NAME: &str = "counted_pods";
/// File name of the pinned map of the causes that are none on this node.
pub const SPARED_NAME: &str = "spared_causes";

/// How many causes the program counts apart (`CAUSES` in `syn_options.bpf.c`).
pub const CAUSES: usize = 8;

/// `struct counts`: stripped and dropped, by cause.
pub const COUNTS_BYTES: usize = 2 * CAUSES * size_of::<u64>();

const SOURCES: Shape = Shape { map_type: MAP_TYPE_HASH, key: ADDRESS_BYTES, value: size_of::<u32>() };
const SPARED: Shape = Shape { map_type: MAP_TYPE_ARRAY, key: size_of::<u32>(), value: size_of::<u32>() };
const COUNTS: Shape = Shape { map_type: MAP_TYPE_HASH, key: ADDRESS_BYTES, value: COUNTS_BYTES };

/// What packets to a pod lost for one reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Taken {
    /// SYNs whose offers were taken out.
    pub stripped: u64,
    /// Packets that were dropped: SYNs that are fragments, and what cannot be read.
    pub dropped: u64,
}

/// The pinned program with its maps, open.
#[derive(Debug)]
pub struct Guard {
    program: PinnedProgram,
    sources: PinnedMap,
    counts: PinnedMap,
    pins: PathBuf,
}

impl Guard {
    /// Opens what is pinned in a directory.
    ///
    /// # Errors
    /// ENOENT where there is no such pin.
    pub fn open(pins: &Path) -> Result<Self, HostError> {
        Ok(Self {
            program: PinnedProgram::open(&pins.join(PROGRAM_NAME))?,
            sources: PinnedMap::open(&pins.join(SOURCES_NAME), SOURCES)?,
            counts: PinnedMap::open(&pins.join(COUNTS_NAME), COUNTS)?,
            pins: pins.to_owned(),
        })
    }

    /// As [`Self::open`]; `None` where nothing is pinned.
    pub fn open_if_there(pins: &Path) -> Result<Option<Self>, HostError> {
        match Self::open(pins) {
            Err(error) if error.errno() == Some(libc::ENOENT) => Ok(None),
            guard => guard.map(Some),
        }
    }

    /// Has the offers of a source taken out from now on; where they are already, the reason stays: a pod that gives itself a node's
    /// address takes nothing from the others. But that handshakes timed out is less than any other reason.
    pub fn strip(&self, source: IpAddr, why: StripCause) -> Result<(), HostError> {
        let attempt = format_args!("add {source} to {}", self.sources.shown());
        let value = why.number().to_ne_bytes();
        match self.sources.put_new(&address_key(source), &value) {
            Err(Errno::EEXIST) if self.strips(source)? == Some(StripCause::TimedOut) => {
                self.sources.put(&address_key(source), &value).map_err(HostError::at(attempt))
            }
            Err(Errno::EEXIST) => Ok(()),
            result => result.map_err(HostError::at(attempt)),
        }
    }

    /// Leaves the offers of a source alone, if they are taken out for this reason.
    pub fn leave(&self, source: IpAddr, why: StripCause) -> Result<(), HostError> {
        if self.strips(source)? != Some(why) {
            return Ok(());
        }
        let attempt = format_args!("remove {source} from {}", self.sources.shown());
        self.sources.remove(&address_key(source)).map_err(HostError::at(attempt))
    }

    /// Why the offers of a source are taken out, if they are.
    pub fn strips(&self, source: IpAddr) -> Result<Option<StripCause>, HostError> {
        let attempt = format_args!("look {source} up in {}", self.sources.shown());
        let value = self.sources.get(&address_key(source)).map_err(HostError::at(attempt))?;
        Ok(why(value))
    }

    /// The addresses whose offers are taken out.
    pub fn sources(&self) -> Result<BTreeMap<IpAddr, StripCause>, HostError> {
        let list = || -> Result<BTreeMap<IpAddr, StripCause>, Errno> {
            let mut sources = BTreeMap::new();
            for key in self.sources.keys()? {
                let value = self.sources.get(&key)?;
                sources.extend(read_address(&key).zip(why(value)));
            }
            Ok(sources)
        };
        list().map_err(HostError::at(format_args!("list {}", self.sources.shown())))
    }

    /// Takes a pod's address in: its own SYNs lose their offer, and what it loses is counted; where it says who may speak SMC with
    /// it, nobody else may. Fine when it is there.
    pub fn add_pod(&self, address: IpAddr, peers: Option<&PeerRanges>) -> Result<(), HostError> {
        self.count_for(address)?;
        // First, or whoever may not would get in before.
        if let Some(peers) = peers {
            self.peers()?.set(Whose::Pod(address), &peers.rules(address), StripCause::NotAllowed)?;
        }
        self.strip(address, StripCause::Pod)
    }

    /// Forgets a pod's address; fine when it is not there.
    pub fn remove_pod(&self, address: IpAddr) -> Result<(), HostError> {
        self.leave(address, StripCause::Pod)?;
        self.allow_all(address)?;
        self.count_no_more(address)
    }

    /// Forgets who may speak SMC with the pod of an address: all may whom the node lets.
    pub fn allow_all(&self, address: IpAddr) -> Result<(), HostError> {
        self.peers()?.set(Whose::Pod(address), &BTreeMap::new(), StripCause::NotAllowed)
    }

    /// Whether a pod's address is taken in, but for who may speak SMC with it.
    pub fn has_pod(&self, address: IpAddr) -> Result<bool, HostError> {
        // Also for another reason: a pod that has a node's address is not alone with it.
        Ok(self.strips(address)?.is_some_and(|why| why != StripCause::TimedOut))
    }

    /// Who may speak SMC with whom.
    pub fn peers(&self) -> Result<AllowedPeers, HostError> {
        AllowedPeers::open(&self.pins)
    }

    /// Has these reasons count for nothing from now on, and all others for what they are.
    pub fn spare(&self, reasons: &[StripCause]) -> Result<(), HostError> {
        let map = PinnedMap::open(&self.pins.join(SPARED_NAME), SPARED)?;
        let bits = reasons.iter().fold(0_u32, |bits, why| bits | 1 << why.number());
        let attempt = format_args!("write {}", map.shown());
        map.put(&0_u32.to_ne_bytes(), &bits.to_ne_bytes()).map_err(HostError::at(attempt))
    }

    /// The reasons that count for nothing; `None` where one is among them that this version does not know.
    pub fn spared(&self) -> Result<Option<BTreeSet<StripCause>>, HostError> {
        let map = PinnedMap::open(&self.pins.join(SPARED_NAME), SPARED)?;
        let attempt = format_args!("read {}", map.shown());
        let value = map.get(&0_u32.to_ne_bytes()).map_err(HostError::at(attempt))?;
        let bits = value.and_then(|value| value.try_into().ok()).map_or(0, u32::from_ne_bytes);
        let spared: BTreeSet<_> =
            StripCause::ALL.into_iter().filter(|why| bits & (1 << why.number()) != 0).collect();
        Ok((bits.count_ones() as usize == spared.len()).then_some(spared))
    }

    /// The kernel's number of the program.
    pub fn program(&self) -> u32 {
        self.program.id()
    }

    /// Counts from now on what packets to a pod lose; what was counted stays.
    pub fn count_for(&self, pod: IpAddr) -> Result<(), HostError> {
        let attempt = format_args!("add {pod} to {}", self.counts.shown());
        match self.counts.put_new(&address_key(pod), &[0; COUNTS_BYTES]) {
            Err(Errno::EEXIST) => Ok(()),
            result => result.map_err(HostError::at(attempt)),
        }
    }

    /// Forgets what was counted for a pod; fine when nothing was.
    pub fn count_no_more(&self, pod: IpAddr) -> Result<(), HostError> {
        let attempt = format_args!("remove {pod} from {}", self.counts.shown());
        self.counts.remove(&address_key(pod)).map_err(HostError::at(attempt))
    }

    /// What packets to each counted pod lost, by each reason for which they did.
    pub fn taken(&self) -> Result<BTreeMap<IpAddr, BTreeMap<StripCause, Taken>>, HostError> {
        let list = || -> Result<BTreeMap<IpAddr, BTreeMap<StripCause, Taken>>, Errno> {
            let mut pods = BTreeMap::new();
            for key in self.counts.keys()? {
                let counts = self.counts.get(&key)?.unwrap_or_default();
                pods.extend(read_address(&key).map(|pod| (pod, taken(&counts))));
            }
            Ok(pods)
        };
        list().map_err(HostError::at(format_args!("read {}", self.counts.shown())))
    }

    /// How many offers were taken out of SYNs to pods of this node.
    pub fn stripped(&self) -> Result<u64, HostError> {
        Ok(self.taken()?.values().flat_map(BTreeMap::values).map(|taken| taken.stripped).sum())
    }

    /// Attaches the program to the ingress of an interface, in the namespace of `route`.
    pub fn attach(&self, route: &mut Connection, interface: u32) -> Result<(), HostError> {
        ingress::attach(route, interface, self.program.number())
    }

    /// Whether it is this program that is attached to an interface.
    pub fn is_attached(&self, route: &mut Connection, interface: u32) -> Result<bool, HostError> {
        Ok(ingress::attached(route, interface)? == Some(self.program.id()))
    }
}

/// Takes the guard's program off an interface, whichever of ours it is; fine when there is none.
pub fn detach(route: &mut Connection, interface: u32) -> Result<(), HostError> {
    ingress::detach(route, interface)
}

/// The kernel's number of the program that is pinned in a directory, if one is.
pub fn pinned_program(pins: &Path) -> Result<Option<u32>, HostError> {
    Ok(Guard::open_if_there(pins)?.map(|guard| guard.program()))
}

/// The interfaces of the namespace that have an address or an IPv4 route, and not this program: another one of the guard's may look
/// into maps that nobody fills any more. Without a `program` any of ours will do.
pub fn unguarded(route: &mut Connection, program: Option<u32>) -> Result<Vec<String>, HostError> {
    let addressed = route::addresses(route)?.into_iter().map(|(index, _)| index);
    let mut used: BTreeSet<u32> = addressed.chain(route::routed_interfaces(route)?).collect();
    used.extend(route::addresses6(route)?.into_iter().map(|(index, _)| index));
    let mut unguarded = Vec::new();
    for index in used.into_iter().filter(|index| *index != route::LOOPBACK) {
        let attached = ingress::attached(route, index)?;
        if attached.is_none() || (program.is_some() && attached != program) {
            unguarded.extend(route::link(route, index)?.map(|link| link.name));
        }
    }
    Ok(unguarded)
}

/// Whether any program of the guard is attached to an interface.
pub fn has_any(route: &mut Connection, interface: u32) -> Result<bool, HostError> {
    Ok(ingress::attached(route, interface)?.is_some())
}

/// `struct counts`.
fn taken(counts: &[u8]) -> BTreeMap<StripCause, Taken> {
    let numbers: Vec<u64> = counts.as_chunks().0.iter().map(|bytes| u64::from_ne_bytes(*bytes)).collect();
    let (stripped, dropped) = numbers.split_at(numbers.len() / 2);
    let by_number = (0..).zip(stripped.iter().zip(dropped));
    let all = by_number.filter_map(|(number, (&stripped, &dropped))| {
        Some((StripCause::of(number)?, Taken { stripped, dropped }))
    });
    all.filter(|(_, taken)| *taken != Taken::default()).collect()
}

fn why(value: Option<Vec<u8>>) -> Option<StripCause> {
    StripCause::of(u32::from_ne_bytes(value?.try_into().ok()?))
}

/// What is pinned, opened when it is first needed.
#[derive(Debug, Default)]
pub struct OpenedGuard {
    opened: Option<(PathBuf, Guard)>,
}

impl OpenedGuard {
    /// What is pinned in a directory.
    pub fn open(&mut self, pins: &Path) -> Result<&Guard, HostError> {
        let opened = match self.opened.take() {
            Some((opened, guard)) if opened == pins => (opened, guard),
            _ => (pins.to_owned(), Guard::open(pins)?),
        };
        Ok(&self.opened.insert(opened).1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_back() {
        for address in ["10.0.0.5", "fd00::5"] {
            let address: IpAddr = address.parse().unwrap();
            assert_eq!(read_address(&address_key(address)), Some(address));
        }
        assert_eq!(read_address(&[]), None);
    }

    #[test]
    fn every_reason_has_a_number_of_its_own_that_the_program_counts() {
        for why in StripCause::ALL {
            assert_eq!(StripCause::of(why.number()), Some(why));
            assert!((1..CAUSES).contains(&(why.number() as usize)));
        }
        assert_eq!(StripCause::of(0), None);
    }
}
