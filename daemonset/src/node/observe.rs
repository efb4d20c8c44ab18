//! Look at the node. Nothing is loaded, and nothing made that stays.

use std::collections::BTreeSet;
use std::fs;
use std::net::IpAddr;
use std::path::Path;

use smc_abi::rdma::RdmaDevice;
use smc_host::conversion::{Mptcp, TCP2SMC};
use smc_host::genl::SmcFamilies;
use smc_host::guard::Guard;
use smc_host::netlink::{Connection, Protocol};
use smc_host::sysctl::Sysctl;
use smc_host::{
    HostError, anchor, conversion, kernel, observe, offer, pnet, rdma, reserved_ports, route, smc,
    with_causes,
};
use smc_model::{Conversion, Defects, RdmaNetnsMode, SmcModule, Switch, SynOption, defects, terway};

use super::bpf::{ConversionProgram, GuardProgram, MAP_NAME, Pinned, PinnedGuard, smc_protocol};
use super::observed::{AnchorLink, GuardMaps, GuardPins, Observed, Port, Program, Rest, Smc};
use super::{LastLook, Options};

/// Looks at everything that decides what is done to a node, and what its pods are told. `last` spares what is dear.
///
/// # Errors
/// When not even the kernel's release can be read; everything else is in [`Observed::problems`].
pub(super) fn observe(
    options: &Options,
    switch: &Switch,
    last: &mut LastLook,
) -> Result<Observed, HostError> {
    let release = kernel::release()?;
    let mut problems = Problems::default();
    let (devices, rdma_netns_mode) = rdma(&mut problems);
    let proc_sys = Sysctl::at(options.proc.join("sys"));
    let mut seen = Observed {
        open_defects: known_defects(&release)?,
        release,
        devices,
        rdma_netns_mode,
        has_tcp2smc: proc_sys.read(TCP2SMC).is_ok_and(|value| value.is_some()),
        smc_loaded: kernel::module_is_loaded("smc"),
        rest: None,
        problems: Vec::new(),
    };
    if last.standing || seen.is_wanted(switch) {
        seen.rest = Some(rest(&seen, options, last, &mut problems));
    }
    seen.problems = problems.0;
    Ok(seen)
}

/// What could not be looked at.
#[derive(Default)]
struct Problems(Vec<String>);

impl Problems {
    fn note<T>(&mut self, attempt: &str, result: Result<T, HostError>) -> Result<T, String> {
        result.map_err(|error| {
            let why = error.with_cause();
            self.0.push(format!("cannot {attempt}: {why}"));
            why
        })
    }
}

/// The names of the defects that this kernel's SMC is known to have.
fn known_defects(release: &str) -> Result<Vec<String>, HostError> {
    Ok(match defects(release, &kernel::version()?) {
        Defects::Of { open, .. } => open.iter().map(|defect| defect.name.to_owned()).collect(),
        Defects::OfAVendor => Vec::new(),
    })
}

/// A node without RDMA is no problem here: pods are told so.
fn rdma(problems: &mut Problems) -> (Vec<RdmaDevice>, RdmaNetnsMode) {
    let Ok(mut connection) = Connection::open(Protocol::Rdma) else {
        return (Vec::new(), RdmaNetnsMode::Shared);
    };
    let devices = problems.note("look at RDMA", rdma::devices(&mut connection)).unwrap_or_default();
    let mode = problems.note("look at RDMA", rdma::netns_mode(&mut connection));
    (devices, mode.unwrap_or(RdmaNetnsMode::Shared))
}

fn rest(seen: &Observed, options: &Options, last: &mut LastLook, problems: &mut Problems) -> Rest {
    let may_take_ports = seen.has_iwarp() && !seen.smc_loaded;
    let program = program(seen, &options.pin_dir, last);
    let offer = offer(seen, &program, &options.proc, last, problems);
    let capabilities = fs::read_to_string(terway::NODE_CAPABILITIES_FILE).unwrap_or_default();
    let of_terway = terway::manages_erdma(&capabilities);
    let smc = if seen.smc_loaded {
        problems
            .note("reach SMC", Connections::open())
            .ok()
            .flatten()
            .map(|smc| smc.look(of_terway, problems))
    } else {
        None
    };
    Rest {
        smc_diag_tried: last.tried_smc_diag || kernel::module_is_loaded("smc_diag"),
        reserved_taken: if may_take_ports { reserved_ports::taken(&options.proc) } else { Vec::new() },
        program,
        anchor: if seen.traits().needs_anchor { anchor_link() } else { Ok(None) },
        guard: guard(&options.pin_dir, offer.as_ref().ok().and_then(Option::as_ref), last),
        offer,
        own_addresses: own_addresses()
            .map_err(|error| format!("cannot tell the host's own addresses: {}", error.with_cause())),
        of_terway,
        smc,
    }
}

fn program(seen: &Observed, pin_dir: &Path, last: &mut LastLook) -> Program {
    if seen.has_tcp2smc || !seen.smc_loaded {
        return Program::NotLookedAt;
    }
    let pinned = Pinned::look(pin_dir).ok().flatten();
    if let (Some(now), Some((then, protocol))) = (pinned, last.conversion)
        && now == then
    {
        return Program::InPlace { map: pin_dir.join(MAP_NAME), protocol };
    }
    let Some(protocol) = smc_protocol() else { return Program::NoProtocol };
    // Where it cannot be compared the step that follows says why.
    if pinned.is_some() && ConversionProgram::is_current(pin_dir, protocol).unwrap_or(false) {
        last.conversion = pinned.map(|pinned| (pinned, protocol));
        return Program::InPlace { map: pin_dir.join(MAP_NAME), protocol };
    }
    Program::NotInPlace { protocol, other: pinned.is_some() }
}

/// What SYNs offer SMC by. Looked at once for each way of converting: it is the kernel's.
fn offer(
    seen: &Observed,
    program: &Program,
    proc: &Path,
    last: &mut LastLook,
    problems: &mut Problems,
) -> Result<Option<SynOption>, String> {
    let conversion = match program {
        Program::InPlace { map, protocol } => Conversion::Bpf { map: map.clone(), protocol: *protocol },
        _ if seen.has_tcp2smc => Conversion::Tcp2smc,
        _ => return Ok(None),
    };
    if let Some((known, option)) = &last.offer
        && *known == conversion
    {
        return Ok(Some(option.clone()));
    }
    let option = if let Conversion::Bpf { map, .. } = &conversion {
        offer_by_map(map, problems)
    } else {
        let sysctl = Sysctl::at(proc.join("sys"));
        offer::of_this_kernel(|netns| netns.run(|| sysctl.set(TCP2SMC, "1").map(drop))?)
    };
    let option = option.map_err(|error| {
        let denied = error.errno() == Some(nix::errno::Errno::EPERM as i32);
        let needs = if denied { "; it takes CAP_NET_ADMIN" } else { "" };
        format!("cannot see what a SYN of this kernel offers SMC by: {}{needs}", error.with_cause())
    })?;
    // None may be for the moment: a throw-away namespace that was not converted offers none either.
    last.offer = option.clone().map(|option| (conversion, option));
    Ok(option)
}

fn offer_by_map(map: &Path, problems: &mut Problems) -> Result<Option<SynOption>, HostError> {
    let mut added = None;
    let option = offer::of_this_kernel(|netns| {
        let cookie = netns.connect()?.cookie;
        added = cookie;
        cookie.map_or(Ok(()), |cookie| conversion::add_to_map(map, cookie, Mptcp::Converted))
    });
    if let Some(cookie) = added {
        // Nobody ever has that cookie again.
        let _ = problems
            .note("take a namespace out of the map", conversion::remove_from_map(map, cookie).map(drop));
    }
    option
}

fn anchor_link() -> Result<Option<AnchorLink>, String> {
    let look = || -> Result<Option<AnchorLink>, HostError> {
        let Some(index) = anchor::link_index() else { return Ok(None) };
        let mut host = Connection::open(Protocol::Route)?;
        let up = route::link(&mut host, index)?.is_some_and(|link| link.up);
        let routes = route::host_routes(&mut host)?;
        let own = routes.iter().filter(|route| route.in_local() && route.local && route.interface == index);
        Ok(Some(AnchorLink { index, up, local: own.map(|route| route.address).collect() }))
    };
    look().map_err(|error| format!("the link {} cannot be looked at: {}", anchor::LINK, error.with_cause()))
}

fn guard(pin_dir: &Path, offer: Option<&SynOption>, last: &mut LastLook) -> GuardPins {
    let Some(pinned) = PinnedGuard::look(pin_dir).ok().flatten() else { return GuardPins::Missing };
    let is_current = |offer: &SynOption| GuardProgram::is_current(pin_dir, offer).unwrap_or(false);
    if last.guard != Some(pinned) {
        last.guard = offer.is_some_and(is_current).then_some(pinned);
    }
    let told = |error: HostError| with_causes(&error);
    let guard = Guard::open(pin_dir).map_err(told);
    let guard = || guard.as_ref().map_err(Clone::clone);
    let rules = |guard: &Guard| guard.peers()?.rules_of_node();
    let maps = GuardMaps {
        spared: guard().and_then(|guard| guard.spared().map_err(told)),
        rules: guard().and_then(|guard| rules(guard).map_err(told)),
        sources: guard().and_then(|guard| guard.sources().map_err(told)),
    };
    GuardPins::There { current: last.guard == Some(pinned), maps }
}

/// Not those of links that carry other things' addresses: ours has the pods', and kube-proxy's has every Service's in IPVS mode;
/// none of those is a source.
fn own_addresses() -> Result<BTreeSet<IpAddr>, HostError> {
    let mut route = Connection::open(Protocol::Route)?;
    let anchors = route.link_index(anchor::LINK)?;
    let services = route.link_index("kube-ipvs0")?;
    let is_own = |link: u32| ![anchors, services].contains(&Some(link));
    let fourth =
        route::addresses(&mut route)?.into_iter().map(|(link, net)| (link, IpAddr::V4(net.address())));
    let sixth = route::addresses6(&mut route)?.into_iter().map(|(link, address)| (link, IpAddr::V6(address)));
    Ok(fourth.chain(sixth).filter(|(link, _)| is_own(*link)).map(|(_, address)| address).collect())
}

/// Connections of the host's own network namespace, to a loaded SMC.
pub(super) struct Connections {
    pub(super) route: Connection,
    pub(super) generic: Connection,
    pub(super) families: SmcFamilies,
    /// `None` when it was loaded anew at the moment.
    module: Option<SmcModule>,
}

impl Connections {
    /// `None` where the kernel has no SMC.
    pub(super) fn open() -> Result<Option<Self>, HostError> {
        let mut generic = Connection::open(Protocol::Generic)?;
        let before = kernel::module_inode("smc");
        let Some(families) = SmcFamilies::find(&mut generic)? else { return Ok(None) };
        let inode = kernel::module_inode("smc").filter(|inode| before == Some(*inode));
        let module = inode.map(|inode| SmcModule { inode, pnetid: families.pnetid, smc: families.smc });
        Ok(Some(Self { route: Connection::open(Protocol::Route)?, generic, families, module }))
    }

    fn look(mut self, of_terway: bool, problems: &mut Problems) -> Smc {
        let has_loopback = smc::has_loopback(&mut self.generic, self.families.smc);
        Smc {
            module: self.module,
            has_loopback: problems.note("ask SMC for its features", has_loopback) == Ok(true),
            ports: problems.note("list SMC's RDMA ports", self.ports(of_terway)),
            ueids: problems.note("list the UEIDs", smc::ueids(&mut self.generic, self.families.smc)),
        }
    }

    fn ports(&mut self, of_terway: bool) -> Result<Vec<Port>, HostError> {
        let ports = observe::named_ports(&mut self.route, &mut self.generic, self.families)?;
        // Where it cannot be looked at, others may have an id as well.
        let table = if of_terway { pnet::list(&mut self.generic, self.families.pnetid).ok() } else { None };
        let look = |facts: smc_model::RdmaPort| {
            let nameless = facts.netdev.as_ref().filter(|_| facts.pnetid.is_none());
            let link = nameless.and_then(|netdev| route::link(&mut self.route, netdev.index).ok().flatten());
            let known = facts.pnetid.as_ref().zip(table.as_ref());
            let alone = known.is_some_and(|(id, table)| pnet::members(table, id) == [facts.to_string()]);
            Port { mac: link.and_then(|link| link.mac), shares_pnetid: of_terway && !alone, facts }
        };
        Ok(ports.into_iter().map(look).collect())
    }
}
