//! The same-node guard's program with its maps, as pinned things on this node.

use std::os::fd::AsFd;
use std::path::Path;

use libbpf_rs::{MapCore, MapHandle, MapInfo, MapType, Program};
use smc_host::guard::peers::{PEERS_NAME, RANGE_BYTES};
use smc_host::guard::{ADDRESS_BYTES, COUNTS_BYTES, COUNTS_NAME, PROGRAM_NAME, SOURCES_NAME, SPARED_NAME};
use smc_model::SynOption;

use super::build::Build;
use super::error::BpfError;
use super::pins::{NEXT_PROGRAM_NAME, Pins, failed, is_there, rename, unpin};
use super::syn_options::SynOptions;

/// The maps, each with what it must be like: its kind, and bytes of its keys and values.
const MAPS: [(&str, MapType, usize, usize); 4] = [
    (SOURCES_NAME, MapType::Hash, ADDRESS_BYTES, size_of::<u32>()),
    (SPARED_NAME, MapType::Array, size_of::<u32>(), size_of::<u32>()),
    (PEERS_NAME, MapType::LpmTrie, RANGE_BYTES, size_of::<u32>()),
    (COUNTS_NAME, MapType::Hash, ADDRESS_BYTES, COUNTS_BYTES),
];
/// The program that takes SMC's offer out of SYNs to pods, for whoever sets up pods.
#[derive(Debug)]
pub struct GuardProgram;

/// What is pinned, by the kernel's ids. While this stays the same there is nothing to make sure of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PinnedGuard {
    program: u32,
    maps: [u32; MAPS.len()],
}

/// What [`GuardProgram::ensure`] found or did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EnsuredGuard {
    /// This build, over the pinned maps, was there.
    Adopted,
    /// It was made. Pods may have another one, over maps that nobody fills any more.
    Made {
        /// Of an earlier build; the maps, with all their entries, stayed if they were still pinned.
        replaced: bool,
    },
    /// This kernel's offer is of a form that the program does not know.
    UnknownOffer,
}

impl GuardProgram {
    /// Whether this build's program for the option that this kernel's SMC sockets send is pinned under `pin_dir`, with its maps.
    /// Loads it to compare, and lets it go.
    pub fn is_current(pin_dir: &Path, offer: &SynOption) -> Result<bool, BpfError> {
        let pins = Pins::lock(pin_dir)?;
        let Some(pinned) = program(&pins)? else { return Ok(false) };
        let mut there = Vec::new();
        for kind in MAPS {
            let Some(map) = map(&pins, kind)? else { return Ok(false) };
            there.push((kind.0, map));
        }
        let Some(loaded) = SynOptions::load(offer, &there)? else { return Ok(false) };
        Ok(Build::of_program(loaded.id()?)? == Build::of_program(pinned)?)
    }

    /// Makes sure that this build's program for the option that this kernel's SMC sockets send, and its maps, are pinned under
    /// `pin_dir`. Safe to repeat, also by two agents at once.
    pub fn ensure(pin_dir: &Path, offer: &SynOption) -> Result<EnsuredGuard, BpfError> {
        let pins = Pins::lock(pin_dir)?;
        let mut there = Vec::new();
        for kind in MAPS {
            match map(&pins, kind)? {
                Some(map) => there.push((kind.0, map)),
                // One of another layout, which an earlier version left.
                None => drop(unpin(&pins.at(kind.0))?),
            }
        }
        let Some(mut loaded) = SynOptions::load(offer, &there)? else {
            return Ok(EnsuredGuard::UnknownOffer);
        };
        let fresh = Build::of_program(loaded.id()?)?;
        let pinned = program(&pins)?.map(Build::of_program).transpose()?;
        if there.len() == MAPS.len() && pinned.as_ref() == Some(&fresh) {
            return Ok(EnsuredGuard::Adopted);
        }
        for (name, ..) in MAPS.into_iter().filter(|(name, ..)| there.iter().all(|(there, _)| there != name)) {
            let path = pins.at(name);
            loaded.pin_map(name, &path).map_err(|source| failed("pin", &path, &source))?;
        }
        let next = pins.at(NEXT_PROGRAM_NAME);
        unpin(&next)?;
        loaded.pin_program(&next).map_err(|source| failed("pin", &next, &source))?;
        rename(&next, &pins.at(PROGRAM_NAME))?;
        Ok(EnsuredGuard::Made { replaced: pinned.is_some() })
    }
}

impl PinnedGuard {
    /// What is pinned under `pin_dir` now; `None` unless all of it is. Loads nothing.
    pub fn look(pin_dir: &Path) -> Result<Option<Self>, BpfError> {
        if !pin_dir.exists() {
            return Ok(None);
        }
        let pins = Pins::lock(pin_dir)?;
        let Some(program) = program(&pins)? else { return Ok(None) };
        let mut maps = [0; MAPS.len()];
        for (number, kind) in maps.iter_mut().zip(MAPS) {
            let Some(map) = map(&pins, kind)? else { return Ok(None) };
            *number = id(&map)?;
        }
        Ok(Some(Self { program, maps }))
    }
}

/// The kernel's number of the pinned program.
fn program(pins: &Pins) -> Result<Option<u32>, BpfError> {
    let path = pins.at(PROGRAM_NAME);
    if !is_there(&path)? {
        return Ok(None);
    }
    let id = Program::fd_from_pinned_path(&path).and_then(|program| Program::id_from_fd(program.as_fd()));
    id.map(Some).map_err(|source| failed("open", &path, &source))
}

/// A pinned map; `None` also where it is of another layout.
fn map(
    pins: &Pins,
    (name, kind, key, value): (&str, MapType, usize, usize),
) -> Result<Option<MapHandle>, BpfError> {
    let path = pins.at(name);
    if !is_there(&path)? {
        return Ok(None);
    }
    let map = MapHandle::from_pinned_path(&path).map_err(|source| failed("open", &path, &source))?;
    let found = (map.map_type(), map.key_size() as usize, map.value_size() as usize);
    Ok((found == (kind, key, value)).then_some(map))
}

fn id(map: &MapHandle) -> Result<u32, BpfError> {
    let info = MapInfo::new(map.as_fd());
    let info = info
        .map_err(|source| super::probe::explain("read a pinned map's description", String::new(), source))?;
    Ok(info.info.id)
}
