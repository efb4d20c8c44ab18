mod chain;

use smc_model::{
    Failure, Failures, Guard, Inbound, Listener, LiveVerdict, NodeFacts, RdmaNetnsMode, Reason, Switch,
    Verdict, reasons,
};

use smc_surfaces::Subject;
use smc_surfaces::status::ChainState;

use super::*;
use crate::recorded::{alibaba, golden_outcome, rig};
use smc_surfaces::facts::{AnchorFacts, GuardFacts, LossFacts, SmcPort};

/// Names of the problems that the doctor sees once `change` was made to a healthy node of the rig.
fn problems(change: impl FnOnce(&mut Facts)) -> Vec<String> {
    problems_of(rig(), change)
}

fn problems_of(mut facts: Facts, change: impl FnOnce(&mut Facts)) -> Vec<String> {
    change(&mut facts);
    let found = checks(&facts).into_iter().filter(|check| check.state == State::Problem);
    found.map(|check| check.reason.clone().unwrap().into_owned()).collect()
}

fn port(facts: &mut Facts) -> &mut SmcPort {
    &mut facts.ports.as_mut().unwrap()[0]
}

fn unlooked<T>() -> Result<T, String> {
    Err("cannot look: permission denied".to_owned())
}

#[test]
fn healthy_nodes_are_fine() {
    for facts in [rig(), alibaba()] {
        let checks = checks(&facts);
        assert_eq!(status(&checks), Status::Fine, "{}", render(&checks, Paint::PLAIN));
    }
}

/// As the agent leaves a node: no module, no program, no link, no id.
#[test]
fn of_a_node_that_is_only_looked_at_nothing_is_missed_but_what_it_was_not_prepared_for() {
    let looked_at = |facts: &mut Facts| {
        facts.published.as_mut().unwrap().only_looked_at = true;
        (facts.smc, facts.smc_diag) = (false, false);
        facts.conversion.link_pinned = false;
        facts.conversion.map_pinned = false;
        facts.ports = Ok(Vec::new());
        facts.ueids = Ok(Vec::new());
        facts.anchor = Ok(None);
        facts.guard = Ok(None);
        facts.pods.clear();
    };
    let without_device = |facts: &mut Facts| {
        looked_at(facts);
        facts.devices = Ok(Vec::new());
    };
    assert_eq!(problems(without_device), ["NoRdmaDevice"]);
    let off = |facts: &mut Facts| {
        looked_at(facts);
        facts.published.as_mut().unwrap().switch = Switch::Off { why: "x".to_owned() };
    };
    assert_eq!(problems(off), ["SwitchedOff"]);
}

#[test]
fn the_output_for_healthy_nodes_is_as_committed() {
    golden_outcome("doctor-rig", &doctor(&rig(), Paint::PLAIN).unwrap());
    golden_outcome("doctor-alibaba", &doctor(&alibaba(), Paint::PLAIN).unwrap());
}

#[test]
fn the_output_for_a_sick_node_is_as_committed() {
    let mut facts = rig();
    facts.ueids = Ok(Vec::new());
    facts.smc_diag = false;
    facts.agent =
        Err("cannot ask smc-agent at /run/kube-smc/agent.sock: Connection refused (os error 111)".to_owned());
    facts.pods[0].now.as_mut().unwrap().as_mut().unwrap().pnetids.clear();
    golden_outcome("doctor-sick", &doctor(&facts, Paint::PLAIN).unwrap());
}

#[test]
fn each_fault_of_the_source_anchor_is_named() {
    assert_eq!(problems(|facts| facts.anchor = Ok(None)), ["SourceAnchorMissing"]);
    for spoil in [
        (|anchor| anchor.addresses.clear()) as fn(&mut AnchorFacts),
        |anchor| anchor.held.clear(),
        |anchor| anchor.up = true,
    ] {
        let spoilt = |facts: &mut Facts| spoil(facts.anchor.as_mut().unwrap().as_mut().unwrap());
        assert_eq!(problems(spoilt), ["SourceAnchorMissing"]);
    }
    let served_by_ipvs = |facts: &mut Facts| {
        facts.virtual_servers = Ok(facts.anchor.as_ref().unwrap().as_ref().unwrap().addresses.clone());
    };
    assert_eq!(problems(served_by_ipvs), ["NodePortsOnPodAddresses"]);
    assert_eq!(problems(|facts| facts.virtual_servers = Ok([[10, 96, 0, 1].into()].into())), [""; 0]);
}

#[test]
fn each_fault_of_a_node_is_named() {
    assert_eq!(problems(|facts| facts.ueids = Ok(Vec::new())), ["NoUeid"]);
    assert_eq!(problems(|facts| facts.ueids = Ok(vec!["OTHER".parse().unwrap()])), ["UeidsDiffer"]);
    assert_eq!(problems(|facts| facts.smc_diag = false), ["SmcDiagMissing"]);
    assert_eq!(problems(|facts| facts.smc = false), ["SmcNotAvailable"]);
    assert_eq!(problems(|facts| facts.kernel = "6.1.0-50-amd64".into()), ["KernelTooOld"]);
    // What is new enough for one device is too old for another.
    let erdma = |facts: &mut Facts| facts.devices.as_mut().unwrap()[0].driver = Some("erdma".into());
    assert_eq!(problems(erdma), ["KernelTooOld"]);
    let newer = |facts: &mut Facts| {
        facts.devices.as_mut().unwrap()[0].driver = Some("erdma".into());
        facts.kernel = "6.14.2".into();
    };
    assert_eq!(problems(newer), [""; 0]);
    let old = |facts: &mut Facts| {
        facts.kernel = "6.1.0-50-amd64".into();
        (facts.conversion.link_pinned, facts.conversion.map_pinned) = (false, false);
        // As that kernel shows ports: without their network devices, so that they get no PNETID.
        port(facts).pnetid = None;
        port(facts).addresses.clear();
        facts.pods.clear();
    };
    assert_eq!(problems(old), ["KernelTooOld", "NoConversion"], "nothing else matters there");
    assert_eq!(problems(|facts| port(facts).active = false), ["RdmaPortDown"]);
    assert_eq!(problems(|facts| port(facts).pnetid = None), ["PnetidMissing"]);
    assert_eq!(problems(|facts| port(facts).pnetid = "OTHER".parse().ok()), ["ForeignPnetid"]);
    assert_eq!(problems(|facts| port(facts).addresses.clear()), ["NoDeviceInSubnet"]);
    assert_eq!(
        problems(|facts| port(facts).addresses = vec!["192.168.7.1/24".parse().unwrap()]),
        ["NoDeviceInSubnet"]
    );
    let gids = |gids: &'static [[u8; 4]]| {
        move |facts: &mut Facts| {
            let port = &mut facts.devices.as_mut().unwrap()[0].ports[0];
            port.ipv4_gids = Some(gids.iter().copied().map(Into::into).collect());
        }
    };
    assert_eq!(problems(gids(&[])), ["NoDeviceInSubnet"]);
    assert_eq!(problems(gids(&[[10, 0, 0, 11]])), [""; 0]);
    assert_eq!(problems(|facts| facts.netns_mode = Ok(RdmaNetnsMode::Exclusive)), ["RdmaNetnsExclusive"]);
    assert_eq!(problems(|facts| facts.conversion.link_pinned = false), ["NoConversion"]);
    assert_eq!(problems(|facts| facts.conversion.tried = Ok(false)), ["NoConversion"]);
    assert_eq!(problems(|facts| facts.guard = Ok(None)), ["SameNodeGuardMissing"]);
    assert_eq!(problems(|facts| facts.memory.as_mut().unwrap().available = 1000), ["MemoryLow"]);
    let devices = |facts: &mut Facts| {
        facts.devices = Ok(Vec::new());
        facts.ports = Ok(Vec::new());
    };
    assert_eq!(problems(devices), ["NoRdmaDevice"]);
    let mtu = |facts: &mut Facts| facts.devices.as_mut().unwrap()[0].ports[0].netdev_mtu = Some(1280);
    assert_eq!(problems(mtu), ["RdmaMtu"]);
}

#[test]
fn each_fault_of_an_alibaba_node_is_named() {
    let problems = |change: fn(&mut Facts)| problems_of(alibaba(), change);
    assert_eq!(problems(|facts| facts.kernel = "5.10.134-16.1.al8.x86_64".into()), ["KernelTooOld"]);
    assert_eq!(problems(|facts| facts.erdma_compat = Some("Y".into())), ["DriverMode"]);
    assert_eq!(problems(|facts| port(facts).links = 4000), ["QueuePairsLow"]);
    let port_taken = |facts: &mut Facts| {
        facts.smc = false;
        facts.reserved_taken = vec![Listener { port: 65501, process: None }];
    };
    assert_eq!(problems(port_taken), ["SmcNotAvailable", "ReservedPortsTaken"]);
    assert_eq!(problems(|facts| facts.smc = false), ["SmcNotAvailable"]);
    assert_eq!(problems(|facts| facts.conversion.tried = Ok(false)), ["NoConversion"]);
}

/// A fault of the matrix that no rig can have, see `tests/faults.json`.
#[test]
fn queue_pairs_that_are_used_up_are_named_and_nothing_else_is() {
    let facts = alibaba();
    let device = facts.ports.as_ref().unwrap()[0].device.clone();
    let max = facts.queue_pairs_max(&device).expect("the recorded device tells its limit");
    let used = |links: u64| problems_of(alibaba(), |facts| port(facts).links = u32::try_from(links).unwrap());
    assert_eq!(used(max), ["QueuePairsLow"]);
    assert_eq!(used(max / 2), [""; 0]);
}

#[test]
fn each_fault_of_a_pod_is_named() {
    let verdict = |facts: &mut Facts, verdict| facts.pods[0].record.verdict = Some(verdict);
    let refused = |reason| {
        problems(|facts| {
            verdict(facts, Verdict::refused(reason));
            facts.pods[0].now = None;
        })
    };
    assert_eq!(
        refused(Reason::AnnotationInvalid { key: None, value: "True".to_owned() }),
        ["AnnotationInvalid"]
    );
    assert_eq!(refused(Reason::NoUeid), ["NoUeid"]);
    let listeners = vec![Listener { port: 80, process: None }];
    assert_eq!(problems(|facts| verdict(facts, Verdict::NeedsRestart { listeners })), ["NeedsRestart"]);
    let now = |facts: &mut Facts| facts.pods[0].now.as_mut().unwrap().as_mut().unwrap().clone();
    assert_eq!(
        problems(|facts| {
            let mut seen = now(facts);
            seen.converts = false;
            facts.pods[0].now = Some(Ok(seen));
        }),
        ["ConversionLost"]
    );
    for (other, name) in [(None, "PnetidLost"), (Some("OTHER"), "PnetidMismatch")] {
        assert_eq!(
            problems(|facts| {
                let mut seen = now(facts);
                seen.pnetids = other.map(|id| ("eth0".to_owned(), id.parse().unwrap())).into_iter().collect();
                facts.pods[0].now = Some(Ok(seen));
            }),
            [name]
        );
    }
    let device = |facts: &mut Facts| {
        facts.pods[0].record.plan.bindings[0].device = "rxe9".to_owned();
        facts.pods[0].record.plan.bindings[0].pnetid = "OTHER".parse().unwrap();
        let mut seen = now(facts);
        seen.pnetids[0].1 = "OTHER".parse().unwrap();
        facts.pods[0].now = Some(Ok(seen));
    };
    assert_eq!(problems(device), ["RdmaDeviceGone"], "there is another one");
    assert_eq!(refused(Reason::AnnotationMisspelt { key: "x".to_owned() }), ["AnnotationMisspelt"]);
    assert_eq!(refused(Reason::HostNetworkPod), ["HostNetworkPod"]);
    let ueids = vec!["OTHER".parse().unwrap()];
    let failure = Failure::Fallback { code: 0x0303_0000, peer_diagnosis: 0, ipv6_socket: false, side: None };
    let diagnosis = Some(Reason::UeidsDiffer { ueids });
    let failures = vec![Failures { count: 2, failure, diagnosis }];
    let degraded = LiveVerdict::Degraded { cause: None, failures };
    let judge = |facts: &mut Facts| {
        let judged = crate::recorded::judged(&facts.pods[0].record, degraded.clone());
        facts.pods[0].judged = Some(judged);
    };
    assert_eq!(problems(judge), ["UeidsDiffer"]);
    let ended = |facts: &mut Facts| {
        judge(facts);
        facts.agent = Err("refused".to_owned());
    };
    assert_eq!(problems(ended), ["AgentNotReady"], "nobody judges any more");
}

#[test]
fn what_is_no_fault_is_named_and_leaves_the_node_healthy() {
    let named = |facts: &Facts, name: &str| {
        let checks = checks(facts);
        assert_eq!(status(&checks), Status::Fine, "{}", render(&checks, Paint::PLAIN));
        checks.into_iter().find(|check| check.reason.as_deref() == Some(name)).unwrap()
    };
    assert_eq!(named(&alibaba(), "ForeignPnetid").name, "PNETIDs");
    let mut facts = rig();
    let seen = "the node has no UEID".to_owned();
    let loss = LossFacts { reason: "NoUeid".to_owned(), count: 2, seconds_ago: 40, seen };
    facts.agent.as_mut().unwrap().losses = vec![loss];
    let check = named(&facts, "NoUeid");
    assert!(check.seen.contains("2 times, last 40 s ago"), "{check:?}");
    facts.agent.as_mut().unwrap().losses[0].seconds_ago = 3601;
    assert!(checks(&facts).iter().all(|check| check.reason.as_deref() != Some("NoUeid")), "an old story");
}

#[test]
fn who_may_speak_smc_with_pods_is_told_and_saying_nothing_is_no_fault() {
    let row = |change: &dyn Fn(&mut NodeFacts)| {
        let mut facts = rig();
        change(facts.published.as_mut().unwrap());
        let by_cause = [("not-allowed".to_owned(), 3), ("same-node".to_owned(), 2)].into();
        facts.guard = Ok(Some(GuardFacts { sources: 4, stripped: 5, by_cause }));
        checks(&facts).into_iter().find(|check| check.name == "inbound peers").unwrap()
    };
    assert_eq!(row(&|_| {}).state, State::Note);
    let only = row(&|node| node.inbound = Inbound::Only("10.0.0.0/8".parse().unwrap()));
    assert_eq!(only.state, State::Fine);
    assert!(only.seen.contains("only 10.0.0.0/8; 3 offers"), "{}", only.seen);
    let nobody = row(&|node| node.inbound = Inbound::Nobody { why: "x".to_owned() });
    assert!(nobody.seen.contains("nobody: x"), "{}", nobody.seen);
    let without_program = row(&|node| {
        (node.guard, node.guard_pins) = (Guard::NotNeeded, None);
        node.inbound = Inbound::Only("10.0.0.0/8".parse().unwrap());
    });
    assert_eq!(without_program.reason.as_deref(), Some("PeerFilterMissing"));
}

#[test]
fn known_defects_are_a_problem_where_they_are_not_put_up_with_and_else_to_be_known() {
    let row = |release: &str, refused: bool| {
        let mut facts = rig();
        (facts.kernel, facts.kernel_version) = (release.to_owned(), String::new());
        if refused {
            facts.published.as_mut().unwrap().refused_defects = vec!["CVE-1".to_owned()];
        }
        checks(&facts).into_iter().find(|check| check.name == "known defects").unwrap()
    };
    assert_eq!(row("7.3.1", false).state, State::Fine);
    let old = row("6.12.80", false);
    assert!(old.state == State::Note && old.seen.contains("CVE-2026-46027"), "{old:?}");
    assert_eq!(row("6.12.80", true).state, State::Problem);
    let vendors = row("6.12.80-vendor", false);
    assert!(vendors.state == State::Note && vendors.seen.contains("ask yours"), "{vendors:?}");
}

#[test]
fn what_cannot_be_looked_at_is_neither_fine_nor_a_problem() {
    let mut facts = rig();
    facts.guard = unlooked();
    facts.ueids = unlooked();
    let checks = checks(&facts);
    assert_eq!(status(&checks), Status::CouldNotLook);
    let unknown =
        checks.iter().filter(|check| check.state == State::Unknown).map(|check| check.name.as_str());
    assert_eq!(unknown.collect::<Vec<_>>(), ["UEID", "same-node guard"]);
}

#[test]
fn every_problem_has_a_fix_and_a_name_in_the_table() {
    let mut facts = rig();
    facts.ueids = Ok(Vec::new());
    facts.smc_diag = false;
    for check in checks(&facts).into_iter().filter(|check| check.state == State::Problem) {
        assert!(
            check.fix.is_some() && reasons::by_name(check.reason.as_deref().unwrap()).is_some(),
            "{check:?}"
        );
    }
}

#[test]
fn the_lines_that_the_table_of_reasons_sends_people_to_exist() {
    let mut names: Vec<String> = [rig(), alibaba()]
        .iter()
        .flat_map(|facts| checks(facts).into_iter().map(|check| check.name))
        .collect();
    names.push("switch".to_owned());
    for entry in reasons::all() {
        for check in entry.causes.iter().map(|cause| cause.check) {
            for rest in check.split("`smcctl doctor`").skip(1) {
                let Some((_, line)) = rest.split_once("line ") else { continue };
                let known = names.iter().any(|name| line.starts_with(name.as_str()));
                assert!(known, "{}: no line {line:?} among {names:?}", entry.name);
            }
        }
    }
}
