use std::collections::BTreeSet;

use super::*;

#[test]
fn a_reason_keeps_its_name_in_json() {
    let reason = Reason::NoConversion { kernel: "6.1.0".into(), why: "no IPPROTO_SMC".into() };
    let json = serde_json::to_value(&reason).unwrap();
    assert_eq!(json["reason"], reason.name());
    assert_eq!(serde_json::from_value::<Reason>(json).unwrap(), reason);
}

#[test]
fn what_could_corrupt_a_stream_ends_conversion_and_what_the_kernel_mends_does_not() {
    let why = String::new;
    for reason in [
        Reason::AnnotationInvalid { key: None, value: why() },
        Reason::AnnotationMisspelt { key: why() },
        Reason::InboundPeersInvalid { value: why(), why: why() },
        Reason::PeerFilterMissing { why: why() },
        Reason::KernelDefects { names: Vec::new() },
        Reason::BandwidthLimited { key: why() },
        Reason::SameNodeGuardMissing { why: why() },
        Reason::TooManyAddresses { count: 17 },
        Reason::OwnKernel { runtime: why() },
        Reason::MeshSidecar { mesh: why() },
        Reason::SwitchedOff { why: why() },
        Reason::StepFailed { step: why(), error: why() },
        Reason::ReadBackFailed { missing: why() },
        Reason::BudgetExceeded { during: why() },
    ] {
        assert!(reason.ends_conversion(), "{reason:?}");
    }
    let address = Ipv4Addr::new(10, 0, 0, 21);
    for reason in [
        Reason::RdmaPortDown { port: why() },
        Reason::NoDeviceInSubnet { address, ports: why() },
        Reason::NoRdmaDevice,
        Reason::NoUeid,
        Reason::AgentNotReady { path: why() },
        Reason::CannotObserve { error: why() },
    ] {
        assert!(!reason.ends_conversion(), "{reason:?}");
    }
}

#[test]
fn what_is_a_refusal_fails_a_pod_that_requires_smc_but_for_the_switch_and_a_key_that_asks_for_nothing() {
    let required = |entry: &Entry| entry.policy.required;
    let starts = refusal::ALL.iter().filter(|entry| required(entry) == Required::Starts);
    assert_eq!(starts.map(|entry| entry.name).collect::<Vec<_>>(), ["SwitchedOff"]);
    let key = |key: &str| Reason::AnnotationMisspelt { key: key.to_owned() };
    assert_eq!(key("smc.asm.alibabacloud.com/enable").fails_required(), None);
    let of_peers = key("smc.asm.alibabacloud.com/inbound-peer");
    assert_eq!(of_peers.fails_required(), Some(Failing::Refused));
    let attempt = Reason::BudgetExceeded { during: String::new() };
    assert_eq!(attempt.fails_required(), Some(Failing::Attempt));
}

#[test]
fn a_pods_own_annotations_last_as_long_as_it_and_only_the_switch_is_no_alarm() {
    let names = |is: fn(&Entry) -> bool| {
        refusal::ALL.iter().filter(|entry| is(entry)).map(|entry| entry.name).collect::<BTreeSet<_>>()
    };
    let of_the_pod = names(|entry| entry.policy.lasts == Lasts::AsLongAsThePod);
    let expected = [
        "AnnotationInvalid",
        "AnnotationMisspelt",
        "BandwidthLimited",
        "HostNetworkPod",
        "InboundPeersInvalid",
        "MeshSidecar",
        "OwnKernel",
    ];
    assert_eq!(of_the_pod, expected.into());
    let of_the_moment = names(|entry| entry.policy.lasts == Lasts::ForTheMoment);
    assert_eq!(of_the_moment, ["BudgetExceeded", "CannotObserve", "ReadBackFailed", "StepFailed"].into());
    assert_eq!(names(|entry| !entry.policy.alarm), ["SwitchedOff"].into());
}

#[test]
fn a_limited_pod_is_told_the_annotation_that_lets_it_be_accelerated() {
    let reason = Reason::BandwidthLimited { key: "kubernetes.io/egress-bandwidth".into() };
    assert!(reason.remedy().contains(crate::UNLIMITED_ANNOTATION), "{}", reason.remedy());
    assert!(reason.to_string().contains("kubernetes.io/egress-bandwidth"), "{reason}");
}

#[test]
fn a_kernel_without_conversion_is_told_which_kernels_have_it() {
    let reason = Reason::NoConversion { kernel: "6.1.0-50-amd64".into(), why: "x".into() };
    assert!(reason.to_string().contains("6.1.0-50-amd64"));
    assert!(reason.remedy().contains("5.10.134-17.3") && reason.remedy().contains("6.11"));
}
