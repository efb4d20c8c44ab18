use super::*;

fn names(of: &[&Defect]) -> Vec<&'static str> {
    of.iter().map(|defect| defect.name).collect()
}

fn of(release: &str, version: &str) -> (Vec<&'static str>, Vec<&'static str>) {
    match defects(release, version) {
        Defects::Of { open, unsaid } => (names(&open), names(&unsaid)),
        Defects::OfAVendor => panic!("{release} {version} is a vendor's"),
    }
}

#[test]
fn a_kernel_has_the_defects_that_its_series_was_mended_of_later() {
    let (open, unsaid) =
        of("6.12.117+deb12-amd64", "#1 SMP PREEMPT_DYNAMIC Debian 6.12.117-1~deb12u1 (2026-11-02)");
    assert_eq!((open, unsaid), (vec![], vec!["CVE-2026-80980"]));
    let (open, _) = of("6.12.80", "#1 SMP");
    assert_eq!(open, ["CVE-2026-46027", "CVE-2026-64541", "CVE-2026-74493", "CVE-2026-74692"]);
    assert_eq!(of("7.3.0", "#1 SMP"), (vec![], vec![]));
    assert_eq!(of("7.2.3", "#1").0, ["CVE-2026-80980", "CVE-2026-80986"]);
    // Nobody maintains 6.15.
    assert_eq!(of("6.15.11", "#1").0.len(), 6, "all but 80980, whose first mended series is 6.18");
}

#[test]
fn of_a_series_that_no_record_names_nothing_is_said() {
    let (open, unsaid) = of("6.1.0-50-amd64", "#1 SMP PREEMPT_DYNAMIC Debian 6.1.180-1 (2026-10-01)");
    assert_eq!(open, [""; 0]);
    assert_eq!(unsaid.len(), 6, "all but the one that came with 6.14: {unsaid:?}");
}

#[test]
fn a_vendors_kernel_is_the_vendors_to_tell() {
    for (release, version) in [
        ("5.10.134-17.3.al8.x86_64", "#1 SMP Thu Oct 31 15:09:00 CST 2024"),
        ("6.8.0-45-generic", "#45-Ubuntu SMP PREEMPT_DYNAMIC"),
        ("5.14.0-427.el9.x86_64", "#1 SMP"),
        ("6.6.30-flatcar", "#1 SMP"),
        ("", ""),
    ] {
        assert_eq!(defects(release, version), Defects::OfAVendor, "{release}");
    }
}

#[test]
fn the_tables_series_are_in_order() {
    for defect in &ALL {
        assert!(defect.mended.is_sorted() && !defect.mended.is_empty(), "{}", defect.name);
    }
}
