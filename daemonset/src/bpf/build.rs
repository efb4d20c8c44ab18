//! What makes two loaded conversion programs the same.

use std::os::fd::AsFd;

use libbpf_rs::query::{ProgInfoIter, ProgInfoQueryOptions};
use libbpf_rs::{MapCore, MapFlags, MapHandle, MapInfo, Object, Program};

use super::error::BpfError;
use super::{MAP_NAME, object};

/// Identity of a loaded conversion program.
///
/// The kernel's tag is a hash over the instructions alone, with map references left out (`bpf_prog_calc_tag`,
/// kernel/bpf/core.c), so the map and the constant are compared beside it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Build {
    tag: [u8; 8],
    /// Kernel id of the map of namespaces.
    map: Option<u32>,
    smc_protocol: Option<u32>,
}

impl Build {
    /// Identity of the program in `object`, which must be loaded.
    pub(super) fn of_loaded(object: &Object) -> Result<Self, BpfError> {
        let program = object::program(object)?;
        let id = Program::id_from_fd(program.as_fd()).map_err(unreadable)?;
        Self::of_program(id)
    }

    /// Identity of the program with this kernel id.
    pub(super) fn of_program(id: u32) -> Result<Self, BpfError> {
        let options = ProgInfoQueryOptions::default().include_map_ids(true);
        let Some(info) = ProgInfoIter::with_query_opts(options).find(|info| info.id == id) else {
            return Err(unreadable(libbpf_rs::Error::from_raw_os_error(nix::errno::Errno::ENOENT as i32)));
        };
        let mut build = Self { tag: info.tag.0, map: None, smc_protocol: None };
        for map_id in info.map_ids {
            let map = MapHandle::from_map_id(map_id).map_err(unreadable)?;
            let name = map.name().as_encoded_bytes();
            if name == MAP_NAME.as_bytes() {
                build.map = Some(MapInfo::new(map.as_fd()).map_err(unreadable)?.info.id);
            } else if name.ends_with(object::CONSTANTS_SUFFIX.as_bytes()) {
                build.smc_protocol = protocol_of(&map)?;
            }
        }
        Ok(build)
    }
}

fn protocol_of(constants: &MapHandle) -> Result<Option<u32>, BpfError> {
    let value = constants.lookup(&0_u32.to_ne_bytes(), MapFlags::ANY).map_err(unreadable)?;
    Ok(value.and_then(|bytes| bytes.first_chunk().copied()).map(u32::from_ne_bytes))
}

fn unreadable(source: libbpf_rs::Error) -> BpfError {
    super::probe::explain("read the loaded conversion program's description", String::new(), source)
}
