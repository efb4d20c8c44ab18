use std::collections::BTreeSet;

use super::*;

#[test]
fn every_name_code_and_constant_is_unique() {
    let all: Vec<&Entry> = all().collect();
    let mut seen = BTreeSet::new();
    for entry in &all {
        for name in names(entry) {
            assert!(seen.insert(name.to_ascii_lowercase()), "{name} stands twice");
        }
    }
    let codes: Vec<u32> = fallbacks().filter_map(|entry| entry.kernel).map(|kernel| kernel.code).collect();
    assert!(codes.is_sorted_by(|a, b| a < b), "{codes:x?}");
    assert_eq!(codes.len(), fallbacks().count());
}

#[test]
fn every_code_of_mainline_is_there() {
    // net/smc/smc_clc.h of Linux 7.2; the same set as in 6.12.
    let groups: &[(u32, u32)] = &[
        (0x0101_0000, 1),
        (0x0201_0000, 1),
        (0x0202_0000, 1),
        (0x0300_0000, 1),
        (0x0301_0000, 1),
        (0x0302_0000, 1),
        (0x0303_0000, 12),
        (0x0304_0000, 1),
        (0x0305_0000, 1),
        (0x0306_0000, 1),
        (0x0307_0000, 1),
        (0x0308_0000, 1),
        (0x0309_0000, 1),
        (0x030a_0000, 1),
        (0x030b_0000, 1),
        (0x030c_0000, 1),
        (0x030d_0000, 1),
        (0x030e_0000, 1),
        (0x030f_0000, 1),
        (0x0400_0000, 1),
        (0x0500_0000, 1),
        (0x0999_0000, 4),
    ];
    let mainline: BTreeSet<u32> = groups.iter().flat_map(|&(first, count)| first..first + count).collect();
    let of = |alibaba: bool| {
        let codes = fallbacks().filter_map(|entry| entry.kernel);
        codes
            .filter(|kernel| kernel.alibaba_only == alibaba)
            .map(|kernel| kernel.code)
            .collect::<BTreeSet<_>>()
    };
    assert_eq!(of(false), mainline);
    assert_eq!(of(true), BTreeSet::from([0x0301_0001, 0x0303_000c, 0x0999_0004]));
}

#[test]
fn names_are_fit_for_labels_and_events() {
    for entry in all() {
        let letters = entry.name.bytes().all(|byte| byte.is_ascii_alphanumeric());
        assert!(
            letters && entry.name.starts_with(|first: char| first.is_ascii_uppercase()),
            "{}",
            entry.name
        );
    }
}

#[test]
fn every_entry_says_something_in_every_field_and_ends_no_sentence() {
    for entry in all() {
        assert!(!entry.causes.is_empty(), "{}", entry.name);
        let texts = entry.causes.iter().flat_map(|cause| [cause.what, cause.check]);
        for text in texts.chain([entry.seen, entry.meaning, entry.remedy]) {
            assert!(
                !text.is_empty() && !text.ends_with('.') && !text.contains("  "),
                "{}: {text:?}",
                entry.name
            );
        }
    }
}

#[test]
fn a_reason_is_found_by_code_name_and_constant() {
    for text in [
        "0x03010000",
        "0X03010000",
        "50397184",
        "PeerWithoutSmc",
        "peerwithoutsmc",
        "SMC_CLC_DECL_PEERNOSMC",
        " 0x3010000 ",
    ] {
        assert_eq!(find(text).map(|entry| entry.name), Some("PeerWithoutSmc"), "{text:?}");
    }
    for text in ["0x1", "1", "Peer", "PEERNOSMC", ""] {
        assert_eq!(find(text), None, "{text:?}");
    }
}

#[test]
fn codes_have_labels_and_unknown_ones_have_one_too() {
    assert_eq!(fallback_label(0x0301_0000), "PeerWithoutSmc");
    assert_eq!(fallback_label(0x0301_0001), "ChosenTcp");
    assert_eq!(fallback_label(0x1234), UNKNOWN_FALLBACK);
    assert_eq!(fallback_seen(0x0500_0000), "peer declined");
    assert_eq!(fallback_seen(0x1234), "unknown reason");
}
