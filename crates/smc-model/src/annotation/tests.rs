use proptest::prelude::*;

use super::*;

#[test]
fn a_key_with_a_letter_or_two_wrong_is_misspelt() {
    for key in [
        "smc.asm.alibabacloud.com/enable",
        "smc.asm.alibabacloud.com/Enabled",
        "smc.asm.alibabacloud.com/ENABLED",
        "smc.asm.alibabacloud.com/enalbed",
        "smc.asm.alibabacloud.com/ennabled",
        "smc.asm.alibabaclod.com/enabled",
        "scm.asm.alibabacloud.com/enabled",
        "smc.ams.alibabacloud.com/enabled",
        "smc.asm.alibabacloud.com/enabledd",
        "sms.asm.alibabacloud.com/enabled",
    ] {
        assert_eq!(meant_by(key), Some(ANNOTATION), "{key}");
        let wish = Wish::of([("app", "web"), (key, "true")].into_iter());
        assert_eq!(wish, Wish::Misspelt { key: key.to_owned() });
    }
}

#[test]
fn other_keys_are_nobodys_mistake() {
    for key in [
        ANNOTATION,
        "",
        "enabled",
        "smc.asm.alibabacloud.com/policy",
        "smc.asm.alibabacloud.com/enabled-by",
        "smc.asm.alibabacloud.com/disabled",
        "smc.alibabacloud.com/enabled",
        "k8s.aliyun.com/pod-networks-request",
        "kubernetes.io/config.source.abcd",
        "smc.asm.alibabacloud.com.enabled\u{e4}\u{e4}",
    ] {
        assert_eq!(meant_by(key), None, "{key}");
        assert_eq!(Wish::of([(key, "true")].into_iter()) == Wish::Enabled, key == ANNOTATION);
    }
}

#[test]
fn the_right_key_counts_whatever_stands_beside_it() {
    let wrong = "smc.asm.alibabacloud.com/enable";
    for right in ["true", "false", "yes"] {
        let expected = Wish::from_annotation(Some(right));
        assert_eq!(Wish::of([(wrong, "true"), (ANNOTATION, right)].into_iter()), expected);
        assert_eq!(Wish::of([(ANNOTATION, right), (wrong, "true")].into_iter()), expected);
    }
    assert_eq!(Wish::of([(ANNOTATION, "false"), (ANNOTATION, "true")].into_iter()), Wish::Enabled);
}

#[test]
fn a_bandwidth_limit_stands_in_the_way_until_its_owner_takes_it_that_it_does_not_hold() {
    let on = (ANNOTATION, "true");
    for limit in LIMITS {
        let limited = |accepted| Wish::Limited { key: limit.to_owned(), accepted };
        assert_eq!(Wish::of([on, (limit, "10M")].into_iter()), limited(false));
        assert_eq!(Wish::of([(limit, "10M"), on].into_iter()), limited(false));
        assert_eq!(Wish::of([on, (limit, "10M"), (UNLIMITED_ANNOTATION, "true")].into_iter()), limited(true));
        assert_eq!(Wish::of([on, (limit, "10M"), (UNLIMITED_ANNOTATION, "yes")].into_iter()), limited(false));
        assert_eq!(Wish::of([(ANNOTATION, "false"), (limit, "10M")].into_iter()), Wish::Disabled);
        assert!(limited(true).is_granted() && !limited(false).is_granted());
    }
    assert_eq!(Wish::of([on, (UNLIMITED_ANNOTATION, "true")].into_iter()), Wish::Enabled);
    assert_eq!(meant_by(UNLIMITED_ANNOTATION), None);
}

#[test]
fn who_may_speak_smc_with_a_pod_is_read_or_refused_and_never_guessed() {
    let (on, key) = ((ANNOTATION, "true"), INBOUND_PEERS_ANNOTATION);
    let read = |said: &[(&'static str, &'static str)]| {
        let peers = Particulars::of(said.iter().copied()).peers;
        (Wish::of(said.iter().copied()), peers.map(|ranges| ranges.to_string()))
    };
    assert_eq!(read(&[on]), (Wish::Enabled, None));
    assert_eq!(read(&[on, (key, "10.0.0.0/8")]), (Wish::Enabled, Some("10.0.0.0/8".to_owned())));
    for wrong in ["", "10.0.0.5/8", "all"] {
        let (wish, ranges) = read(&[(key, wrong), on]);
        assert!(matches!(&wish, Wish::InvalidPeers { value, .. } if value == wrong), "{wish:?}");
        assert!(ranges.is_none() && !wish.is_granted());
    }
    for near in ["smc.asm.alibabacloud.com/inbound-peer", "smc.asm.alibabacloud.com/Inbound-Peers"] {
        assert_eq!(read(&[on, (near, "10.0.0.0/8")]).0, Wish::Misspelt { key: near.to_owned() });
        assert_eq!(read(&[on, (near, "x"), (key, "10.0.0.0/8")]).0, Wish::Enabled);
        assert_eq!(read(&[(near, "10.0.0.0/8")]).0, Wish::Disabled, "of a pod that wants nothing");
    }
    assert_eq!(read(&[(key, "nonsense")]).0, Wish::Disabled);
}

#[test]
fn whether_mptcp_is_kept_is_true_or_false_and_never_guessed() {
    let (on, key) = ((ANNOTATION, "true"), KEEP_MPTCP_ANNOTATION);
    let read = |said: &[(&'static str, &'static str)]| {
        (Wish::of(said.iter().copied()), Particulars::of(said.iter().copied()).keep_mptcp)
    };
    assert_eq!(read(&[on]), (Wish::Enabled, false));
    assert_eq!(read(&[on, (key, "true")]), (Wish::Enabled, true));
    assert_eq!(read(&[on, (key, "false")]), (Wish::Enabled, false));
    for wrong in ["", "True", "yes"] {
        let wish = Wish::InvalidParticular { key: key.to_owned(), value: wrong.to_owned() };
        assert_eq!(read(&[(key, wrong), on]), (wish, false));
    }
    let near = "smc.asm.alibabacloud.com/keep-mtpcp";
    assert_eq!(read(&[on, (near, "true")]).0, Wish::Misspelt { key: near.to_owned() });
    let narrow = "smc.asm.alibabacloud.com/inbound-peer";
    let both = [on, (narrow, "10.0.0.0/8"), (key, "true"), (near, "x")];
    assert_eq!(read(&both).0, Wish::Misspelt { key: narrow.to_owned() }, "no restriction is dropped");
    assert_eq!(read(&[(key, "nonsense")]).0, Wish::Disabled);
}

#[test]
fn a_sidecar_is_known_by_what_its_injector_left_and_counts_unless_no_rules_were_made() {
    let mesh = |said: &[(&'static str, &'static str)]| Particulars::of(said.iter().copied()).sidecar;
    let istio = ("sidecar.istio.io/status", "{\"containers\":[\"istio-proxy\"]}");
    assert_eq!(mesh(&[istio]), Some("Istio"));
    assert_eq!(mesh(&[istio, ("sidecar.istio.io/interceptionMode", "TPROXY")]), Some("Istio"));
    assert_eq!(mesh(&[("sidecar.istio.io/interceptionMode", "NONE"), istio]), None);
    assert_eq!(mesh(&[istio, ("inject.istio.io/templates", "gateway")]), None);
    assert_eq!(mesh(&[istio, ("inject.istio.io/templates", "sidecar,mine")]), Some("Istio"));
    let linkerd = ("linkerd.io/proxy-version", "edge-26.1");
    assert_eq!(mesh(&[linkerd, ("sidecar.istio.io/interceptionMode", "NONE")]), Some("Linkerd"));
    assert_eq!(
        mesh(&[("sidecar.istio.io/inject", "true"), ("ambient.istio.io/redirection", "enabled")]),
        None
    );
}

#[test]
fn a_misspelt_key_that_says_false_leaves_the_pod_alone() {
    let wrong = "smc.asm.alibabacloud.com/enable";
    assert_eq!(Wish::of([(wrong, "false")].into_iter()), Wish::Disabled);
    assert_eq!(Wish::of([(wrong, "False")].into_iter()), Wish::Misspelt { key: wrong.to_owned() });
    assert_eq!(Wish::of(std::iter::empty()), Wish::Disabled);
}

proptest! {
    #[test]
    fn any_two_edits_of_the_key_are_found_and_no_key_is_far_from_it(
        edits in prop::collection::vec((0_usize..3, 0_usize..32, b'a'..=b'z'), 0..=2),
    ) {
        let mut key = ANNOTATION.as_bytes().to_vec();
        for (kind, at, letter) in edits {
            let at = at.min(key.len() - 1);
            match kind {
                0 => key[at] = letter,
                1 => drop(key.remove(at)),
                _ => key.insert(at, letter),
            }
        }
        let key = String::from_utf8(key).unwrap();
        prop_assert_eq!(meant_by(&key), (key != ANNOTATION).then_some(ANNOTATION), "{}", key);
    }

    #[test]
    fn keys_of_others_are_plain(key in "[a-z]{1,20}\\.[a-z]{2,8}/[a-z-]{1,12}") {
        prop_assert_eq!(meant_by(&key), None, "{}", key);
    }
}

#[test]
fn only_the_exact_string_true_enables_a_pod() {
    assert_eq!(Wish::from_annotation(Some("true")), Wish::Enabled);
    for value in ["True", "TRUE", "yes", "1", " true", "true ", "", "on"] {
        assert_eq!(Wish::from_annotation(Some(value)), Wish::Invalid(value.to_owned()), "{value:?}");
    }
}

#[test]
fn a_missing_annotation_and_false_leave_the_pod_alone() {
    assert_eq!(Wish::from_annotation(None), Wish::Disabled);
    assert_eq!(Wish::from_annotation(Some("false")), Wish::Disabled);
}
