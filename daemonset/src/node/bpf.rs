//! Conversion of TCP sockets into SMC sockets by a BPF program, on kernels without `net.smc.tcp2smc`.
//!
//! The program (`bpf/smcify.bpf.c`) hangs on `update_socket_protocol()` (`net/socket.c`, since 6.6) and looks up the
//! calling task's network namespace cookie in a map. Both are pinned on a bpffs, so they outlive the agent: the CNI
//! plugin writes the map by its path, and a restarted agent finds what the one before it left. Sockets that exist
//! already are never touched.
//!
//! | pin | what |
//! |---|---|
//! | [`MAP_NAME`] | hash map, key: namespace cookie (`u64`, native order), value: one byte, 1, and 2 beside it where MPTCP is kept |
//! | [`LINK_NAME`] | the link that keeps the program attached |
//!
//! Beside them are the same-node guard's program and maps ([`GuardProgram`]), which the plugin attaches to pods' interfaces.
//!
//! A TCP socket that is not converted costs 350 instructions more (kernel 6.12, counted by `examples/socket_cost`): 8 % of a
//! bare `socket()`, 4 % with its `close()`. 200 of them are the kernel's trampoline around any fmod_ret program, also one
//! that does nothing, 105 the look-up in the map. Other sockets pay the trampoline alone.

mod build;
mod error;
mod fallbacks;
mod guard_program;
mod messages;
mod object;
mod pinned;
mod pins;
mod probe;
mod protocol;
mod syn_options;

use std::path::{Path, PathBuf};

use libbpf_rs::MapHandle;

use build::Build;
pub use error::BpfError;
pub use fallbacks::{FallbackEvent, FallbackEvents};
pub use guard_program::{EnsuredGuard, GuardProgram, PinnedGuard};
pub use pinned::Pinned;
use pins::Pins;
pub use protocol::smc_protocol;
pub use syn_options::{Fate, SynOptions};

pub use smc_host::conversion::{DEFAULT_PIN_DIR as DEFAULT_PIN_DIRECTORY, LINK_NAME, MAP_NAME};

/// Whether the kernel accepts the conversion program: it is loaded, which takes it through the verifier, and dropped
/// at once. Nothing is attached or pinned, and no socket is made.
pub fn probe() -> Result<(), BpfError> {
    probe::require_hook()?;
    object::load(smc_host::conversion::SMC_PROTOCOLS[0], None).map(drop)
}

/// The program that converts sockets, as a pinned thing on this node rather than an object in this process.
#[derive(Debug)]
pub struct ConversionProgram;

/// What [`ConversionProgram::ensure`] found or did. With neither flag set, the program was attached for the first time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ensured {
    /// The pinned map; whoever adds a namespace's cookie here converts it.
    pub map_path: PathBuf,
    /// The same build was attached already and nothing was changed.
    pub adopted: bool,
    /// Another build was attached; the new one took its place without a moment of no conversion, and the map, with all
    /// its entries, stayed if it was still pinned.
    pub replaced: bool,
}

/// What [`ConversionProgram::remove`] found to remove.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Removed {
    /// A link was pinned; new sockets are no longer converted.
    pub link: bool,
    /// A map was pinned.
    pub map: bool,
    /// The guard's program or one of its maps was pinned. It stays attached to pods that have it.
    pub guard: bool,
}

impl ConversionProgram {
    /// Makes sure that this build's program is attached and pinned under `pin_dir`, converting to `smc_protocol`.
    ///
    /// Call it only after [`smc_protocol`] found such sockets to work: where they do not, a converted program's
    /// `socket()` fails with EPROTONOSUPPORT. Safe to repeat, also by two agents at once. Nothing is detached when
    /// the agent ends; see [`ConversionProgram::remove`].
    pub fn ensure(pin_dir: &Path, smc_protocol: u16) -> Result<Ensured, BpfError> {
        // Reading the kernel's BTF for this is a good part of what a start costs, and where the program is attached the hook is
        // there.
        if !pin_dir.join(LINK_NAME).exists() {
            probe::require_hook()?;
        }
        let pins = Pins::lock(pin_dir)?;
        pins.finish_interrupted_replacement()?;

        let pinned_map = pins.open_map()?;
        let mut object = object::load(smc_protocol, pinned_map.as_ref())?;
        let fresh = Build::of_program(object::program_id(&object)?)?;

        let attached = pins.attached_program()?.map(Build::of_program).transpose()?;
        if pinned_map.is_some() && attached.as_ref() == Some(&fresh) {
            return Ok(Ensured { map_path: pins.map(), adopted: true, replaced: false });
        }

        if pinned_map.is_none() {
            pins.pin_map(&mut object)?;
        }
        let link = object::attach(&object)?;
        pins.pin_link(link)?;

        // Read back: what is pinned must be what was just loaded, whoever else worked here.
        let now = pins.attached_program()?.map(Build::of_program).transpose()?;
        if now.as_ref() != Some(&fresh) {
            return Err(BpfError::NotReadBack { path: pins.link() });
        }
        Ok(Ensured { map_path: pins.map(), adopted: false, replaced: attached.is_some() })
    }

    /// Whether this build's program is attached and pinned under `pin_dir`, with its map. Loads it to compare, and lets it go.
    pub fn is_current(pin_dir: &Path, smc_protocol: u16) -> Result<bool, BpfError> {
        if !pin_dir.join(LINK_NAME).exists() {
            return Ok(false);
        }
        let pins = Pins::lock(pin_dir)?;
        let (Some(map), Some(attached)) = (pins.open_map()?, pins.attached_program()?) else {
            return Ok(false);
        };
        let object = object::load(smc_protocol, Some(&map))?;
        Ok(Build::of_program(attached)? == Build::of_program(object::program_id(&object)?)?)
    }

    /// Opens the pinned map under `pin_dir`: `None` when there is none.
    pub fn open_map(pin_dir: &Path) -> Result<Option<MapHandle>, BpfError> {
        pins::open_map(&pin_dir.join(MAP_NAME))
    }

    /// Detaches the program and removes all pins, also the guard's, and their directory. What is already gone is no error; sockets
    /// that were converted stay SMC sockets.
    pub fn remove(pin_dir: &Path) -> Result<Removed, BpfError> {
        pins::remove(pin_dir)
    }
}
