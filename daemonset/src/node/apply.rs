//! Take one step at the node.

use smc_host::guard::Guard;
use smc_host::guard::peers::Whose;
use smc_host::netlink::{Connection, Protocol};
use smc_host::{Cause, HostError, anchor as link, pnet, smc, with_causes};
use smc_model::{Inbound, PnetId, RdmaPort, StripCause};
use smc_state::{BoundPort, Made};

use super::bpf::{BpfError, ConversionProgram, EnsuredGuard, GuardProgram, Pinned, PinnedGuard};
use super::observe::Connections;
use super::step::Step;
use super::{LastLook, Options, anchor, modules};

/// What a step did.
#[derive(Debug, Default)]
pub(super) struct Effect {
    /// What to log; `None` where all was in place already, or is of no interest.
    pub(super) note: Option<String>,
    /// What was made that others could have made as well.
    pub(super) made: Made,
    /// Whether the program that converts sockets was attached just now: its map may be empty.
    pub(super) map_is_new: bool,
    /// Whether the guard's program or one of its maps was made just now: pods may have another.
    pub(super) guard_is_new: bool,
}

impl Effect {
    fn told(note: impl Into<String>) -> Self {
        Self { note: Some(note.into()), ..Self::default() }
    }
}

/// Why a step could not be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failed {
    /// What came of it, in words for a person.
    pub(super) why: String,
    /// What to do, where that is not what the reason for pods says.
    pub(super) remedy: Option<String>,
}

impl From<String> for Failed {
    fn from(why: String) -> Self {
        Self { why, remedy: None }
    }
}

impl From<HostError> for Failed {
    fn from(error: HostError) -> Self {
        error.with_cause().into()
    }
}

impl From<BpfError> for Failed {
    fn from(error: BpfError) -> Self {
        Self { why: with_causes(&error), remedy: Some(error.remedy().to_owned()) }
    }
}

/// Takes a step.
///
/// # Errors
/// Why it could not be taken.
pub(super) async fn apply(step: &Step, options: &Options, last: &mut LastLook) -> Result<Effect, Failed> {
    match step {
        Step::LoadSmc => {
            modules::load_smc()?;
            Ok(Effect::told("loaded the kernel module smc"))
        }
        Step::LoadSmcDiag => {
            last.tried_smc_diag = true;
            modules::load_smc_diag();
            Ok(Effect::default())
        }
        Step::AttachConversion { protocol } => attach_conversion(*protocol, options, last),
        Step::MakeAnchorLink => {
            anchor::make().await.map_err(|error| with_causes(&error))?;
            Ok(Effect::told(format!("made the link {}", link::LINK)))
        }
        Step::KeepAnchorDown { index, up, local } => {
            let mut route = Connection::open(Protocol::Route)?;
            if *up {
                link::bring_down(&mut route, *index)?;
            }
            // One that a plugin is setting up just now removes its own, and is none the worse.
            for address in local {
                link::drop_local(&mut route, *address, *index)?;
            }
            let note = up.then(|| format!("the link {} was brought up: brought it down", link::LINK));
            Ok(Effect { note, ..Effect::default() })
        }
        Step::LoadGuard { offer } => load_guard(offer, options, last),
        Step::SpareCauses(causes) => {
            let causes: Vec<StripCause> = causes.iter().copied().collect();
            let guard = Guard::open(&options.pin_dir)?;
            guard.spare(&causes)?;
            Ok(Effect::default())
        }
        Step::LetIn(inbound) => {
            let peers = Guard::open(&options.pin_dir).and_then(|guard| guard.peers())?;
            peers.set(Whose::Node, &inbound.rules(), why(inbound))?;
            Ok(Effect::default())
        }
        Step::StripSources { add, remove } => {
            let guard = Guard::open(&options.pin_dir)?;
            add.iter().try_for_each(|(address, why)| guard.strip(*address, *why))?;
            remove.iter().try_for_each(|(address, why)| guard.leave(*address, *why))?;
            Ok(Effect::default())
        }
        Step::NamePort { port, pnetid } => name_port(port, pnetid),
        Step::AddUeid(ueid) => {
            let mut smc = connect()?;
            smc::add_ueid(&mut smc.generic, smc.families.smc, ueid)?;
            let made = Made { ueids: [ueid.clone()].into(), ..Made::default() };
            Ok(Effect { made, ..Effect::told(format!("added the UEID {ueid}")) })
        }
    }
}

fn why(inbound: &Inbound) -> StripCause {
    if matches!(inbound, Inbound::Nobody { .. }) { StripCause::SwitchedOff } else { StripCause::NotAllowed }
}

fn connect() -> Result<Connections, HostError> {
    let gone =
        || HostError::new("reach SMC", Cause::Unexpected("its module is not loaded any more".to_owned()));
    Connections::open()?.ok_or_else(gone)
}

fn attach_conversion(protocol: u16, options: &Options, last: &mut LastLook) -> Result<Effect, Failed> {
    let ensured = ConversionProgram::ensure(&options.pin_dir, protocol)?;
    last.conversion = Pinned::look(&options.pin_dir).ok().flatten().map(|pinned| (pinned, protocol));
    if ensured.adopted {
        return Ok(Effect::default());
    }
    let what = if ensured.replaced { "replaced" } else { "attached" };
    let note = format!("{what} the BPF program that converts TCP sockets (IPPROTO_SMC {protocol})");
    Ok(Effect { map_is_new: true, ..Effect::told(note) })
}

fn load_guard(
    offer: &smc_model::SynOption,
    options: &Options,
    last: &mut LastLook,
) -> Result<Effect, Failed> {
    let effect = match GuardProgram::ensure(&options.pin_dir, offer)? {
        EnsuredGuard::Adopted => Effect::default(),
        EnsuredGuard::Made { replaced } => {
            let what = if replaced { "replaced" } else { "loaded" };
            let note = format!("{what} the BPF program of the same-node guard");
            Effect { guard_is_new: true, ..Effect::told(note) }
        }
        EnsuredGuard::UnknownOffer => {
            let why = "this kernel offers SMC by an option of a form that is not known";
            return Err(why.to_owned().into());
        }
    };
    last.guard = PinnedGuard::look(&options.pin_dir).ok().flatten();
    Ok(effect)
}

fn name_port(port: &RdmaPort, pnetid: &PnetId) -> Result<Effect, Failed> {
    let mut smc = connect()?;
    let family = smc.families.pnetid;
    if let Some(had) = &port.pnetid {
        // Deleting takes it from everybody who has it by now.
        if pnet::members(&pnet::list(&mut smc.generic, family)?, had) != [port.to_string()] {
            return Err(format!("the PNETID {had} of RDMA port {port} is not its alone any more").into());
        }
        pnet::delete(&mut smc.generic, family, had)?;
    }
    pnet::set_port(&mut smc.generic, family, &port.device, port.port, pnetid)?;
    let bound = BoundPort { device: port.device.clone(), port: port.port, pnetid: pnetid.clone() };
    let instead = port
        .pnetid
        .as_ref()
        .map_or_else(String::new, |had| format!(", by which Terway's pods look for it, instead of {had}"));
    let note = format!("gave RDMA port {port} the PNETID {pnetid}{instead}");
    Ok(Effect { made: Made { ports: [bound].into(), ..Made::default() }, ..Effect::told(note) })
}
