//! Fallbacks to TCP as the kernel tells of them (`bpf/fallbacks.bpf.c`), for the namespaces in the pinned map.
//!
//! Attached by name to the raw tracepoint `smc_switch_to_fallback`, so no tracefs is needed, and only while the agent
//! runs. As long as it is attached the kernel does not let the smc module go.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use libbpf_rs::{
    Link, MapCore, MapFlags, MapHandle, MapInfo, Object, ObjectBuilder, RingBuffer, RingBufferBuilder,
};
use smc_model::{NetnsCookie, Side};

use super::error::BpfError;
use super::{MAP_NAME, messages, pins, probe};

/// Compiled from `bpf/fallbacks.bpf.c` by `build.rs`.
static OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/fallbacks.bpf.o"));

const LOAD: &str = "load the program that tells of fallbacks";
const ATTACH: &str = "attach to the kernel's tracepoint smc_switch_to_fallback";
const EVENT_BYTES: usize = 56;
const AF_INET6: u16 = 10;
/// The thread looks this often whether it is still wanted.
const STILL_WANTED: Duration = Duration::from_secs(30);
/// How long events are gathered before they are read again, so that a busy pod costs few wake-ups.
const GATHER: Duration = Duration::from_millis(200);

/// A connection of a converted namespace that became TCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FallbackEvent {
    /// The namespace.
    pub cookie: NetnsCookie,
    /// The kernel's code.
    pub code: u32,
    /// The code that the peer gave when it declined; else 0.
    pub peer_diagnosis: u32,
    /// The TCP socket within is an IPv6 one, so the program's is.
    pub ipv6_socket: bool,
    /// Which side the namespace's program is.
    pub side: Side,
    /// The own end.
    pub local: SocketAddr,
    /// The other end; unspecified when the socket fell back before it was connected.
    pub remote: SocketAddr,
}

impl FallbackEvent {
    /// Reads what the program wrote; `None` when it is too short.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; EVENT_BYTES] = bytes.first_chunk()?;
        let u32_at = |at: usize| Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?));
        let u16_at = |at: usize| Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?));
        let ipv6_socket = u16_at(16)? == AF_INET6;
        let address = |at: usize| -> Option<IpAddr> {
            let bytes = bytes.get(at..)?;
            Some(if ipv6_socket {
                IpAddr::from(Ipv6Addr::from(*bytes.first_chunk::<16>()?)).to_canonical()
            } else {
                Ipv4Addr::from(*bytes.first_chunk::<4>()?).into()
            })
        };
        Some(Self {
            cookie: NetnsCookie(u64::from_ne_bytes(*bytes.first_chunk()?)),
            code: u32_at(8)?,
            peer_diagnosis: u32_at(12)?,
            ipv6_socket,
            side: if bytes[22] == 0 { Side::Client } else { Side::Server },
            local: SocketAddr::new(address(24)?, u16_at(18)?),
            remote: SocketAddr::new(address(40)?, u16_at(20)?),
        })
    }
}

/// The attached program; it is detached soon after this is dropped.
#[derive(Debug)]
pub struct FallbackEvents {
    ended: Arc<AtomicBool>,
    namespaces: u32,
    lost: MapHandle,
}

/// What the thread holds; in the order in which it is to go.
struct Attached {
    ring: RingBuffer<'static>,
    /// Closing it would take the ring out of what is waited for.
    _map: MapHandle,
    _link: Link,
    _object: Object,
}

impl FallbackEvents {
    /// Attaches the program over the map that is pinned in `pin_dir`, and gives each event to `take`, on a thread of its
    /// own.
    ///
    /// # Errors
    /// Where the kernel has no such tracepoint (before 5.16, or smc is not loaded) or no BTF of its smc module.
    pub fn watch(
        pin_dir: &Path,
        mut take: impl FnMut(FallbackEvent) + Send + 'static,
    ) -> Result<Self, BpfError> {
        let path = pin_dir.join(MAP_NAME);
        let missing = || BpfError::Pin {
            operation: "open",
            path: path.clone(),
            source: io::ErrorKind::NotFound.into(),
        };
        let namespaces = pins::open_map(&path)?.ok_or_else(missing)?;
        let id = map_id(&namespaces)?;
        let object = load(&namespaces)?;
        let map = |name: &'static str| {
            let map = object.maps().find(|map| map.name() == name).ok_or(BpfError::Object(name))?;
            MapHandle::try_from(&map).map_err(failed(LOAD))
        };
        let (fallbacks, lost) = (map("fallbacks")?, map("lost")?);
        let mut builder = RingBufferBuilder::new();
        let take = move |bytes: &[u8]| {
            if let Some(event) = FallbackEvent::parse(bytes) {
                take(event);
            }
            0
        };
        builder.add(&fallbacks, take).map_err(failed(LOAD))?;
        let ring = builder.build().map_err(failed(LOAD))?;
        let program = object.progs_mut().next().ok_or(BpfError::Object("program tell_fallback"))?;
        let (link, log) = messages::collect(|| program.attach());
        let link = link.map_err(|source| probe::explain(ATTACH, log, source))?;
        let attached = Attached { ring, _map: fallbacks, _link: link, _object: object };
        let ended = Arc::new(AtomicBool::new(false));
        let asked = ended.clone();
        thread::Builder::new()
            .name("fallbacks".to_owned())
            .spawn(move || follow(&attached, &asked))
            .map_err(|source| BpfError::Pin { operation: "start a thread to read", path, source })?;
        Ok(Self { ended, namespaces: id, lost })
    }

    /// How many events found no room since it was attached.
    pub fn lost(&self) -> u64 {
        let value = self.lost.lookup(&0_u32.to_ne_bytes(), MapFlags::ANY).ok().flatten();
        value.and_then(|bytes| bytes.first_chunk().copied()).map_or(0, u64::from_ne_bytes)
    }

    /// Whether the map that is pinned in `pin_dir` is still the one that this looks into.
    pub fn is_current(&self, pin_dir: &Path) -> bool {
        let map = pins::open_map(&pin_dir.join(MAP_NAME)).ok().flatten();
        map.is_some_and(|map| map_id(&map).is_ok_and(|id| id == self.namespaces))
    }
}

impl Drop for FallbackEvents {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
    }
}

fn follow(attached: &Attached, ended: &AtomicBool) {
    while !ended.load(Ordering::Relaxed) {
        // Interrupted by a signal at worst.
        let _ = attached.ring.poll(STILL_WANTED);
        thread::sleep(GATHER);
    }
}

fn load(namespaces: &MapHandle) -> Result<Object, BpfError> {
    let (loaded, log) = messages::collect(|| {
        let mut builder = ObjectBuilder::default();
        builder.name("fallbacks")?;
        let mut open = builder.open_memory(OBJECT)?;
        if let Some(mut map) = open.maps_mut().find(|map| map.name() == MAP_NAME) {
            map.reuse_fd(namespaces.as_fd())?;
        }
        open.load()
    });
    loaded.map_err(|source| probe::explain(LOAD, log, source))
}

fn map_id(map: &MapHandle) -> Result<u32, BpfError> {
    MapInfo::new(map.as_fd()).map(|info| info.info.id).map_err(failed("look at the pinned map"))
}

fn failed(operation: &'static str) -> impl Fn(libbpf_rs::Error) -> BpfError {
    move |source| BpfError::Bpf { operation, log: String::new(), source }
}

#[cfg(test)]
mod tests;
