//! Look at the node once. Nothing is loaded: SMC's families are asked for only when its module is there.

mod chain;
mod ipvs;
mod pods;
mod rdma;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use smc_host::conversion::{DEFAULT_PIN_DIR, LINK_NAME, MAP_NAME, Mptcp, TCP2SMC};
use smc_host::genl::SmcFamilies;
use smc_host::guard::Guard;
use smc_host::netlink::{Connection, Protocol};
use smc_host::netns::Netns;
use smc_host::sysctl::Sysctl;
use smc_host::{HostError, conversion, kernel, observe, reserved_ports, route, smc};
use smc_model::{KernelFamily, NodeFacts, terway};
use smc_state::Store;

use crate::agent;
use crate::cli::Options;
use crate::judged::judged;
use smc_surfaces::facts::{
    AnchorFacts, ConversionFacts, Facts, GuardFacts, LinkGroups, Memory, NodeNow, PodState,
};

const DEVICE_PLUGINS: &str = "/var/lib/kubelet/device-plugins";

pub(crate) use rdma::Smc;

/// The host's `/proc`: in the agent's container it is mounted elsewhere.
pub(crate) fn proc(options: &Options) -> PathBuf {
    let host = Path::new("/host/proc");
    options.proc.clone().unwrap_or_else(|| if host.is_dir() { host.to_owned() } else { "/proc".into() })
}

/// Everything.
pub(crate) fn facts(options: &Options) -> Facts {
    let proc = proc(options);
    let store = Store::new(&options.state_dir);
    let sysctl = Sysctl::default();
    let has_sysctl = sysctl.read(TCP2SMC).is_ok_and(|value| value.is_some());
    let (release, smc_loaded) = (kernel::release().unwrap_or_default(), kernel::module_is_loaded("smc"));
    let family = KernelFamily::of(&release, smc_loaded, has_sysctl);
    let mut smc = smc();
    let (devices, netns_mode) = rdma::devices();
    let boot_id = kernel::boot_id().unwrap_or_default();
    let listing = store.list();
    let pods = pods::states(listing.records, &judged(options), &mut smc, &proc);
    Facts {
        seen_by: Some(env!("CARGO_PKG_VERSION").to_owned()),
        kernel: release,
        kernel_version: kernel::version().unwrap_or_default(),
        family,
        smc: smc_loaded,
        smc_diag: kernel::module_is_loaded("smc_diag"),
        devices,
        netns_mode,
        erdma_compat: text("/sys/module/erdma/parameters/compat_mode"),
        ports: ask(&mut smc, rdma::ports),
        ueids: ask(&mut smc, |smc| smc::ueids(&mut smc.generic, smc.families.smc)),
        made: store.read_document().map_err(|error| error.with_cause()),
        reserved_taken: if smc_loaded { Vec::new() } else { reserved_ports::taken(&proc) },
        reserved_sysctl: sysctl.read("net.ipv4.ip_local_reserved_ports").ok().flatten().unwrap_or_default(),
        conversion: conversion(has_sysctl, smc_loaded, &proc),
        anchor: anchor(),
        virtual_servers: ipvs::addresses(),
        guard: guard(),
        loopback: ask(&mut smc, |smc| smc::has_loopback(&mut smc.generic, smc.families.smc)),
        published: store.node_facts(&boot_id),
        agent: agent::ask(&store.agent_socket_path()).map_err(|error| format!("{error:#}")),
        chain: chain::look(&options.conf_dir, &options.bin_dir),
        managers: managers(),
        link_groups: ask(&mut smc, link_groups),
        memory: memory(&proc),
        pods,
        unreadable: listing.errors.iter().map(smc_state::StateError::with_cause).collect(),
    }
}

/// Every annotated pod that lives, by name, and the node as far as it decides about them.
pub(crate) fn pods(options: &Options) -> (Vec<PodState>, Option<NodeFacts>) {
    let store = Store::new(&options.state_dir);
    let mut smc = smc();
    let node = node(&store, &mut smc);
    (pods::states(store.list().records, &judged(options), &mut smc, &proc(options)), node)
}

fn smc() -> Result<Smc, String> {
    if kernel::module_is_loaded("smc") { Smc::connect() } else { Err("SMC is not loaded".to_owned()) }
}

/// What the agent published, with what is seen now.
fn node(store: &Store, smc: &mut Result<Smc, String>) -> Option<NodeFacts> {
    let published = store.node_facts(&kernel::boot_id().ok()?).ok()?;
    if !kernel::module_is_loaded("smc") {
        return Some(NodeFacts { smc_loaded: false, ..published });
    }
    let smc = smc.as_mut().ok()?;
    let (_, mode) = rdma::devices();
    let now = NodeNow {
        smc_loaded: true,
        rdma_netns_mode: mode.ok()?,
        ports: observe::named_ports(&mut smc.route, &mut smc.generic, smc.families).ok()?,
        ueids: smc::ueids(&mut smc.generic, smc.families.smc).ok()?,
    };
    Some(now.over(published))
}

fn ask<T>(
    smc: &mut Result<Smc, String>,
    question: impl FnOnce(&mut Smc) -> Result<T, HostError>,
) -> Result<T, String> {
    let smc = smc.as_mut().map_err(|why| why.clone())?;
    question(smc).map_err(|error| error.with_cause())
}

/// A file's text, without what surrounds it.
fn text(path: impl AsRef<Path>) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

fn conversion(has_sysctl: bool, smc_loaded: bool, proc: &Path) -> ConversionFacts {
    let pinned = |name: &str| Path::new(DEFAULT_PIN_DIR).join(name).exists();
    let (link_pinned, map_pinned) = (pinned(LINK_NAME), pinned(MAP_NAME));
    // A converted socket would load a module that is not there.
    let tried = match (smc_loaded, has_sysctl, map_pinned) {
        (false, ..) => Err("SMC is not loaded".to_owned()),
        (true, true, _) => try_sysctl(&Sysctl::at(proc.join("sys"))).map_err(|error| error.with_cause()),
        (true, false, true) => {
            try_map(&Path::new(DEFAULT_PIN_DIR).join(MAP_NAME)).map_err(|error| error.with_cause())
        }
        (true, false, false) => Err("there is nothing to try".to_owned()),
    };
    ConversionFacts { sysctl: has_sysctl, link_pinned, map_pinned, tried }
}

/// Whether a TCP socket becomes SMC in a namespace that is in the map; the namespace is thrown away.
fn try_map(map: &Path) -> Result<bool, HostError> {
    let netns = Netns::make()?;
    let cookie = netns.connect()?.cookie;
    let cookie = cookie.ok_or_else(|| {
        let problem = smc_host::Cause::Unexpected("this kernel gives namespaces no cookie".to_owned());
        HostError::new("tell a namespace by its cookie", problem)
    })?;
    conversion::add_to_map(map, cookie, Mptcp::Converted)?;
    let tried = netns.run(conversion::new_tcp_sockets_are_smc).and_then(|converted| converted);
    conversion::remove_from_map(map, cookie)?;
    tried
}

fn try_sysctl(sysctl: &Sysctl) -> Result<bool, HostError> {
    Netns::make()?.run(|| {
        sysctl.set(TCP2SMC, "1")?;
        conversion::new_tcp_sockets_are_smc()
    })?
}

fn anchor() -> Result<Option<AnchorFacts>, String> {
    let Some(index) = smc_host::anchor::link_index() else { return Ok(None) };
    let look = || -> Result<Option<AnchorFacts>, HostError> {
        let mut connection = Connection::open(Protocol::Route)?;
        let Some(link) = route::link(&mut connection, index)? else { return Ok(None) };
        let addresses = route::addresses(&mut connection)?;
        let routes = route::host_routes(&mut connection)?;
        Ok(Some(AnchorFacts {
            addresses: addresses
                .iter()
                .filter(|(on, _)| *on == index)
                .map(|(_, net)| net.address())
                .collect(),
            held: routes.iter().filter(|route| route.held).map(|route| route.address).collect(),
            up: link.up,
        }))
    };
    look().map_err(|error| error.with_cause())
}

fn guard() -> Result<Option<GuardFacts>, String> {
    let look = || -> Result<Option<GuardFacts>, HostError> {
        let guard = Guard::open_if_there(Path::new(DEFAULT_PIN_DIR))?;
        let facts = guard.map(|guard| {
            let mut by_cause: BTreeMap<String, u64> = BTreeMap::new();
            for (why, taken) in guard.taken()?.into_values().flatten() {
                *by_cause.entry(why.label().to_owned()).or_default() += taken.stripped;
            }
            let stripped = by_cause.values().sum();
            Ok(GuardFacts { sources: guard.sources()?.len(), stripped, by_cause })
        });
        facts.transpose()
    };
    look().map_err(|error| error.with_cause())
}

fn link_groups(smc: &mut Smc) -> Result<LinkGroups, HostError> {
    let groups = smc::link_groups(&mut smc.generic, smc.families.smc)?;
    let connections = || groups.iter().map(|linked| linked.group.connections);
    Ok(LinkGroups {
        groups: groups.len() as u64,
        connections: connections().map(u64::from).sum(),
        fullest: connections().max().unwrap_or_default(),
    })
}

fn memory(proc: &Path) -> Result<Memory, String> {
    let path = proc.join("meminfo");
    let text =
        fs::read_to_string(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let value = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
        line.split_ascii_whitespace().next()?.parse().ok()
    };
    match (value("MemTotal"), value("MemAvailable")) {
        (Some(total), Some(available)) => Ok(Memory { total, available }),
        _ => Err(format!("{} does not say how much memory there is", path.display())),
    }
}

/// Traces of others who set SMC up on Alibaba Cloud.
fn managers() -> Vec<String> {
    let mut managers = Vec::new();
    let capabilities = fs::read_to_string(terway::NODE_CAPABILITIES_FILE).unwrap_or_default();
    if terway::manages_erdma(&capabilities) {
        managers.push("Terway manages eRDMA devices".to_owned());
    }
    let mut plugins = fs::read_dir(DEVICE_PLUGINS).into_iter().flatten().flatten();
    if plugins.any(|entry| entry.file_name().to_string_lossy().contains("erdma")) {
        managers.push("erdma-controller's device plugin runs".to_owned());
    }
    managers
}

/// The numbers of SMC's families, when its module is there.
fn families(generic: &mut Connection) -> Result<SmcFamilies, String> {
    let found = SmcFamilies::find(generic).map_err(|error| error.with_cause())?;
    found.ok_or_else(|| "the kernel's SMC answers to no netlink family".to_owned())
}
