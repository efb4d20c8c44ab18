//! The same-node guard's program with its maps, as pinned things on this node.

use std::os::fd::AsFd;
use std::path::Path;

use libbpf_rs::{MapCore, MapHandle, MapInfo, MapType, Program};
use smc_host::guard::{COUNTS_NAME, PROGRAM_NAME, SOURCES_NAME};
use smc_model::SynOption;

use super::build::Build;
use super::error::BpfError;
use super::pins::{Pins, failed, is_there, rename, unpin};
use super::syn_options::SynOptions;

/// A new program before it takes the old one's name.
const NEXT_PROGRAM_NAME: &str = "strip_offer_next";
/// Everything that is pinned here.
pub(super) const NAMES: [&str; 4] = [NEXT_PROGRAM_NAME, PROGRAM_NAME, SOURCES_NAME, COUNTS_NAME];

/// The program that takes SMC's offer out of SYNs to pods, for whoever sets up pods.
#[derive(Debug)]
pub struct GuardProgram;

/// What is pinned, by the kernel's ids. While this stays the same there is nothing to make sure of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PinnedGuard {
    program: u32,
    maps: [u32; 2],
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
    /// Makes sure that this build's program for the option that this kernel's SMC sockets send, and its maps, are pinned under
    /// `pin_dir`. Safe to repeat, also by two agents at once.
    pub fn ensure(pin_dir: &Path, offer: &SynOption) -> Result<EnsuredGuard, BpfError> {
        let pins = Pins::lock(pin_dir)?;
        let [sources, counts] = [SOURCES_NAME, COUNTS_NAME].map(|name| {
            let found = map(&pins, name)?;
            // One of another layout, which an earlier version left.
            if found.is_none() {
                unpin(&pins.at(name))?;
            }
            Ok::<_, BpfError>(found)
        });
        let (sources, counts) = (sources?, counts?);
        let Some(mut loaded) = SynOptions::load_over(offer, [sources.as_ref(), counts.as_ref()])? else {
            return Ok(EnsuredGuard::UnknownOffer);
        };
        let fresh = Build::of_program(loaded.id()?)?;
        let pinned = program(&pins)?.map(Build::of_program).transpose()?;
        let complete = sources.is_some() && counts.is_some();
        if complete && pinned.as_ref() == Some(&fresh) {
            return Ok(EnsuredGuard::Adopted);
        }
        for (name, there) in [(SOURCES_NAME, sources), (COUNTS_NAME, counts)] {
            let path = pins.at(name);
            if there.is_none() {
                loaded.pin_map(name, &path).map_err(|source| failed("pin", &path, &source))?;
            }
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
        let (Some(program), Some(sources), Some(counts)) =
            (program(&pins)?, map(&pins, SOURCES_NAME)?, map(&pins, COUNTS_NAME)?)
        else {
            return Ok(None);
        };
        Ok(Some(Self { program, maps: [id(&sources)?, id(&counts)?] }))
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
fn map(pins: &Pins, name: &str) -> Result<Option<MapHandle>, BpfError> {
    let path = pins.at(name);
    if !is_there(&path)? {
        return Ok(None);
    }
    let map = MapHandle::from_pinned_path(&path).map_err(|source| failed("open", &path, &source))?;
    let (kind, key, value) = if name == SOURCES_NAME {
        (MapType::LpmTrie, smc_host::guard::SOURCE_BYTES, size_of::<u32>())
    } else {
        (MapType::Hash, smc_host::guard::ADDRESS_BYTES, smc_host::guard::COUNTS_BYTES)
    };
    let fits = (map.map_type(), map.key_size() as usize, map.value_size() as usize) == (kind, key, value);
    Ok(fits.then_some(map))
}

fn id(map: &MapHandle) -> Result<u32, BpfError> {
    let info = MapInfo::new(map.as_fd());
    let info = info
        .map_err(|source| super::probe::explain("read a pinned map's description", String::new(), source))?;
    Ok(info.info.id)
}
