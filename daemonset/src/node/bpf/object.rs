//! The embedded object: opening, loading and attaching it.

use std::os::fd::AsFd;

use libbpf_rs::{Link, MapHandle, Object, ObjectBuilder, OpenObject, Program};

use super::error::BpfError;
use super::{MAP_NAME, messages, probe};

/// Compiled from `bpf/smcify.bpf.c` by `build.rs`.
static OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/smcify.bpf.o"));

const PROGRAM_NAME: &str = "smcify";
/// libbpf puts the object's name before it.
pub(super) const CONSTANTS_SUFFIX: &str = ".rodata";

/// Loads a program converting to `smc_protocol`, over the pinned map when there is one. Nothing is attached, and all
/// of it is gone when the object is dropped.
pub(super) fn load(smc_protocol: u16, pinned_map: Option<&MapHandle>) -> Result<Object, BpfError> {
    let mut open = open()?;
    set_protocol(&mut open, smc_protocol)?;
    if let Some(pinned) = pinned_map {
        let mut map = open
            .maps_mut()
            .find(|map| map.name() == MAP_NAME)
            .ok_or(BpfError::Object("map converting_netns"))?;
        map.reuse_fd(pinned.as_fd()).map_err(|source| BpfError::Bpf {
            operation: "load the conversion program over the pinned map",
            log: String::new(),
            source,
        })?;
    }
    let (loaded, log) = messages::collect(|| open.load());
    loaded.map_err(|source| probe::explain("load the conversion program", log, source))
}

/// Attaches the loaded program. It is detached again when the link is dropped without having been pinned.
pub(super) fn attach(object: &Object) -> Result<Link, BpfError> {
    let program = object
        .progs_mut()
        .find(|program| program.name() == PROGRAM_NAME)
        .ok_or(BpfError::Object("program smcify"))?;
    let (link, log) = messages::collect(|| program.attach());
    link.map_err(|source| probe::explain("attach the conversion program", log, source))
}

/// The kernel's number of the loaded program.
pub(super) fn program_id(object: &Object) -> Result<u32, BpfError> {
    let program = object.progs().find(|program| program.name() == PROGRAM_NAME);
    let program = program.ok_or(BpfError::Object("program smcify"))?;
    Program::id_from_fd(program.as_fd())
        .map_err(|source| probe::explain("read a loaded BPF program's description", String::new(), source))
}

fn open() -> Result<OpenObject, BpfError> {
    let (opened, log) = messages::collect(|| {
        let mut builder = ObjectBuilder::default();
        builder.name(PROGRAM_NAME)?;
        builder.open_memory(OBJECT)
    });
    opened.map_err(|source| BpfError::Bpf { operation: "open the embedded BPF object", log, source })
}

/// The number is the only constant in the object, a `u32` at its start.
fn set_protocol(open: &mut OpenObject, smc_protocol: u16) -> Result<(), BpfError> {
    let missing = || BpfError::Object("constant smc_protocol");
    let mut constants = open
        .maps_mut()
        .find(|map| map.name().as_encoded_bytes().ends_with(CONSTANTS_SUFFIX.as_bytes()))
        .ok_or_else(missing)?;
    let value = constants.initial_value_mut().ok_or_else(missing)?;
    value.first_chunk_mut::<4>().ok_or_else(missing)?.copy_from_slice(&u32::from(smc_protocol).to_ne_bytes());
    Ok(())
}
