//! What makes two loaded programs the same.

use std::collections::BTreeSet;

use libbpf_rs::query::{ProgInfoIter, ProgInfoQueryOptions};
use libbpf_rs::{MapCore, MapFlags, MapHandle, MapType};

use super::error::BpfError;
use super::object::CONSTANTS_SUFFIX;

/// Identity of a loaded program.
///
/// The kernel's tag is a hash over the instructions alone, with map references left out (`bpf_prog_calc_tag`,
/// kernel/bpf/core.c), so maps and constants are compared beside it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Build {
    tag: [u8; 8],
    /// Kernel ids of the maps that others write or read.
    maps: BTreeSet<u32>,
    constants: Option<Vec<u8>>,
}

impl Build {
    /// Identity of the program with this kernel id.
    pub(super) fn of_program(id: u32) -> Result<Self, BpfError> {
        let options = ProgInfoQueryOptions::default().include_map_ids(true);
        let Some(info) = ProgInfoIter::with_query_opts(options).find(|info| info.id == id) else {
            return Err(unreadable(libbpf_rs::Error::from_raw_os_error(nix::errno::Errno::ENOENT as i32)));
        };
        let mut build = Self { tag: info.tag.0, maps: BTreeSet::new(), constants: None };
        for map_id in info.map_ids {
            let map = MapHandle::from_map_id(map_id).map_err(unreadable)?;
            match map.map_type() {
                // An object's constants are an array of one value, by the end of its name.
                MapType::Array if map.name().as_encoded_bytes().ends_with(CONSTANTS_SUFFIX.as_bytes()) => {
                    let value = map.lookup(&0_u32.to_ne_bytes(), MapFlags::ANY).map_err(unreadable)?;
                    build.constants = value;
                }
                // Each program has its own.
                MapType::PercpuArray => {}
                _ => drop(build.maps.insert(map_id)),
            }
        }
        Ok(build)
    }
}

fn unreadable(source: libbpf_rs::Error) -> BpfError {
    super::probe::explain("read a loaded BPF program's description", String::new(), source)
}
