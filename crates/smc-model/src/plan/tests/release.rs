//! What remains of a pod after its release, however far its set-up got.

use std::collections::BTreeSet;
use std::net::IpAddr;

use proptest::collection::btree_set;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::generate::{config, kernel, pod_addresses};
use super::kernel::Kernel;
use crate::{Conversion, NetnsCookie, Owned, PodConversion, Release, Step, decide, release};

const COOKIE: NetnsCookie = NetnsCookie(4711);

/// Whether the pod's namespace is in the BPF program's map.
fn in_map(kernel: &Kernel) -> bool {
    kernel.conversion == PodConversion::Ours && matches!(kernel.node.conversion, Conversion::Bpf { .. })
}

fn undo(kernel: &mut Kernel, step: &Release) {
    match step {
        Release::Unconvert { map, cookie } => {
            let Conversion::Bpf { map: pinned, .. } = &kernel.node.conversion else {
                panic!("there is no map to take {cookie} out of")
            };
            assert_eq!((map, *cookie), (pinned, COOKIE));
            kernel.conversion = PodConversion::Off;
        }
        Release::Unanchor { address } => {
            let host = kernel.host.get_mut(address).unwrap();
            (host.anchored, host.local) = (false, false);
        }
        Release::Unhold { address } => kernel.host.get_mut(address).unwrap().held = false,
        Release::Unguard { address, .. } => {
            kernel.guard.remove(address);
        }
        Release::AllowAll { address, .. } => drop(kernel.said.remove(address)),
    }
}

/// What a record would own after `steps` were planned for the pod.
fn owned(kernel: &Kernel, steps: &[Step]) -> Owned {
    Owned::default().after(steps, &kernel.observe(), &kernel.node, Some(COOKIE))
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn nothing_of_a_released_pod_remains_but_what_others_own(
        kernel in kernel(),
        stop in any::<Index>(),
        others in btree_set(select(pod_addresses()).prop_map(IpAddr::V4), 0..4),
    ) {
        // A refused pod has no steps of its own; what an earlier run left is still to go.
        let plan = decide(&kernel.node, &kernel.observe());
        let steps = plan.map(|plan| plan.steps).unwrap_or_default();
        let owned = owned(&kernel, &steps);
        let before = stop.get(&kernel.states(&steps).unwrap()).clone();
        let mut after = before.clone();
        for step in release(&owned, &others) {
            undo(&mut after, &step);
        }

        prop_assert!(!in_map(&after));
        prop_assert_eq!(after.conversion == PodConversion::Foreign, before.conversion == PodConversion::Foreign);
        for address in pod_addresses() {
            let ours_to_guard = kernel.node.guard_for_pods().is_some()
                && (kernel.observe().guarded.contains(&IpAddr::V4(address))
                    || !steps.is_empty() && kernel.observe().addresses_to_guard().contains(&IpAddr::V4(address)));
            let stays = others.contains(&IpAddr::V4(address)) || !ours_to_guard;
            let guards = |kernel: &Kernel| kernel.guard.contains(&IpAddr::V4(address));
            prop_assert_eq!(guards(&after), stays && guards(&before), "{}", address);
            let (host, was) = (after.host[&address], before.host[&address]);
            let gone =
                |owned: &BTreeSet<_>| owned.contains(&address) && !others.contains(&IpAddr::V4(address));
            // All of an address that leads to the pod is the pod's own, whoever of us put it there.
            if kernel.observe().is_led_to(address) {
                prop_assert!(!was.anchored || owned.anchored.contains(&address), "{}", address);
                prop_assert!(!was.held || owned.held.contains(&address), "{}", address);
            }
            prop_assert_eq!(host.anchored, was.anchored && !gone(&owned.anchored), "{}", address);
            prop_assert_eq!(host.held, was.held && !gone(&owned.held), "{}", address);
            prop_assert!(host.anchored || !host.local || !gone(&owned.anchored), "{}", address);
        }
    }

    #[test]
    fn a_pod_is_never_converted_while_its_guard_or_anchor_is_taken_away(kernel in kernel()) {
        if let Ok(plan) = decide(&kernel.node, &kernel.observe()) {
            let mut state = kernel.after(&plan.steps).unwrap();
            for step in release(&owned(&kernel, &plan.steps), &BTreeSet::new()) {
                undo(&mut state, &step);
                prop_assert!(!in_map(&state), "still converted after {:?}", step);
            }
        }
    }

    #[test]
    fn the_host_never_takes_the_packets_of_a_pod_that_ends(kernel in kernel()) {
        if let Ok(plan) = decide(&kernel.node, &kernel.observe()) {
            let mut state = kernel.after(&plan.steps).unwrap();
            let ours = kernel.addresses_to_anchor();
            for step in release(&owned(&kernel, &plan.steps), &BTreeSet::new()) {
                undo(&mut state, &step);
                for address in &ours {
                    prop_assert!(!state.host[address].owned_by_host(), "{address} after {:?}", step);
                }
            }
        }
    }

    #[test]
    fn a_second_run_over_the_same_pod_owns_no_less_and_no_more(kernel in kernel()) {
        if let Ok(plan) = decide(&kernel.node, &kernel.observe()) {
            let first = owned(&kernel, &plan.steps);
            let after = kernel.after(&plan.steps).unwrap();
            let second = first.clone().after(&[], &after.observe(), &after.node, Some(COOKIE));
            prop_assert_eq!(&second, &first);
        }
    }
}

#[test]
fn only_a_sysctl_that_was_set_by_a_step_is_ours() {
    let empty = Owned::default();
    let (node, pod) = (super::examples::alibaba(), super::examples::pod());
    let set = empty.clone().after(&[Step::ConvertBySysctl { mptcp_off: false }], &pod, &node, Some(COOKIE));
    assert!(set.sysctl && set.converted.is_none());
    for conversion in [PodConversion::Ours, PodConversion::Foreign] {
        let found = crate::PodFacts { conversion, ..pod.clone() };
        assert!(!empty.clone().after(&[], &found, &node, Some(COOKIE)).sysctl);
    }
}

#[test]
fn releasing_what_owns_nothing_does_nothing() {
    assert_eq!(release(&Owned::default(), &BTreeSet::new()), Vec::new());
    let only_sysctl = Owned { sysctl: true, ..Owned::default() };
    assert_eq!(release(&only_sysctl, &BTreeSet::new()), Vec::new(), "it goes with the pod's namespace");
}
