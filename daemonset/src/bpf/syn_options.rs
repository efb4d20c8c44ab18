//! SMC's offer, taken out of SYNs at a pod's own interface (`bpf/syn_options.bpf.c`).
//!
//! Loaded and filled here; nothing attaches it yet. The same-node guard is still nftables' ([`crate::guard`]).

use std::net::{IpAddr, Ipv6Addr};

use libbpf_rs::{MapCore, MapFlags, MapHandle, Object, ObjectBuilder, OpenObject, ProgramInput};
use smc_model::SynOption;

use super::error::BpfError;
use super::object::CONSTANTS_SUFFIX;
use super::{messages, probe};

/// Compiled from `bpf/syn_options.bpf.c` by `build.rs`.
static OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/syn_options.bpf.o"));

const LOAD: &str = "load the program that takes SMC's offer out of SYNs";
/// Bits of an IPv4 address's prefix as IPv6 writes it, `::ffff:0:0/96`.
const MAPPED: u32 = 96;
/// uapi/linux/pkt_cls.h.
const TC_ACT_SHOT: u32 = 2;

/// Where SYNs come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Source {
    address: Ipv6Addr,
    prefix: u32,
}

impl Source {
    /// One address.
    pub fn address(address: IpAddr) -> Self {
        Self { address: mapped(address), prefix: 128 }
    }

    /// All addresses that begin with the first `bits` of this one; no more than it has count.
    pub fn range(address: IpAddr, bits: u8) -> Self {
        let prefix = match address {
            IpAddr::V4(_) => MAPPED + u32::from(bits.min(32)),
            IpAddr::V6(_) => u32::from(bits.min(128)),
        };
        Self { address: mapped(address), prefix }
    }

    fn key(self) -> [u8; 20] {
        let mut key = [0; 20];
        key[..4].copy_from_slice(&self.prefix.to_ne_bytes());
        key[4..].copy_from_slice(&self.address.octets());
        key
    }
}

fn mapped(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

/// What becomes of the offers of a source: taken out, counted under this number; 0 lets them pass.
pub type Cause = u32;

/// How often SYNs to a pod lost something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// The pod's address.
    pub pod: IpAddr,
    /// Why.
    pub cause: Cause,
    /// Whether they were dropped: fragments, and what cannot be read.
    pub dropped: bool,
    /// How many.
    pub packets: u64,
}

/// What became of a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It goes on, as it is now.
    Passed(Vec<u8>),
    /// It goes no further.
    Dropped,
}

/// The loaded program with its maps; gone when this is dropped.
#[derive(Debug)]
pub struct SynOptions {
    object: Object,
    strip_from: MapHandle,
    stripped: MapHandle,
}

impl SynOptions {
    /// Loads the program for the option that this kernel's SMC sockets send; `None` where that is not of the form that is
    /// known (kind 254 with four bytes).
    ///
    /// # Errors
    /// Where the kernel refuses it.
    pub fn load(offer: &SynOption) -> Result<Option<Self>, BpfError> {
        let (254, &[a, b, c, d]) = (offer.kind, offer.data.as_slice()) else { return Ok(None) };
        let (opened, log) = messages::collect(|| ObjectBuilder::default().open_memory(OBJECT));
        let mut open = opened.map_err(|source| BpfError::Bpf {
            operation: "open the embedded BPF object",
            log,
            source,
        })?;
        set_magic(&mut open, [a, b, c, d]).ok_or(BpfError::Object("constant smc_magic"))?;
        let (loaded, log) = messages::collect(|| open.load());
        let object = loaded.map_err(|source| probe::explain(LOAD, log, source))?;
        let map = |name: &'static str| {
            let map = object.maps().find(|map| map.name() == name).ok_or(BpfError::Object(name))?;
            MapHandle::try_from(&map).map_err(failed(LOAD))
        };
        let (strip_from, stripped) = (map("strip_from")?, map("stripped")?);
        Ok(Some(Self { object, strip_from, stripped }))
    }

    /// What is to become of the offers of a source; the source with the longest prefix decides.
    ///
    /// # Errors
    /// When the map is full.
    pub fn set(&self, source: Source, cause: Cause) -> Result<(), BpfError> {
        let operation = "have SMC's offer taken out of a source's SYNs";
        self.strip_from.update(&source.key(), &cause.to_ne_bytes(), MapFlags::ANY).map_err(failed(operation))
    }

    /// How often something was done, by pod and cause; pods that are gone included.
    ///
    /// # Errors
    /// When the map cannot be read.
    pub fn counted(&self) -> Result<Vec<Counted>, BpfError> {
        let mut all = Vec::new();
        for key in self.stripped.keys() {
            // One that made room for another in the meantime is gone.
            let value = self
                .stripped
                .lookup(&key, MapFlags::ANY)
                .map_err(failed("read how often offers were taken out"))?;
            all.extend(value.and_then(|value| Counted::parse(&key, &value)));
        }
        Ok(all)
    }

    /// Has the kernel run the program on a packet, which begins with its Ethernet header and goes nowhere. It is counted.
    ///
    /// # Errors
    /// When the kernel does not run it.
    pub fn run(&self, packet: &[u8]) -> Result<Fate, BpfError> {
        let program = self.object.progs_mut().next().ok_or(BpfError::Object("program strip_offer"))?;
        let mut out = vec![0; packet.len()];
        let input =
            ProgramInput { data_in: Some(packet), data_out: Some(&mut out), ..ProgramInput::default() };
        let output = program.test_run(input).map_err(failed("try the program on a packet"))?;
        Ok(if output.return_value == TC_ACT_SHOT { Fate::Dropped } else { Fate::Passed(out) })
    }
}

impl Counted {
    /// Reads an entry of the map `stripped`: pod (16 bytes), cause and whether dropped (4 each), and its count (8).
    fn parse(key: &[u8], value: &[u8]) -> Option<Self> {
        let (pod, rest) = key.split_first_chunk::<16>()?;
        let (cause, rest) = rest.split_first_chunk()?;
        let dropped: &[u8; 4] = rest.first_chunk()?;
        Some(Self {
            pod: IpAddr::from(*pod).to_canonical(),
            cause: u32::from_ne_bytes(*cause),
            dropped: *dropped != [0; 4],
            packets: u64::from_ne_bytes(*value.first_chunk()?),
        })
    }
}

/// The bytes are the only constant in the object.
fn set_magic(open: &mut OpenObject, magic: [u8; 4]) -> Option<()> {
    let mut constants =
        open.maps_mut().find(|map| map.name().as_encoded_bytes().ends_with(CONSTANTS_SUFFIX.as_bytes()))?;
    *constants.initial_value_mut()?.first_chunk_mut()? = magic;
    Some(())
}

fn failed(operation: &'static str) -> impl Fn(libbpf_rs::Error) -> BpfError {
    move |source| BpfError::Bpf { operation, log: String::new(), source }
}
