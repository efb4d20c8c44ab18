use std::net::IpAddr;

use proptest::prelude::*;
use smc_abi::rdma::NodeType;
use smc_model::{Inbound, Listener, PnetId, Switch, Ueid};

use super::*;
use crate::node::observed::AnchorLink;
use crate::node::test_nodes::{MAC, after, asked, bare, device, port, prepared, settled, ueids};

fn rest(seen: &mut Observed) -> &mut Rest {
    seen.rest.as_mut().unwrap()
}

fn steps(seen: &Observed) -> Vec<String> {
    let ueids = ueids();
    plan(seen, &asked(&ueids), &BTreeSet::new()).steps.iter().map(ToString::to_string).collect()
}

fn id(text: &str) -> PnetId {
    text.parse().unwrap()
}

#[test]
fn a_node_on_which_nothing_was_done_gets_everything_in_this_order() {
    let ueids = ueids();
    let taken: Vec<String> = settled(bare(), &asked(&ueids)).1.iter().map(ToString::to_string).collect();
    assert_eq!(
        taken,
        [
            "load the kernel module smc",
            "attach the BPF program that converts TCP sockets of annotated pods (IPPROTO_SMC 256)",
            "make the dummy link kubesmc0, which stays down",
            "give RDMA port rxe0/1 the PNETID 00163E000001",
            "add the UEID SMCV2-DEFAULT-UEID",
            "pin the BPF program of the same-node guard, for TCP option 254 with e2d4c3d9",
            "take SMC's offer out of SYNs from 192.0.2.1",
        ]
    );
    assert_eq!(steps(&prepared()), Vec::<String>::new());
}

#[test]
fn on_alibabas_kernel_nothing_is_attached_that_converts_and_nothing_anchored() {
    let mut node = Observed { release: "5.10.134-17.3.al8.x86_64".into(), ..bare() };
    node.devices = vec![device(NodeType::Rnic)];
    let ueids = ueids();
    let taken: Vec<String> = settled(node, &asked(&ueids)).1.iter().map(ToString::to_string).collect();
    assert_eq!(
        taken,
        [
            "load the kernel module smc",
            "pin the BPF program of the same-node guard, for TCP option 254 with e2d4c3d9",
            "let the guard ignore these causes: same-node, own-node, other-node, timed-out",
            "give RDMA port rxe0/1 the PNETID 00163E000001",
            "add the UEID SMCV2-DEFAULT-UEID",
            "take SMC's offer out of SYNs from 192.0.2.1",
        ]
    );
}

#[test]
fn a_node_that_is_only_looked_at_gets_nothing() {
    assert_eq!(steps(&Observed { rest: None, ..bare() }), Vec::<String>::new());
}

#[test]
fn iwarp_devices_are_used_by_alibabas_kernel_alone() {
    let with = |release: &str, kinds: &[NodeType]| {
        let devices = kinds.iter().map(|kind| device(*kind)).collect();
        Observed { release: release.into(), devices, ..bare() }.has_usable_device()
    };
    for release in ["6.12.1", "5.10.134-17.3.al8.x86_64"] {
        assert!(with(release, &[NodeType::ChannelAdapter]));
        assert!(!with(release, &[]));
        assert_eq!(with(release, &[NodeType::Rnic]), release.contains("al8"));
    }
    assert!(bare().is_wanted(&Switch::On));
    assert!(!bare().is_wanted(&Switch::Off { why: "x".into() }));
}

#[test]
fn smc_is_not_loaded_for_an_iwarp_device_while_somebody_has_its_ports() {
    let mut node = Observed { release: "5.10.134-17.3.al8.x86_64".into(), ..bare() };
    node.devices = vec![device(NodeType::Rnic)];
    rest(&mut node).reserved_taken = vec![Listener { port: 65500, process: None }];
    let ueids = ueids();
    let due = plan(&node, &asked(&ueids), &BTreeSet::new());
    assert!(due.steps.is_empty() && due.problems[0].contains("65500"), "{due:?}");
    node.devices = vec![device(NodeType::ChannelAdapter)];
    assert_eq!(steps(&node), ["load the kernel module smc"], "RoCE needs no ports");
}

#[test]
fn what_somebody_took_or_changed_is_put_back() {
    let lacks = |change: &dyn Fn(&mut Rest)| {
        let mut node = prepared();
        change(rest(&mut node));
        steps(&node)
    };
    let up = AnchorLink { index: 9, up: true, local: ["10.0.1.1".parse().unwrap()].into() };
    assert_eq!(
        lacks(&|rest| rest.anchor = Ok(Some(up.clone()))),
        ["bring the link kubesmc0 down and drop 1 local route through it"]
    );
    assert_eq!(lacks(&|rest| rest.smc.as_mut().unwrap().ueids = Ok(Vec::new())).len(), 1);
    assert_eq!(lacks(&|rest| rest.guard = GuardPins::Missing).len(), 1);
    assert_eq!(lacks(&|rest| rest.smc_diag_tried = false), ["load the kernel module smc_diag"]);
    let others = |rest: &mut Rest| rest.program = Program::NotInPlace { protocol: 256, other: true };
    assert_eq!(lacks(&others).len(), 1, "an older build's is replaced");
    let cannot = |rest: &mut Rest| rest.anchor = Err("it cannot be looked at".into());
    assert_eq!(lacks(&cannot), Vec::<String>::new(), "nothing is made where nobody could look");
}

#[test]
fn who_may_speak_smc_is_written_when_it_is_known_and_only_when_it_changes() {
    let ueids = ueids();
    let ranges = Inbound::Only("10.0.0.0/8".parse().unwrap());
    let with = |inbound: Option<Inbound>, node: Observed| {
        let asked = Asked { inbound, ..asked(&ueids) };
        let steps = plan(&node, &asked, &BTreeSet::new()).steps;
        (steps.clone(), steps.iter().fold(node, after))
    };
    assert_eq!(with(None, prepared()).0, [], "nobody knows yet");
    let (steps, node) = with(Some(ranges.clone()), prepared());
    assert_eq!(steps, [Step::LetIn(ranges.clone())]);
    assert_eq!(with(Some(ranges), node.clone()).0, []);
    assert_eq!(with(None, node.clone()).0, [], "it stays as it was");
    assert_eq!(with(Some(Inbound::Any), node).0, [Step::LetIn(Inbound::Any)]);
}

/// What was said of who may speak SMC reaches pods that have an older program, and one that nobody could replace.
#[test]
fn who_may_speak_smc_is_written_also_while_another_builds_guard_cannot_be_replaced() {
    let ueids = ueids();
    let mut node = prepared();
    let rest = rest(&mut node);
    let GuardPins::There { current, .. } = &mut rest.guard else { panic!("it has none") };
    *current = false;
    let nobody = Inbound::Nobody { why: "off".to_owned() };
    let asked = Asked { inbound: Some(nobody.clone()), ..asked(&ueids) };
    let due = |node: &Observed| plan(node, &asked, &BTreeSet::new()).steps;
    assert!(due(&node).contains(&Step::LetIn(nobody.clone())));
    // Nothing converts, so that what SYNs offer cannot be seen.
    let unconverted = node.rest.as_mut().unwrap();
    (unconverted.program, unconverted.offer) =
        (Program::NotInPlace { protocol: 256, other: false }, Ok(None));
    assert!(due(&node).contains(&Step::LetIn(nobody)));
}

#[test]
fn nobody_is_let_in_between_the_making_of_a_guard_and_the_next_look() {
    let ueids = ueids();
    let mut node = prepared();
    rest(&mut node).guard = GuardPins::Missing;
    let ranges = Inbound::Only("10.0.0.0/8".parse().unwrap());
    let asked = Asked { inbound: Some(ranges.clone()), ..asked(&ueids) };
    let due = plan(&node, &asked, &BTreeSet::new()).steps;
    assert!(
        matches!(due.as_slice(), [Step::LoadGuard { .. }, Step::LetIn(inbound)] if *inbound == ranges),
        "{due:?}"
    );
}

#[test]
fn what_can_be_read_of_the_guards_maps_is_put_right_whatever_else_cannot() {
    let mut node = prepared();
    let GuardPins::There { maps, .. } = &mut rest(&mut node).guard else { panic!("it has none") };
    (maps.rules, maps.sources) = (Err("EIO".to_owned()), Ok(BTreeMap::new()));
    assert_eq!(steps(&node), ["take SMC's offer out of SYNs from 192.0.2.1"]);
    let ueids = ueids();
    let problems = plan(&node, &asked(&ueids), &BTreeSet::new()).problems;
    assert_eq!(problems, ["cannot say who may speak SMC with this node's pods: EIO"]);
}

#[test]
fn nobody_may_while_a_kernel_with_known_defects_is_refused() {
    let ueids = ueids();
    let asked = Asked { refuse_defects: true, ..asked(&ueids) };
    let node = Observed { open_defects: vec!["CVE-1".into()], ..prepared() };
    let due = plan(&node, &asked, &BTreeSet::new()).steps;
    assert!(matches!(due.as_slice(), [Step::LetIn(Inbound::Nobody { .. })]), "{due:?}");
}

#[test]
fn offers_are_taken_out_of_what_comes_from_nodes_and_what_was_learned_stays() {
    let [own, other, gone, learned] = ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"]
        .map(|address| address.parse::<IpAddr>().unwrap());
    let maps = |sources: &[(IpAddr, StripCause)]| sources.iter().copied().collect::<BTreeMap<_, _>>();
    let there =
        maps(&[(own, StripCause::TimedOut), (gone, StripCause::OtherNode), (learned, StripCause::TimedOut)]);
    let step = sources(&there, &[own].into(), Some(&[other].into()));
    let add = [(own, StripCause::Node), (other, StripCause::OtherNode)].into();
    assert_eq!(step, Some(Step::StripSources { add, remove: [(gone, StripCause::OtherNode)].into() }));
    let unknown =
        sources(&maps(&[(own, StripCause::Node), (gone, StripCause::OtherNode)]), &[own].into(), None);
    assert_eq!(unknown, None, "an agent before this one knew of it");
}

#[test]
fn a_port_keeps_its_id_and_one_without_is_named_by_its_mac_address() {
    let named = BTreeSet::new();
    for of_terway in [false, true] {
        assert_eq!(pnetid(&port("erdma_0", Some("00163E000001")), of_terway, &named), Ok(None));
        let by_mac = pnetid(&port("rxe0", None), of_terway, &named);
        assert_eq!(by_mac, Ok(Some(PnetId::from_mac(MAC))), "no id of Terway's");
    }
    assert_eq!(pnetid(&port("erdma_0", None), false, &named), Ok(Some(PnetId::from_mac(MAC))));
    let without_mac = Port { mac: None, ..port("rxe0", None) };
    assert!(pnetid(&without_mac, false, &named).unwrap_err().contains("eth1 has no MAC address"));
    let mut elsewhere = port("rxe0", None);
    elsewhere.facts.netdev = None;
    assert!(pnetid(&elsewhere, false, &named).unwrap_err().contains("no network device"));
}

#[test]
fn where_terway_manages_devices_they_have_the_id_that_its_pods_get_unless_somebody_else_has_theirs() {
    let device = |pnetid: Option<&str>| port("erdma_0", pnetid);
    let named = BTreeSet::from([device(None).bound(id("00163E000001"))]);
    let ours = device(Some("00163E000001"));
    assert_eq!(pnetid(&device(None), true, &named), Ok(Some(id("0"))));
    assert_eq!(pnetid(&device(Some("0")), true, &named), Ok(None));
    assert_eq!(pnetid(&ours, true, &named), Ok(Some(id("0"))));
    assert_eq!(pnetid(&ours, false, &named), Ok(None));
    assert_eq!(pnetid(&device(Some("THEIRS")), true, &named), Ok(None));
    let shared = Port { shares_pnetid: true, ..ours };
    assert_eq!(pnetid(&shared, true, &named), Ok(None), "the kernel would take it from all that have it");
}

/// A node in any state between bare and prepared, with anything of it taken away again.
fn any_node() -> impl Strategy<Value = Observed> {
    let flags = proptest::collection::vec(any::<bool>(), 10);
    (flags, 0..8_usize).prop_map(|(flags, taken)| {
        let release = if flags[0] { "5.10.134-17.3.al8.x86_64" } else { "6.12.1" };
        let mut node = Observed { release: release.into(), ..bare() };
        if flags[1] {
            node.devices.push(device(NodeType::Rnic));
        }
        let ueids = ueids();
        for _ in 0..taken {
            match plan(&node, &asked(&ueids), &BTreeSet::new()).steps.first() {
                Some(step) => node = after(node, step),
                None => break,
            }
        }
        let loaded = node.smc_loaded && !node.has_tcp2smc;
        let rest = node.rest.as_mut().unwrap();
        if flags[2] && loaded {
            rest.program = Program::NotInPlace { protocol: 263, other: flags[3] };
            rest.offer = Ok(None);
        }
        if flags[4] {
            rest.guard = GuardPins::Missing;
        }
        if flags[5] {
            rest.anchor = Ok(Some(AnchorLink { index: 4, up: flags[6], local: BTreeSet::new() }));
        }
        if let (true, GuardPins::There { current, .. }) = (flags[9], &mut rest.guard) {
            *current = false;
        }
        if let Some(smc) = &mut rest.smc {
            if flags[7] {
                smc.ueids = Ok(Vec::new());
            }
            smc.has_loopback = flags[8];
        }
        node
    })
}

proptest! {
    #[test]
    fn from_any_state_a_node_is_prepared_within_the_rounds_and_then_nothing_is_due(node in any_node()) {
        let ueids = ueids();
        let asked = asked(&ueids);
        let (node, taken) = settled(node, &asked);
        let due = plan(&node, &asked, &BTreeSet::new());
        prop_assert_eq!(due, Plan::default());
        for (number, step) in taken.iter().enumerate() {
            prop_assert!(!taken[..number].contains(step), "taken twice: {}", step);
        }
        let rest = node.rest.as_ref().unwrap();
        let current = matches!(rest.guard, GuardPins::There { current: true, .. });
        let works = matches!(rest.program, Program::InPlace { .. }) || node.has_tcp2smc;
        prop_assert!(works && current);
        let ueids: &[Ueid] = rest.smc.as_ref().unwrap().ueids.as_deref().unwrap();
        prop_assert_eq!(ueids, asked.ueids);
    }

    #[test]
    fn no_step_is_planned_twice_and_none_touches_what_nobody_could_look_at(node in any_node()) {
        let mut node = node;
        let rest = rest(&mut node);
        rest.anchor = Err(String::new());
        rest.own_addresses = Err(String::new());
        if let Some(smc) = &mut rest.smc {
            (smc.ports, smc.ueids) = (Err(String::new()), Err(String::new()));
        }
        let ueids = ueids();
        let due = plan(&node, &asked(&ueids), &BTreeSet::new()).steps;
        for (number, step) in due.iter().enumerate() {
            prop_assert!(!due[..number].contains(step));
            let touches = matches!(
                step,
                Step::MakeAnchorLink
                    | Step::KeepAnchorDown { .. }
                    | Step::StripSources { .. }
                    | Step::NamePort { .. }
                    | Step::AddUeid(_)
            );
            prop_assert!(!touches, "{}", step);
        }
    }
}
