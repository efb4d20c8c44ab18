//! Take one step at the node.

use smc_host::guard::Guard;
use smc_host::netlink::{Connection, Protocol};
use smc_host::peers::Whose;
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

/// Takes a step.
///
/// # Errors
/// Why it could not be taken, in words for a person.
pub(super) async fn apply(step: &Step, options: &Options, last: &mut LastLook) -> Result<Effect, String> {
    let host = |error: HostError| error.with_cause();
    match step {
        Step::LoadSmc => modules::load_smc().map(|()| Effect::told("loaded the kernel module smc")),
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
            let mut route = Connection::open(Protocol::Route).map_err(host)?;
            if *up {
                link::bring_down(&mut route, *index).map_err(host)?;
            }
            // One that a plugin is setting up just now removes its own, and is none the worse.
            for address in local {
                link::drop_local(&mut route, *address, *index).map_err(host)?;
            }
            let note = up.then(|| format!("the link {} was brought up: brought it down", link::LINK));
            Ok(Effect { note, ..Effect::default() })
        }
        Step::LoadGuard { offer } => load_guard(offer, options, last),
        Step::SpareCauses(causes) => {
            let causes: Vec<StripCause> = causes.iter().copied().collect();
            let guard = Guard::open(&options.pin_dir).map_err(host)?;
            guard.spare(&causes).map(|()| Effect::default()).map_err(host)
        }
        Step::LetIn(inbound) => {
            let peers = Guard::open(&options.pin_dir).and_then(|guard| guard.peers()).map_err(host)?;
            peers.set(Whose::Node, &inbound.rules(), why(inbound)).map(|()| Effect::default()).map_err(host)
        }
        Step::StripSources { add, remove } => {
            let guard = Guard::open(&options.pin_dir).map_err(host)?;
            add.iter().try_for_each(|(address, why)| guard.strip(*address, *why)).map_err(host)?;
            remove.iter().try_for_each(|(address, why)| guard.leave(*address, *why)).map_err(host)?;
            Ok(Effect::default())
        }
        Step::NamePort { port, pnetid } => name_port(port, pnetid),
        Step::AddUeid(ueid) => {
            let mut smc = connect().map_err(host)?;
            smc::add_ueid(&mut smc.generic, smc.families.smc, ueid).map_err(host)?;
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

fn bpf_words(error: &BpfError) -> String {
    format!("{}; {}", with_causes(error), BpfError::remedy(error))
}

fn attach_conversion(protocol: u16, options: &Options, last: &mut LastLook) -> Result<Effect, String> {
    let ensured = ConversionProgram::ensure(&options.pin_dir, protocol).map_err(|error| bpf_words(&error))?;
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
) -> Result<Effect, String> {
    let effect = match GuardProgram::ensure(&options.pin_dir, offer).map_err(|error| bpf_words(&error))? {
        EnsuredGuard::Adopted => Effect::default(),
        EnsuredGuard::Made { replaced } => {
            let what = if replaced { "replaced" } else { "loaded" };
            let note = format!("{what} the BPF program of the same-node guard");
            Effect { guard_is_new: true, ..Effect::told(note) }
        }
        EnsuredGuard::UnknownOffer => {
            return Err("this kernel offers SMC by an option of a form that is not known".to_owned());
        }
    };
    last.guard = PinnedGuard::look(&options.pin_dir).ok().flatten();
    Ok(effect)
}

fn name_port(port: &RdmaPort, pnetid: &PnetId) -> Result<Effect, String> {
    let give = || -> Result<(), HostError> {
        let mut smc = connect()?;
        let family = smc.families.pnetid;
        if let Some(had) = &port.pnetid {
            pnet::delete(&mut smc.generic, family, had)?;
        }
        pnet::set_port(&mut smc.generic, family, &port.device, port.port, pnetid)
    };
    give().map_err(|error| error.with_cause())?;
    let bound = BoundPort { device: port.device.clone(), port: port.port, pnetid: pnetid.clone() };
    let instead = port
        .pnetid
        .as_ref()
        .map_or_else(String::new, |had| format!(", by which Terway's pods look for it, instead of {had}"));
    let note = format!("gave RDMA port {port} the PNETID {pnetid}{instead}");
    Ok(Effect { made: Made { ports: [bound].into(), ..Made::default() }, ..Effect::told(note) })
}
