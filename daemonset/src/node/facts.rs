//! From what was seen of a node, and what could not be done to it, to the facts that its pods are set up by.

use std::path::{Path, PathBuf};

use smc_host::anchor::LINK;
use smc_model::{Anchor, Conversion, Datapath, Guard, Inbound, Kernel, NodeFacts};

use super::Asked;
use super::bpf::MAP_NAME;
use super::observed::{GuardPins, Observed, Program, Rest, Smc};
use super::plan::may_load_smc;
use super::step::Step;

const NO_SMC: &str = "SMC is not available";

/// Steps that could not be taken, each with why.
#[derive(Debug, Default)]
pub(super) struct Failures(pub(super) Vec<(Step, String)>);

impl Failures {
    pub(super) fn has(&self, step: &Step) -> bool {
        self.0.iter().any(|(failed, _)| failed == step)
    }

    fn of(&self, kind: impl Fn(&Step) -> bool) -> Option<&str> {
        self.0.iter().find(|(step, _)| kind(step)).map(|(_, why)| why.as_str())
    }
}

/// The facts to publish. `inbound` is who may speak SMC with the node's pods, as far as anybody said.
pub(super) fn facts(
    seen: &Observed,
    asked: &Asked<'_>,
    inbound: &Inbound,
    pin_dir: &Path,
    failures: &Failures,
) -> NodeFacts {
    let Some(rest) = &seen.rest else { return only_looked_at(seen, asked) };
    let (guard, guard_pins) = match &rest.smc {
        Some(smc) => guard(seen, rest, smc, inbound, pin_dir, failures),
        None => (Guard::Missing { why: NO_SMC.to_owned() }, None),
    };
    let smc_missing = || {
        let failed = failures.of(|step| *step == Step::LoadSmc).map(str::to_owned);
        failed.or_else(|| may_load_smc(seen, rest).err())
    };
    let ports = rest.smc.as_ref().and_then(|smc| smc.ports.as_ref().ok());
    NodeFacts {
        kernel: kernel(seen),
        smc_loaded: seen.smc_loaded,
        smc_missing: if seen.smc_loaded { None } else { smc_missing() },
        smc_module: rest.smc.as_ref().and_then(|smc| smc.module),
        conversion: conversion(seen, rest, pin_dir, failures),
        syn_option: rest.offer.clone().ok().flatten(),
        rdma_netns_mode: seen.rdma_netns_mode,
        ports: ports.into_iter().flatten().map(|seen| seen.facts.clone()).collect(),
        ueids: rest.smc.as_ref().and_then(|smc| smc.ueids.clone().ok()).unwrap_or_default(),
        guard,
        guard_pins,
        inbound: inbound.clone(),
        refused_defects: asked.refused_defects(seen),
        anchor: anchor(seen, rest, failures),
        datapath: Datapath::default(),
        switch: asked.switch.clone(),
        only_looked_at: false,
    }
}

fn kernel(seen: &Observed) -> Kernel {
    Kernel { release: seen.release.clone(), family: seen.family() }
}

fn only_looked_at(seen: &Observed, asked: &Asked<'_>) -> NodeFacts {
    let why = "this node is only looked at".to_owned();
    NodeFacts {
        kernel: kernel(seen),
        smc_loaded: seen.smc_loaded,
        smc_missing: None,
        smc_module: None,
        conversion: Conversion::None { why: why.clone() },
        syn_option: None,
        rdma_netns_mode: seen.rdma_netns_mode,
        ports: Vec::new(),
        ueids: Vec::new(),
        guard: Guard::Missing { why: why.clone() },
        guard_pins: None,
        inbound: Inbound::Any,
        refused_defects: Vec::new(),
        anchor: Anchor::Missing { why },
        datapath: Datapath::default(),
        switch: asked.switch.clone(),
        only_looked_at: true,
    }
}

fn conversion(seen: &Observed, rest: &Rest, pin_dir: &Path, failures: &Failures) -> Conversion {
    let none = |why: &str| Conversion::None { why: why.to_owned() };
    match &rest.program {
        _ if seen.has_tcp2smc => Conversion::Tcp2smc,
        Program::InPlace { map, protocol } => Conversion::Bpf { map: map.clone(), protocol: *protocol },
        Program::NotLookedAt => none(NO_SMC),
        Program::NoProtocol => none("it has neither net.smc.tcp2smc nor IPPROTO_SMC sockets"),
        Program::NotInPlace { protocol, other } => {
            match failures.of(|step| matches!(step, Step::AttachConversion { .. })) {
                Some(why) => none(why),
                None if *other => Conversion::Bpf { map: pin_dir.join(MAP_NAME), protocol: *protocol },
                None => none("the BPF program was not in place"),
            }
        }
    }
}

fn anchor(seen: &Observed, rest: &Rest, failures: &Failures) -> Anchor {
    let missing = |why: &str| Anchor::Missing { why: why.to_owned() };
    if !seen.traits().needs_anchor {
        return Anchor::NotNeeded;
    }
    if !seen.smc_loaded {
        return missing(NO_SMC);
    }
    let failed = failures.of(|step| matches!(step, Step::MakeAnchorLink | Step::KeepAnchorDown { .. }));
    match &rest.anchor {
        Ok(Some(link)) if !link.up && (link.local.is_empty() || failed.is_none()) => {
            Anchor::Ready { index: link.index }
        }
        Ok(Some(_)) => missing(failed.unwrap_or(&format!("the link {LINK} was brought up"))),
        Ok(None) => missing(failed.unwrap_or(&format!("the link {LINK} was removed"))),
        Err(why) => missing(why),
    }
}

fn guard(
    seen: &Observed,
    rest: &Rest,
    smc: &Smc,
    inbound: &Inbound,
    pin_dir: &Path,
    failures: &Failures,
) -> (Guard, Option<PathBuf>) {
    let needed = seen.needs_guard(smc);
    let without = |why: &str| {
        let guard = if needed { Guard::Missing { why: why.to_owned() } } else { Guard::NotNeeded };
        (guard, None)
    };
    let current = matches!(rest.guard, GuardPins::There { current: true, .. });
    let failed = failures.of(|step| matches!(step, Step::LoadGuard { .. }));
    if let Some(why) = failed.filter(|_| !current) {
        return without(why);
    }
    let GuardPins::There { maps, .. } = &rest.guard else {
        return match &rest.offer {
            Ok(Some(_)) => without("its BPF program was not pinned"),
            Ok(None) => without("this kernel's SYNs offer no SMC"),
            Err(why) => without(why),
        };
    };
    let unsaid = failures.of(|step| matches!(step, Step::SpareCauses(_) | Step::LetIn(_)));
    if !inbound.is_any() && (maps.rules.is_err() || unsaid.is_some()) {
        // Whoever was to be kept out would be let in.
        return without(
            "who may speak SMC with pods cannot be written into its map; the agent's log says why",
        );
    }
    let guard = if needed { Guard::Ready } else { Guard::NotNeeded };
    (guard, Some(pin_dir.to_owned()))
}

#[cfg(test)]
mod tests;
