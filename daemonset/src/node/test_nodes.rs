//! Nodes as they might be found, for tests; and what becomes of one when a step is taken.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use smc_abi::rdma::{NodeType, RdmaDevice};
use smc_model::{
    Inbound, PeerRules, RdmaNetdev, RdmaNetnsMode, RdmaPort, StripCause, Switch, SynOption, Ueid,
};

use super::Asked;
use super::observed::{AnchorLink, GuardMaps, GuardPins, Observed, Port, Program, Rest, Smc};
use super::step::Step;

pub(super) const MAC: [u8; 6] = [0, 0x16, 0x3e, 0, 0, 1];

pub(super) fn ueids() -> Vec<Ueid> {
    vec![Ueid::DEFAULT.parse().unwrap()]
}

pub(super) fn asked(ueids: &[Ueid]) -> Asked<'_> {
    Asked {
        switch: Switch::On,
        inbound: Some(Inbound::Any),
        refuse_defects: false,
        node_addresses: None,
        ueids,
    }
}

pub(super) fn offer() -> SynOption {
    SynOption { kind: 254, data: vec![0xe2, 0xd4, 0xc3, 0xd9] }
}

pub(super) fn device(node_type: NodeType) -> RdmaDevice {
    let (index, name) = (0, "rxe0".to_owned());
    RdmaDevice { index, name, node_type, node_guid: 0, port_count: 1, firmware: None, protocol: None }
}

pub(super) fn port(device: &str, pnetid: Option<&str>) -> Port {
    let netdev = RdmaNetdev { index: 3, name: "eth1".into(), addresses: Vec::new() };
    let pnetid = pnetid.map(|id| id.parse().unwrap());
    let facts =
        RdmaPort { device: device.into(), port: 1, active: true, pnetid, netdev: Some(netdev), pods: 0 };
    Port { facts, mac: Some(MAC), shares_pnetid: false }
}

/// A mainline node with a RoCE device on which nothing was ever done.
pub(super) fn bare() -> Observed {
    Observed {
        release: "6.12.1".into(),
        open_defects: Vec::new(),
        devices: vec![device(NodeType::ChannelAdapter)],
        rdma_netns_mode: RdmaNetnsMode::Shared,
        has_tcp2smc: false,
        smc_loaded: false,
        rest: Some(Rest {
            smc_diag_tried: false,
            reserved_taken: Vec::new(),
            program: Program::NotLookedAt,
            offer: Ok(None),
            anchor: Ok(None),
            guard: GuardPins::Missing,
            own_addresses: Ok(["192.0.2.1".parse().unwrap(), "127.0.0.1".parse().unwrap()].into()),
            of_terway: false,
            smc: None,
        }),
        problems: Vec::new(),
    }
}

/// The same, once it is prepared.
pub(super) fn prepared() -> Observed {
    let ueids = ueids();
    settled(bare(), &asked(&ueids)).0
}

/// What SMC tells once it is loaded, on a node where nothing was done but that.
fn fresh_smc() -> Smc {
    Smc { module: None, has_loopback: false, ports: Ok(vec![port("rxe0", None)]), ueids: Ok(Vec::new()) }
}

/// The node once a step was taken that worked.
pub(super) fn after(mut seen: Observed, step: &Step) -> Observed {
    let has_tcp2smc = seen.has_tcp2smc || seen.release.contains(".al8");
    let mut rest = seen.rest.take().unwrap();
    let maps = |rest: &Rest| match &rest.guard {
        GuardPins::There { maps, .. } => maps.clone(),
        GuardPins::Missing => panic!("no guard to write to"),
    };
    let current = matches!(rest.guard, GuardPins::There { current: true, .. });
    match step {
        Step::LoadSmc => {
            seen.smc_loaded = true;
            rest.smc_diag_tried = true;
            rest.smc.get_or_insert_with(fresh_smc);
            seen.has_tcp2smc = has_tcp2smc;
            if has_tcp2smc {
                rest.offer = Ok(Some(offer()));
            } else {
                rest.program = Program::NotInPlace { protocol: 256, other: false };
            }
        }
        Step::LoadSmcDiag => rest.smc_diag_tried = true,
        Step::AttachConversion { protocol } => {
            rest.program = Program::InPlace { map: PathBuf::from("/pins/map"), protocol: *protocol };
            rest.offer = Ok(Some(offer()));
        }
        Step::MakeAnchorLink => {
            rest.anchor = Ok(Some(AnchorLink { index: 9, up: false, local: BTreeSet::new() }));
        }
        Step::KeepAnchorDown { index, .. } => {
            rest.anchor = Ok(Some(AnchorLink { index: *index, up: false, local: BTreeSet::new() }));
        }
        Step::LoadGuard { .. } => {
            let empty = GuardMaps {
                spared: Ok(Some(BTreeSet::new())),
                rules: Ok(PeerRules::new()),
                sources: Ok(BTreeMap::new()),
            };
            let maps = match rest.guard {
                GuardPins::There { maps, .. } => maps,
                GuardPins::Missing => empty,
            };
            rest.guard = GuardPins::There { current: true, maps };
        }
        Step::SpareCauses(causes) => {
            let maps = GuardMaps { spared: Ok(Some(causes.clone())), ..maps(&rest) };
            rest.guard = GuardPins::There { current, maps };
        }
        Step::LetIn(inbound) => {
            let maps = GuardMaps { rules: Ok(inbound.rules()), ..maps(&rest) };
            rest.guard = GuardPins::There { current, maps };
        }
        Step::StripSources { add, remove } => {
            let mut maps = maps(&rest);
            let sources = maps.sources.as_mut().unwrap();
            sources.retain(|address, why| remove.get(address) != Some(why));
            sources.extend(add.iter().map(|(address, why): (_, &StripCause)| (*address, *why)));
            rest.guard = GuardPins::There { current, maps };
        }
        Step::NamePort { port, pnetid } => {
            for seen in rest.smc.as_mut().unwrap().ports.as_mut().unwrap() {
                if seen.facts.device == port.device {
                    seen.facts.pnetid = Some(pnetid.clone());
                }
            }
        }
        Step::AddUeid(ueid) => rest.smc.as_mut().unwrap().ueids.as_mut().unwrap().push(ueid.clone()),
    }
    seen.rest = Some(rest);
    seen
}

/// Plans and takes steps until nothing is due; returns all steps, too.
pub(super) fn settled(mut seen: Observed, asked: &Asked<'_>) -> (Observed, Vec<Step>) {
    let mut taken = Vec::new();
    for _ in 0..super::ROUNDS {
        let steps = super::plan::plan(&seen, asked, &BTreeSet::new()).steps;
        if steps.is_empty() {
            return (seen, taken);
        }
        for step in steps {
            seen = after(seen, &step);
            taken.push(step);
        }
    }
    panic!("still something due after {} rounds; taken: {taken:?}", super::ROUNDS)
}
