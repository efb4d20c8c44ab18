//! What holds for every node and pod.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::generate::{config, kernel};
use super::kernel::Kernel;
use crate::{
    Anchor, Conversion, Guard, InterfaceKind, KernelFamily, PodConversion, PodInterface, RdmaNetnsMode,
    RdmaPort, Step, Switch, decide,
};

fn converts(step: &Step) -> bool {
    matches!(step, Step::ConvertBySysctl { .. } | Step::ConvertByBpf { .. })
}

/// The address whose anchor a step works on.
fn address_of(step: &Step) -> Option<Ipv4Addr> {
    match step {
        Step::HoldRoute { address, .. }
        | Step::AnchorAddress { address, .. }
        | Step::DropLocalRoute { address, .. }
        | Step::ReleaseRoute { address, .. } => Some(*address),
        Step::Guard { .. }
        | Step::DropPnetid { .. }
        | Step::SetPnetid { .. }
        | Step::ConvertBySysctl { .. }
        | Step::ConvertByBpf { .. } => None,
    }
}

/// Whether the kernel would take `port` for connections from `interface`, as far as addresses go.
fn in_reach(kernel: &Kernel, port: &RdmaPort, interface: &PodInterface) -> bool {
    let nets = port.netdev.iter().flat_map(|netdev| &netdev.addresses);
    let same_subnet = |net: &crate::Ipv4Net, address| {
        let bits = 32 - u32::from(net.prefix_length());
        u32::from(net.address()) >> bits == u32::from(address) >> bits
    };
    kernel.node.kernel.family == KernelFamily::Alibaba
        || nets.into_iter().any(|net| interface.addresses.iter().any(|own| same_subnet(net, own.address())))
}

/// The interface whose port the pod cannot do without.
fn main_interface(kernel: &Kernel) -> Option<&PodInterface> {
    let candidates = || kernel.interfaces.iter().filter(|i| i.routed && !i.addresses.is_empty());
    candidates().find(|i| i.name == kernel.primary).or_else(|| candidates().next())
}

/// The names of all reasons there are to refuse this pod.
fn missing(kernel: &Kernel) -> BTreeSet<&'static str> {
    let node = &kernel.node;
    let mut reasons = BTreeSet::new();
    let mut need = |fact: bool, otherwise: &'static str| {
        if !fact {
            reasons.insert(otherwise);
        }
    };
    need(node.smc_loaded, "SmcNotAvailable");
    need(!matches!(node.conversion, Conversion::None { .. }), "NoConversion");
    need(node.rdma_netns_mode == RdmaNetnsMode::Shared, "RdmaNetnsExclusive");
    need(!node.ports.is_empty() && !node.only_looked_at, "NoRdmaDevice");
    need(!node.ueids.is_empty(), "NoUeid");
    need(!matches!(node.guard, Guard::Missing { .. }), "SameNodeGuardMissing");
    need(node.refused_defects.is_empty(), "KernelDefects");
    let filters = node.guard_pins.is_some() || (node.inbound.is_any() && kernel.peers.is_none());
    let few = kernel.peers.is_none()
        || kernel.observe().addresses_to_guard().len() <= crate::MAX_ADDRESSES_WITH_RANGES;
    need(few && (filters || node.guard != Guard::NotNeeded), "PeerFilterMissing");
    let main_is_led_to = main_interface(kernel).is_none_or(|main| {
        main.kind == InterfaceKind::Direct
            || main.addresses.iter().any(|net| kernel.leads_to_pod(net.address()))
    });
    let can_anchor = match node.anchor {
        Anchor::NotNeeded => true,
        Anchor::Missing { .. } => kernel.addresses_of_pairs().is_empty(),
        Anchor::Ready { .. } => main_is_led_to,
    };
    need(can_anchor, "SourceAnchorMissing");
    need(node.switch == Switch::On, "SwitchedOff");
    let main = main_interface(kernel);
    need(main.is_some(), "NoIpv4Route");
    if let Some(main) = main {
        let near: Vec<_> = node.ports.iter().filter(|port| in_reach(kernel, port, main)).collect();
        let up = || near.iter().filter(|port| port.active);
        need(!near.is_empty() || node.ports.is_empty(), "NoDeviceInSubnet");
        need(near.is_empty() || up().next().is_some(), "RdmaPortDown");
        need(up().next().is_none() || up().any(|port| port.pnetid.is_some()), "PnetidMissing");
    }
    reasons
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_pod_is_refused_exactly_when_a_needed_fact_is_missing(kernel in kernel()) {
        let missing = missing(&kernel);
        match decide(&kernel.node, &kernel.observe()) {
            Ok(_) => prop_assert!(missing.is_empty(), "accepted in spite of {:?}", missing),
            Err(reason) => prop_assert!(missing.contains(reason.name()), "{}, but: {:?}", reason, missing),
        }
    }

    #[test]
    fn deciding_again_after_all_steps_gives_none_and_the_same_bindings(kernel in kernel()) {
        if let Ok(plan) = decide(&kernel.node, &kernel.observe()) {
            let after = kernel.after(&plan.steps).unwrap();
            let again = decide(&after.node, &after.observe()).unwrap();
            prop_assert_eq!(&again.steps, &[]);
            prop_assert_eq!(again.bindings, plan.bindings);
        }
    }

    #[test]
    fn every_step_changes_something(kernel in kernel()) {
        if let Ok(plan) = decide(&kernel.node, &kernel.observe()) {
            let states = kernel.states(&plan.steps).unwrap();
            for (step, pair) in plan.steps.iter().zip(states.windows(2)) {
                prop_assert!(pair[0] != pair[1], "{} did nothing", step);
            }
        }
    }

    #[test]
    fn conversion_is_the_last_step_and_every_prefix_leaves_the_pod_unconverted(kernel in kernel()) {
        if let Ok(plan) = decide(&kernel.node, &kernel.observe()) {
            let conversions = plan.steps.iter().filter(|step| converts(step)).count();
            let pod = kernel.observe();
            let by_sysctl = kernel.node.conversion == Conversion::Tcp2smc;
            let wrong = pod.mptcp != pod.keep_mptcp && (pod.mptcp || !by_sysctl);
            let mptcp_anew = pod.conversion == PodConversion::Ours && wrong;
            let converts_now = pod.conversion == PodConversion::Off;
            prop_assert_eq!(conversions, usize::from(converts_now || mptcp_anew));
            if converts_now {
                prop_assert!(plan.steps.last().is_some_and(converts));
                let states = kernel.states(&plan.steps).unwrap();
                let (last, before) = states.split_last().unwrap();
                prop_assert_eq!(last.conversion, PodConversion::Ours);
                prop_assert!(before.iter().all(|state| state.conversion == PodConversion::Off));
            }
        }
    }

    #[test]
    fn somebody_elses_conversion_is_adopted_and_noted(kernel in kernel()) {
        if let Ok(plan) = decide(&kernel.node, &kernel.observe()) {
            let noted = plan.notes.contains(&crate::Note::ConversionAdopted);
            prop_assert_eq!(noted, kernel.conversion == PodConversion::Foreign);
        }
    }

    #[test]
    fn the_host_never_owns_an_address_of_the_pod_between_two_steps(kernel in kernel()) {
        if let Ok(plan) = decide(&kernel.node, &kernel.observe()) {
            let states = kernel.states(&plan.steps).unwrap();
            for address in kernel.addresses() {
                // Only an earlier run can have left it so; then the first step on the address must end it.
                let first = plan.steps.iter().position(|step| address_of(step) == Some(address));
                let Some(first) = first else { continue };
                for (n, state) in states[first + 1..].iter().enumerate() {
                    prop_assert!(!state.host[&address].owned_by_host(), "{address} {} steps after the first", n);
                }
            }
        }
    }

    #[test]
    fn each_address_to_anchor_takes_what_it_lacks_of_the_three_sub_steps_once_and_in_order(kernel in kernel()) {
        if let Ok(plan) = decide(&kernel.node, &kernel.observe()) {
            let steps: Vec<Step> =
                plan.steps.iter().filter(|step| address_of(step).is_some()).cloned().collect();
            let mut expected = Vec::new();
            if kernel.node.anchor != Anchor::NotNeeded {
                for address in kernel.addresses_to_anchor() {
                    let host = kernel.host[&address];
                    if !host.held {
                        let towards_pod = host.towards_pod.unwrap();
                        expected.push(Step::HoldRoute { address, towards_pod, source: None });
                    }
                    if !host.anchored {
                        expected.push(Step::AnchorAddress { address, anchor: 7 });
                        expected.push(Step::DropLocalRoute { address, anchor: 7 });
                    }
                }
            }
            prop_assert_eq!(steps, expected);
        }
    }

    #[test]
    fn in_the_end_mptcp_is_left_alone_exactly_where_the_pods_owner_keeps_it(kernel in kernel()) {
        if let Ok(plan) = decide(&kernel.node, &kernel.observe()) {
            let after = kernel.after(&plan.steps).unwrap();
            if after.conversion == PodConversion::Ours {
                // By the sysctl it is not switched on where somebody else has it off.
                let by_sysctl = kernel.node.conversion == Conversion::Tcp2smc;
                let kept = kernel.keep_mptcp && (kernel.mptcp || !by_sysctl);
                prop_assert_eq!(after.mptcp, kept);
            } else {
                prop_assert_eq!(after.mptcp, kernel.mptcp);
            }
        }
    }

    #[test]
    fn in_the_end_every_address_is_guarded_and_anchored_where_the_node_needs_it(kernel in kernel()) {
        if let Ok(plan) = decide(&kernel.node, &kernel.observe()) {
            let after = kernel.after(&plan.steps).unwrap();
            if kernel.node.guard_for_pods().is_some() {
                let guarded = kernel.observe().addresses_to_guard();
                prop_assert!(kernel.peers.is_none() || guarded.is_subset(&after.said));
                prop_assert!(kernel.observe().addresses_to_guard().is_subset(&after.guard));
                prop_assert!(after.interfaces.iter().all(|interface| interface.guarded));
            } else {
                prop_assert_eq!(&kernel.guard, &after.guard);
            }
            if kernel.node.anchor == Anchor::NotNeeded {
                prop_assert_eq!(&kernel.host, &after.host);
            } else {
                for address in kernel.addresses_to_anchor() {
                    let host = after.host[&address];
                    prop_assert!(host.anchored && host.held, "{address}: {:?}", host);
                }
            }
            for (address, host) in &kernel.host {
                let untouched = !kernel.addresses_to_anchor().contains(address);
                prop_assert!(!untouched || after.host[address] == *host, "{address} is not to be anchored");
            }
        }
    }

    #[test]
    fn every_routed_interface_ends_up_with_the_pnetid_of_a_port_that_works(kernel in kernel()) {
        if let Ok(plan) = decide(&kernel.node, &kernel.observe()) {
            let after = kernel.after(&plan.steps).unwrap();
            let routed: Vec<_> = after.interfaces.iter().filter(|i| i.routed).collect();
            let bound: Vec<_> = plan.bindings.iter().map(|b| b.interface.as_str()).collect();
            prop_assert_eq!(bound, routed.iter().map(|i| i.name.as_str()).collect::<Vec<_>>());
            let main = main_interface(&kernel).unwrap();
            let of_main = plan.bindings.iter().find(|b| b.interface == main.name).unwrap();
            for (binding, interface) in plan.bindings.iter().zip(routed) {
                prop_assert_eq!(interface.pnetid.as_ref(), Some(&binding.pnetid));
                let port = kernel.node.ports.iter().find(|p| p.device == binding.device && p.port == binding.port);
                let port = port.unwrap();
                prop_assert!(port.active);
                prop_assert_eq!(port.pnetid.as_ref(), Some(&binding.pnetid));
                let shares = (&binding.device, binding.port) == (&of_main.device, of_main.port);
                let near = if shares { main } else { interface };
                prop_assert!(in_reach(&kernel, port, near), "{} is out of reach", port);
                // The kernel takes the first port with the id that works, whatever we name.
                let first = kernel.node.ports.iter().find(|p| {
                    p.active && p.pnetid == port.pnetid && in_reach(&kernel, p, near)
                });
                prop_assert_eq!(first, Some(port));
            }
        }
    }

    #[test]
    fn interfaces_that_no_port_serves_share_the_main_ones(kernel in kernel()) {
        if let Ok(plan) = decide(&kernel.node, &kernel.observe()) {
            let main = main_interface(&kernel).unwrap();
            let of_main = plan.bindings.iter().find(|b| b.interface == main.name).unwrap();
            for binding in &plan.bindings {
                let interface = kernel.interfaces.iter().find(|i| i.name == binding.interface).unwrap();
                let serves = |p: &&RdmaPort| p.active && p.pnetid.is_some() && in_reach(&kernel, p, interface);
                if !kernel.node.ports.iter().any(|port| serves(&port)) {
                    prop_assert_eq!((&binding.device, binding.port), (&of_main.device, of_main.port));
                }
            }
        }
    }

    #[test]
    fn an_interface_keeps_a_pnetid_that_works(kernel in kernel()) {
        if let Ok(plan) = decide(&kernel.node, &kernel.observe()) {
            for binding in &plan.bindings {
                let interface = kernel.interfaces.iter().find(|i| i.name == binding.interface).unwrap();
                let works = |p: &&RdmaPort| p.active && p.pnetid == interface.pnetid && in_reach(&kernel, p, interface);
                if interface.pnetid.is_some() && kernel.node.ports.iter().any(|port| works(&port)) {
                    prop_assert_eq!(Some(&binding.pnetid), interface.pnetid.as_ref());
                }
            }
        }
    }

    #[test]
    fn exactly_the_replaced_pnetids_are_noted(kernel in kernel()) {
        if let Ok(plan) = decide(&kernel.node, &kernel.observe()) {
            let replaced = plan.bindings.iter().filter_map(|binding| {
                let interface = kernel.interfaces.iter().find(|i| i.name == binding.interface).unwrap();
                let stale = interface.pnetid.clone().filter(|id| *id != binding.pnetid)?;
                Some(crate::Note::StalePnetidReplaced { interface: interface.name.clone(), stale })
            });
            let noted = plan.notes.iter().filter(|note| **note != crate::Note::ConversionAdopted);
            prop_assert_eq!(replaced.collect::<Vec<_>>(), noted.cloned().collect::<Vec<_>>());
        }
    }
}
