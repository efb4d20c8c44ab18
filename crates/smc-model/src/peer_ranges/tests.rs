use proptest::prelude::*;

use super::*;

fn ranges(text: &str) -> PeerRanges {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn ranges_and_addresses_of_both_families_are_read_in_any_order_and_with_comments() {
    let all = ranges("10.0.0.0/8, 192.0.2.7\n# the new rack\nfd00::/8   10.0.0.0/8 # again\n");
    assert_eq!(all.to_string(), "10.0.0.0/8, 192.0.2.7/32, fd00::/8");
    for (address, allowed) in
        [("10.255.0.1", true), ("192.0.2.7", true), ("192.0.2.8", false), ("fd12::1", true), ("::1", false)]
    {
        assert_eq!(all.allow(address.parse().unwrap()), allowed, "{address}");
    }
    assert!(!ranges("0.0.0.0/0").allow("fd00::1".parse().unwrap()), "of the other family nobody is named");
}

#[test]
fn what_may_mean_two_things_or_nothing_is_refused_with_what_to_write() {
    let said = |text: &str| text.parse::<PeerRanges>().unwrap_err().to_string();
    let two = said("10.0.0.5/8");
    assert!(two.contains("10.0.0.0/8") && two.contains("or 10.0.0.5 for the address"), "{two}");
    for text in ["10.0.0.0/33", "10.0.0", "any", "10.0.0.0-10.0.0.9", "10.0.0.0/8;fd00::/8"] {
        assert!(said(text).contains("neither an address nor a range"), "{text}");
    }
    for text in ["", "  \n# 10.0.0.0/8\n", ","] {
        assert_eq!(text.parse::<PeerRanges>(), Err(PeerRangesError::Empty));
    }
    let many: Vec<String> = (0..=MAX_RANGES).map(|at| format!("10.{}.{}.0/24", at / 256, at % 256)).collect();
    assert!(said(&many.join(" ")).contains("257 ranges are more than the 256"));
    let of_a_pod = |count: usize| PeerRanges::of_a_pod(&many[..count].join(","));
    assert!(of_a_pod(16).is_ok());
    assert_eq!(of_a_pod(17), Err(PeerRangesError::TooMany { count: 17, most: 16 }));
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused_and_what_was_read_is_read_again(text in "[0-9a-f:./, #\n]{0,40}") {
        if let Ok(ranges) = text.parse::<PeerRanges>() {
            prop_assert_eq!(ranges.to_string().parse::<PeerRanges>(), Ok(ranges.clone()));
            let json = serde_json::to_string(&ranges).unwrap();
            prop_assert_eq!(serde_json::from_str::<PeerRanges>(&json).unwrap(), ranges);
        }
    }
}
