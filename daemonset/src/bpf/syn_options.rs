//! SMC's offer, taken out of SYNs at a pod's own interface (`bpf/syn_options.bpf.c`).
//!
//! Loaded here, and pinned by [`super::GuardProgram`]; whoever sets up a pod attaches it ([`smc_host::guard`]).

use std::net::IpAddr;
use std::os::fd::AsFd;
use std::path::Path;

use libbpf_rs::{MapCore, MapFlags, MapHandle, Object, ObjectBuilder, OpenObject, Program, ProgramInput};
use smc_host::guard::{CAUSES, COUNTS_NAME, SOURCES_NAME, address_key, source_key};
use smc_model::SynOption;

use super::error::BpfError;
use super::object::CONSTANTS_SUFFIX;
use super::{messages, probe};

/// Compiled from `bpf/syn_options.bpf.c` by `build.rs`.
static OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/syn_options.bpf.o"));

const LOAD: &str = "load the program that takes SMC's offer out of SYNs";
/// uapi/linux/pkt_cls.h.
const TC_ACT_SHOT: u32 = 2;

/// Where SYNs come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Source {
    address: IpAddr,
    bits: u8,
}

impl Source {
    /// One address.
    pub fn address(address: IpAddr) -> Self {
        Self::range(address, u8::MAX)
    }

    /// All addresses of the same family that begin with the first `bits` of this one; more than it has are all that it has.
    pub fn range(address: IpAddr, bits: u8) -> Self {
        Self { address, bits: bits.min(if address.is_ipv4() { 32 } else { 128 }) }
    }

    fn key(self) -> impl AsRef<[u8]> {
        source_key(self.address, self.bits)
    }
}

/// Why offers of a source are taken out, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cause(u8);

impl Cause {
    /// How many the program counts apart; the first is none.
    const ALL: usize = CAUSES;
    /// No cause: offers pass, where a range around would have them taken out.
    pub const NONE: Self = Self(0);

    /// The cause of this number; `None` where the program cannot count so far.
    pub fn new(number: u8) -> Option<Self> {
        (usize::from(number) < Self::ALL).then_some(Self(number))
    }
}

/// What packets to a pod lost by a cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// Why.
    pub cause: Cause,
    /// SYNs whose offers were taken out.
    pub stripped: u64,
    /// Packets that were dropped: SYNs that are fragments, and what cannot be read.
    pub dropped: u64,
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
    counted_pods: MapHandle,
}

impl SynOptions {
    /// Loads the program for the option that this kernel's SMC sockets send; `None` where that is not of the form that is
    /// known (kind 254 with four bytes).
    ///
    /// # Errors
    /// Where the kernel refuses it.
    pub fn load(offer: &SynOption) -> Result<Option<Self>, BpfError> {
        Self::load_over(offer, [None, None])
    }

    /// As [`Self::load`], over maps of sources and of counts that are there.
    pub(super) fn load_over(
        offer: &SynOption,
        maps: [Option<&MapHandle>; 2],
    ) -> Result<Option<Self>, BpfError> {
        let (254, &[a, b, c, d]) = (offer.kind, offer.data.as_slice()) else { return Ok(None) };
        let (opened, log) = messages::collect(|| ObjectBuilder::default().open_memory(OBJECT));
        let mut open = opened.map_err(|source| BpfError::Bpf {
            operation: "open the embedded BPF object",
            log,
            source,
        })?;
        set_magic(&mut open, [a, b, c, d]).ok_or(BpfError::Object("constant smc_magic"))?;
        for (name, over) in [SOURCES_NAME, COUNTS_NAME].into_iter().zip(maps) {
            let Some(over) = over else { continue };
            let mut map =
                open.maps_mut().find(|map| map.name() == name).ok_or(BpfError::Object("map of its name"))?;
            map.reuse_fd(over.as_fd()).map_err(failed(LOAD))?;
        }
        let (loaded, log) = messages::collect(|| open.load());
        let object = loaded.map_err(|source| probe::explain(LOAD, log, source))?;
        let map = |name: &'static str| {
            let map = object.maps().find(|map| map.name() == name).ok_or(BpfError::Object(name))?;
            MapHandle::try_from(&map).map_err(failed(LOAD))
        };
        let (strip_from, counted_pods) = (map(SOURCES_NAME)?, map(COUNTS_NAME)?);
        Ok(Some(Self { object, strip_from, counted_pods }))
    }

    /// The kernel's number of the program.
    pub(super) fn id(&self) -> Result<u32, BpfError> {
        let program = self.object.progs().next().ok_or(BpfError::Object("program strip_offer"))?;
        Program::id_from_fd(program.as_fd()).map_err(failed(LOAD))
    }

    /// Pins the program.
    pub(super) fn pin_program(&self, path: &Path) -> libbpf_rs::Result<()> {
        self.object.progs_mut().next().map_or(Ok(()), |mut program| program.pin(path))
    }

    /// Pins one of the maps.
    pub(super) fn pin_map(&mut self, name: &str, path: &Path) -> libbpf_rs::Result<()> {
        let map = if name == SOURCES_NAME { &mut self.strip_from } else { &mut self.counted_pods };
        map.pin(path)
    }

    /// Has the offers of a source taken out for this cause from now on; of sources that hold an address, the one with the
    /// longest prefix decides.
    ///
    /// # Errors
    /// When the map is full.
    pub fn strip(&self, source: Source, cause: Cause) -> Result<(), BpfError> {
        let operation = "have SMC's offer taken out of a source's SYNs";
        let cause = u32::from(cause.0).to_ne_bytes();
        self.strip_from.update(source.key().as_ref(), &cause, MapFlags::ANY).map_err(failed(operation))
    }

    /// Leaves a source to the ranges around it; fine when nothing was said of it.
    ///
    /// # Errors
    /// When the map cannot be changed.
    pub fn forget(&self, source: Source) -> Result<(), BpfError> {
        gone(self.strip_from.delete(source.key().as_ref()), "forget a source of SYNs")
    }

    /// Counts from now on what packets to this pod lose; what was counted stays.
    ///
    /// # Errors
    /// When the map is full.
    pub fn count_for(&self, pod: IpAddr) -> Result<(), BpfError> {
        let nothing = [0; 16 * Cause::ALL];
        match self.counted_pods.update(&address_key(pod), &nothing, MapFlags::NO_EXIST) {
            Err(error) if error.kind() == libbpf_rs::ErrorKind::AlreadyExists => Ok(()),
            result => result.map_err(failed("count what SYNs to a pod lose")),
        }
    }

    /// Forgets what was counted for a pod; fine when nothing was.
    ///
    /// # Errors
    /// When the map cannot be changed.
    pub fn count_no_more(&self, pod: IpAddr) -> Result<(), BpfError> {
        gone(self.counted_pods.delete(&address_key(pod)), "forget what SYNs to a pod lost")
    }

    /// What packets to a pod lost, by each cause by which they did.
    ///
    /// # Errors
    /// When the map cannot be read.
    pub fn counted(&self, pod: IpAddr) -> Result<Vec<Counted>, BpfError> {
        let counts = self.counted_pods.lookup(&address_key(pod), MapFlags::ANY);
        let counts = counts.map_err(failed("read what SYNs to a pod lost"))?.unwrap_or_default();
        let numbers: Vec<u64> = counts.as_chunks().0.iter().map(|bytes| u64::from_ne_bytes(*bytes)).collect();
        // `struct counts`.
        let (stripped, dropped) = numbers.split_at(numbers.len() / 2);
        let by_cause = (0..).map(Cause).zip(stripped.iter().zip(dropped));
        let all = by_cause.map(|(cause, (&stripped, &dropped))| Counted { cause, stripped, dropped });
        Ok(all.filter(|counted| (counted.stripped, counted.dropped) != (0, 0)).collect())
    }

    /// Has the kernel run the program on a packet, which begins with its Ethernet header and goes nowhere. Counted like others.
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

/// The bytes are the only constant in the object.
fn set_magic(open: &mut OpenObject, magic: [u8; 4]) -> Option<()> {
    let mut constants =
        open.maps_mut().find(|map| map.name().as_encoded_bytes().ends_with(CONSTANTS_SUFFIX.as_bytes()))?;
    *constants.initial_value_mut()?.first_chunk_mut()? = magic;
    Some(())
}

/// What is not there need not be taken out.
fn gone(result: libbpf_rs::Result<()>, operation: &'static str) -> Result<(), BpfError> {
    match result {
        Err(error) if error.kind() == libbpf_rs::ErrorKind::NotFound => Ok(()),
        result => result.map_err(failed(operation)),
    }
}

fn failed(operation: &'static str) -> impl Fn(libbpf_rs::Error) -> BpfError {
    move |source| BpfError::Bpf { operation, log: String::new(), source }
}
