//! SMC's offer, taken out of SYNs at a pod's own interface (`bpf/syn_options.bpf.c`).
//!
//! Loaded here, and pinned by [`super::GuardProgram`]; whoever sets up a pod attaches it ([`smc_host::guard`]).

use std::os::fd::AsFd;
use std::path::Path;

use libbpf_rs::{MapCore as _, MapHandle, Object, ObjectBuilder, OpenObject, Program, ProgramInput};
use smc_model::SynOption;

use super::error::BpfError;
use super::object::CONSTANTS_SUFFIX;
use super::{messages, probe};

/// Compiled from `bpf/syn_options.bpf.c` by `build.rs`.
static OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/syn_options.bpf.o"));

const LOAD: &str = "load the program that takes SMC's offer out of SYNs";
/// uapi/linux/pkt_cls.h.
const TC_ACT_SHOT: u32 = 2;

/// What became of a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It goes on, as it is now.
    Passed(Vec<u8>),
    /// It goes no further.
    Dropped,
}

/// The loaded program with its maps; gone when this is dropped, but for what is pinned.
#[derive(Debug)]
pub struct SynOptions(Object);

impl SynOptions {
    /// Loads the program for the option that this kernel's SMC sockets send, over those of its maps that are given by their names;
    /// `None` where the option is not of the form that is known (kind 254 with four bytes).
    ///
    /// # Errors
    /// Where the kernel refuses it.
    pub fn load(offer: &SynOption, maps: &[(&str, MapHandle)]) -> Result<Option<Self>, BpfError> {
        let (254, &[a, b, c, d]) = (offer.kind, offer.data.as_slice()) else { return Ok(None) };
        let (opened, log) = messages::collect(|| ObjectBuilder::default().open_memory(OBJECT));
        let mut open = opened.map_err(|source| BpfError::Bpf {
            operation: "open the embedded BPF object",
            log,
            source,
        })?;
        set_magic(&mut open, [a, b, c, d]).ok_or(BpfError::Object("constant smc_magic"))?;
        for (name, over) in maps {
            let mut map =
                open.maps_mut().find(|map| map.name() == *name).ok_or(BpfError::Object("map of its name"))?;
            map.reuse_fd(over.as_fd()).map_err(failed(LOAD))?;
        }
        let (loaded, log) = messages::collect(|| open.load());
        loaded.map(|object| Some(Self(object))).map_err(|source| probe::explain(LOAD, log, source))
    }

    /// The kernel's number of the program.
    pub(super) fn id(&self) -> Result<u32, BpfError> {
        let program = self.0.progs().next().ok_or(BpfError::Object("program strip_offer"))?;
        Program::id_from_fd(program.as_fd()).map_err(failed(LOAD))
    }

    /// Pins the program.
    pub(super) fn pin_program(&self, path: &Path) -> libbpf_rs::Result<()> {
        self.0.progs_mut().next().map_or(Ok(()), |mut program| program.pin(path))
    }

    /// Pins one of the maps.
    pub(super) fn pin_map(&mut self, name: &str, path: &Path) -> libbpf_rs::Result<()> {
        self.0.maps_mut().find(|map| map.name() == name).map_or(Ok(()), |mut map| map.pin(path))
    }

    /// Has the kernel run the program on a packet, which begins with its Ethernet header and goes nowhere. Counted like others.
    ///
    /// # Errors
    /// When the kernel does not run it.
    pub fn run(&self, packet: &[u8]) -> Result<Fate, BpfError> {
        let program = self.0.progs_mut().next().ok_or(BpfError::Object("program strip_offer"))?;
        let mut out = vec![0; packet.len()];
        let input =
            ProgramInput { data_in: Some(packet), data_out: Some(&mut out), ..ProgramInput::default() };
        let output = program.test_run(input).map_err(failed("try the program on a packet"))?;
        Ok(if output.return_value == TC_ACT_SHOT { Fate::Dropped } else { Fate::Passed(out) })
    }

    /// How many nanoseconds it takes the program to look at a packet, the mean of so many times. A packet whose offer it takes out has
    /// none after the first.
    ///
    /// # Errors
    /// When the kernel does not run it.
    pub fn nanoseconds(&self, packet: &[u8], times: u32) -> Result<u64, BpfError> {
        let program = self.0.progs_mut().next().ok_or(BpfError::Object("program strip_offer"))?;
        let input = ProgramInput { data_in: Some(packet), repeat: times, ..ProgramInput::default() };
        let output = program.test_run(input).map_err(failed("time the program on a packet"))?;
        Ok(output.duration.as_nanos().try_into().unwrap_or(u64::MAX))
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
