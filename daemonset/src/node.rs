//! Prepare the node: everything that pods need once per node, made or adopted, and published as facts.
//!
//! A node without an RDMA device that its SMC could use, and one that is switched off, is only looked at, and nothing made there, unless
//! something of ours is there to be kept. What the agent made is in `made.json`; `uninstall` undoes exactly that. A PNETID that somebody else has
//! too stays, since the kernel takes it from everybody at once; that is told. What others take from the node between two looks (UEID, PNETID,
//! program, guard, anchor link) is a *loss*: logged with its reason, counted, in `/status`.

pub mod anchor;
pub mod bpf;
mod conversion;
mod guard;
mod losses;
pub mod modules;
mod ports;
pub mod published;
mod wanted;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use smc_abi::rdma::{NodeType, RdmaDevice};
use smc_host::conversion::TCP2SMC;
use smc_host::genl::SmcFamilies;
use smc_host::netlink::{Connection, Protocol};
use smc_host::sysctl::Sysctl;
use smc_host::{HostError, kernel, rdma, smc, with_causes};
use smc_model::{
    Anchor, Conversion, Datapath, Defects, Guard, Inbound, Kernel, KernelFamily, NodeFacts, RdmaNetnsMode,
    Reason, SmcModule, Switch, SynOption, Ueid, defects,
};

use crate::node::bpf::{Pinned, PinnedGuard};
use smc_state::{BoundPort, Made, Store};

pub use losses::{losses, renamed_ports};

/// Where things are on the node, and what to make.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the BPF program and its map are pinned.
    pub pin_dir: PathBuf,
    /// The host's `/proc`.
    pub proc: PathBuf,
    /// The enterprise ids that the node must have.
    pub ueids: Vec<Ueid>,
}

/// What was found in place at the last look, so that the next one need not do again what is dear: load BPF programs to compare
/// them.
#[derive(Debug, Default)]
pub struct LastLook {
    /// Something was made here, by this agent or an earlier one, and is kept from then on.
    standing: bool,
    conversion: Option<(Pinned, Conversion)>,
    /// What the kernel's SYNs offer SMC by, with the conversion by which that was seen.
    offer: Option<(Conversion, Option<SynOption>)>,
    guard: Option<PinnedGuard>,
    /// Who may speak SMC with the node's pods, as far as anybody said.
    inbound: Inbound,
    /// The PNETIDs that ports have from us.
    named: BTreeSet<BoundPort>,
}

/// What is wanted of the node.
#[derive(Debug, Clone)]
pub struct Asked<'a> {
    /// Whether pods are to be accelerated.
    pub switch: Switch,
    /// Who may speak SMC with them; `None` while nobody knows, which leaves it as it is.
    pub inbound: Option<Inbound>,
    /// Whether a kernel whose SMC has known defects is refused.
    pub refuse_defects: bool,
    /// The addresses of the cluster's nodes, where they are known.
    pub node_addresses: Option<&'a BTreeSet<IpAddr>>,
}

impl LastLook {
    /// Before the first look, at a node where an earlier agent or the plugin may have left something.
    pub fn at_start(store: &Store, boot_id: &str, pin_dir: &Path) -> Self {
        let before = store.node_facts(boot_id).ok();
        let inbound = before.map(|facts| facts.inbound).unwrap_or_default();
        let named = store.read_document::<Made>().ok().flatten().unwrap_or_default().ports;
        Self { standing: wanted::is_standing(store, pin_dir), inbound, named, ..Self::default() }
    }
}

/// A prepared node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    /// The facts to publish.
    pub facts: NodeFacts,
    /// The RDMA devices, whether or not SMC knows them.
    pub devices: Vec<String>,
    /// What could not be made, in words for a person.
    pub problems: Vec<String>,
    /// What was made or found, for the log.
    pub notes: Vec<String>,
    /// What was missing and was made just now: nothing new at the first look.
    pub restored: Vec<Reason>,
    /// What was made that others could have made as well.
    pub made: Made,
    /// Ports that were given another PNETID than they had from us.
    pub renamed: BTreeSet<String>,
    /// Whether the guard's program or one of its maps was made just now: pods may have another.
    pub guard_is_new: bool,
}

/// Looks at the node and makes what is missing, unless there is nothing to be prepared for and nothing of ours to be kept. Run
/// again, it makes only what was lost; with the same `last` it is cheap while nothing changed. What others made (PNETIDs,
/// enterprise ids) is adopted.
///
/// # Errors
/// Only when not even the kernel's release can be read; everything else is in [`Prepared::problems`] and in the
/// facts, so that pods learn why they stay on TCP.
pub async fn prepare(
    options: &Options,
    asked: Asked<'_>,
    last: &mut LastLook,
) -> Result<Prepared, HostError> {
    let release = kernel::release()?;
    let refused_defects = if asked.refuse_defects { known_defects(&release)? } else { Vec::new() };
    let asked = if refused_defects.is_empty() { asked } else { with_nobody_let_in(asked) };
    let mut node = Preparation::default();
    let (devices, rdma_netns_mode) = node.rdma();
    let proc_sys = Sysctl::at(options.proc.join("sys"));
    let has_tcp2smc = || proc_sys.read(TCP2SMC).is_ok_and(|value| value.is_some());
    let loaded = kernel::module_is_loaded("smc");
    let family = KernelFamily::of(&release, loaded, has_tcp2smc());
    if !last.standing && !wanted::is_wanted(&asked.switch, &devices, family) {
        let kernel = Kernel { release, family };
        return Ok(node.done(wanted::only_looked_at(kernel, loaded, rdma_netns_mode, asked.switch), devices));
    }
    last.standing = true;
    let iwarp = devices.iter().any(|device| device.node_type == NodeType::Rnic);
    let loaded = modules::ensure_loaded(iwarp, &options.proc);
    let (smc_loaded, smc_missing) = (loaded.is_ok(), loaded.clone().err());
    node.check("load the smc module", loaded);

    let has_tcp2smc = has_tcp2smc();
    let family = KernelFamily::of(&release, smc_loaded, has_tcp2smc);
    let conversion =
        if has_tcp2smc { Conversion::Tcp2smc } else { node.bpf(&options.pin_dir, smc_loaded, last) };
    let offer = node.offer(&conversion, &options.proc, last);
    let anchor = match (family, smc_loaded) {
        (KernelFamily::Alibaba, _) => Anchor::NotNeeded,
        (KernelFamily::Mainline, true) => node.anchor().await,
        (KernelFamily::Mainline, false) => Anchor::Missing { why: "SMC is not available".to_owned() },
    };
    let mut smc = None;
    if smc_loaded {
        smc = node.check_host("reach SMC", Smc::connect()).flatten();
    }
    let all_iwarp = iwarp && devices.iter().all(|device| device.node_type == NodeType::Rnic);
    let (guard, guard_pins) = match &mut smc {
        Some(smc) => {
            let needed = node.needs_guard(smc, family, all_iwarp);
            let offer = offer.as_ref().map(Option::as_ref).map_err(String::as_str);
            node.guard(smc, needed, offer, &options.pin_dir, &asked, last)
        }
        None => (Guard::Missing { why: "SMC is not available".to_owned() }, None),
    };
    if let Some(inbound) = asked.inbound {
        last.inbound = inbound;
    }
    let (ports, ueids) = match &mut smc {
        Some(smc) => (node.ports(smc, &mut last.named), node.ueids(smc, &options.ueids)),
        None => (Vec::new(), Vec::new()),
    };
    let facts = NodeFacts {
        kernel: Kernel { release, family },
        smc_loaded,
        smc_missing,
        smc_module: smc.as_ref().and_then(|smc| smc.module),
        conversion,
        syn_option: offer.ok().flatten(),
        rdma_netns_mode,
        ports,
        ueids,
        guard_pins,
        guard,
        inbound: last.inbound.clone(),
        refused_defects,
        anchor,
        datapath: Datapath::default(),
        switch: asked.switch,
        only_looked_at: false,
    };
    Ok(node.done(facts, devices))
}

/// The names of the defects that this kernel's SMC is known to have.
fn known_defects(release: &str) -> Result<Vec<String>, HostError> {
    Ok(match defects(release, &kernel::version()?) {
        Defects::Of { open, .. } => open.iter().map(|defect| defect.name.to_owned()).collect(),
        Defects::OfAVendor => Vec::new(),
    })
}

/// Listeners that were made before stay open to whom SMC's handshake code answers.
fn with_nobody_let_in(asked: Asked<'_>) -> Asked<'_> {
    let why = "this kernel's SMC has known defects".to_owned();
    Asked { inbound: Some(Inbound::Nobody { why }), ..asked }
}

/// Connections of the host's own network namespace.
struct Smc {
    route: Connection,
    generic: Connection,
    families: SmcFamilies,
    /// `None` when it was loaded anew at the moment.
    module: Option<SmcModule>,
}

impl Smc {
    /// `None` where the kernel has no SMC.
    fn connect() -> Result<Option<Self>, HostError> {
        let mut generic = Connection::open(Protocol::Generic)?;
        let before = kernel::module_inode("smc");
        let Some(families) = SmcFamilies::find(&mut generic)? else { return Ok(None) };
        let inode = kernel::module_inode("smc").filter(|inode| before == Some(*inode));
        let module = inode.map(|inode| SmcModule { inode, pnetid: families.pnetid, smc: families.smc });
        Ok(Some(Self { route: Connection::open(Protocol::Route)?, generic, families, module }))
    }
}

/// What preparing has to say.
#[derive(Default)]
struct Preparation {
    problems: Vec<String>,
    notes: Vec<String>,
    restored: Vec<Reason>,
    made: Made,
    renamed: BTreeSet<String>,
    guard_is_new: bool,
}

impl Preparation {
    fn done(self, facts: NodeFacts, devices: Vec<RdmaDevice>) -> Prepared {
        let devices = devices.into_iter().map(|device| device.name).collect();
        let Self { problems, notes, restored, made, renamed, guard_is_new } = self;
        Prepared { facts, devices, problems, notes, restored, made, renamed, guard_is_new }
    }

    fn check<T>(&mut self, attempt: &str, result: Result<T, String>) -> Option<T> {
        result.map_err(|error| self.problems.push(format!("cannot {attempt}: {error}"))).ok()
    }

    fn check_host<T>(&mut self, attempt: &str, result: Result<T, HostError>) -> Option<T> {
        self.check(attempt, result.map_err(|error| error.with_cause()))
    }

    /// A node without RDMA is no problem here: pods are told so.
    fn rdma(&mut self) -> (Vec<RdmaDevice>, RdmaNetnsMode) {
        let Ok(mut connection) = Connection::open(Protocol::Rdma) else {
            return (Vec::new(), RdmaNetnsMode::Shared);
        };
        let devices = self.check_host("look at RDMA", rdma::devices(&mut connection)).unwrap_or_default();
        let mode = self.check_host("look at RDMA", rdma::netns_mode(&mut connection));
        (devices, mode.unwrap_or(RdmaNetnsMode::Shared))
    }

    async fn anchor(&mut self) -> Anchor {
        match anchor::ensure().await {
            Ok(link) => {
                if link.was_up {
                    let why = "the link kubesmc0 was brought up".to_owned();
                    self.notes.push(format!("{why}: brought it down"));
                    self.restored.push(Reason::SourceAnchorMissing { why });
                }
                Anchor::Ready { index: link.index }
            }
            Err(error) => {
                self.problems.push(with_causes(&error));
                Anchor::Missing { why: with_causes(&error) }
            }
        }
    }

    /// The node's enterprise ids; the wanted ones are added while there is room for them.
    fn ueids(&mut self, smc: &mut Smc, wanted: &[Ueid]) -> Vec<Ueid> {
        let family = smc.families.smc;
        let present = smc::ueids(&mut smc.generic, family);
        let Some(present) = self.check_host("list the UEIDs", present) else { return Vec::new() };
        let missing: Vec<&Ueid> = wanted.iter().filter(|ueid| !present.contains(ueid)).collect();
        for ueid in &missing {
            let added = smc::add_ueid(&mut smc.generic, family, ueid);
            if self.check_host("add UEIDs", added).is_some() {
                self.notes.push(format!("added the UEID {ueid}"));
                self.restored.push(Reason::NoUeid);
                self.made.ueids.insert((*ueid).clone());
            }
        }
        if missing.is_empty() {
            return present;
        }
        let now = smc::ueids(&mut smc.generic, family);
        self.check_host("list the UEIDs", now).unwrap_or(present)
    }
}
