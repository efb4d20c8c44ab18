//! Which program is attached by the pins, told so cheaply that it can be asked again and again.

use std::os::fd::AsFd;
use std::path::Path;

use libbpf_rs::MapInfo;

use super::error::BpfError;
use super::pins::Pins;

/// What is pinned, by the kernel's ids. While this stays the same there is nothing to make sure of: a pinned link's
/// program, and its map, are never changed in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pinned {
    link: u32,
    program: u32,
    map: u32,
}

impl Pinned {
    /// What is pinned under `pin_dir` now; `None` unless both link and map are. Loads nothing.
    pub fn look(pin_dir: &Path) -> Result<Option<Self>, BpfError> {
        if !pin_dir.exists() {
            return Ok(None);
        }
        let pins = Pins::lock(pin_dir)?;
        let (Some(link), Some(map)) = (pins.link_info()?, pins.open_map()?) else { return Ok(None) };
        let map = MapInfo::new(map.as_fd()).map_err(|source| {
            super::probe::explain("read the pinned map's description", String::new(), source)
        })?;
        Ok(Some(Self { link: link.id, program: link.prog_id, map: map.info.id }))
    }
}
