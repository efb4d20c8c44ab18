use super::*;

fn runtime(name: &str, version: &str) -> RuntimeVersion {
    RuntimeVersion::parse(name, version).unwrap()
}

fn auto(runtime: Option<&RuntimeVersion>, list_takes_drop_ins: Option<bool>, writable: bool) -> Choice {
    choose(Mode::Auto, &Facts { runtime, list_takes_drop_ins, writable, has_drop_in: false }).unwrap()
}

#[test]
fn drop_ins_are_read_by_containerd_2_1_and_cri_o_1_33_and_newer() {
    for (name, version, reads) in [
        ("containerd", "1.6.20~ds1", Some(false)),
        ("containerd", "v1.7.24", Some(false)),
        ("containerd", "v2.0.5-k3s2.32", Some(false)),
        ("containerd", "v2.1.5", Some(true)),
        ("containerd", "3.0.0-rc.1", Some(true)),
        ("cri-o", "1.32.9", Some(false)),
        ("cri-o", "1.33.0", Some(true)),
        ("docker", "28.1.1", None),
    ] {
        assert_eq!(runtime(name, version).reads_drop_ins(), reads, "{name} {version}");
    }
    for version in ["", "v", "2", "2.", "2.x", "unknown"] {
        assert_eq!(RuntimeVersion::parse("containerd", version), None, "{version}");
    }
}

#[test]
fn auto_takes_the_first_that_fits_and_says_why() {
    let (old, new) = (runtime("containerd", "v1.7.24"), runtime("containerd", "v2.1.5"));
    let other = runtime("docker", "28.1");
    for (runtime, list, writable, placement, why) in [
        (Some(&new), Some(true), true, Placement::DropIn, "containerd 2.1 reads drop-ins"),
        (Some(&new), Some(false), true, Placement::Inject, "the list takes no drop-ins"),
        (Some(&new), None, true, Placement::Inject, "no list yet"),
        (Some(&old), Some(true), true, Placement::Inject, "containerd 1.7 does not read drop-ins"),
        (Some(&other), Some(true), true, Placement::Inject, "whether docker 28.1 reads drop-ins"),
        (None, Some(true), true, Placement::Inject, "version is not known"),
        (Some(&new), Some(true), false, Placement::Managed, "read-only"),
    ] {
        let choice = auto(runtime, list, writable);
        assert_eq!(choice.placement, placement, "{choice:?}");
        assert!(choice.why.contains(why), "{choice:?}");
    }
}

#[test]
fn a_drop_in_stays_while_the_runtimes_version_is_not_known() {
    let old = runtime("containerd", "v1.7.24");
    for (runtime, list, placement) in [
        (None, Some(true), Placement::DropIn),
        (None, Some(false), Placement::Inject),
        (Some(&old), Some(true), Placement::Inject),
    ] {
        let facts = Facts { runtime, list_takes_drop_ins: list, writable: true, has_drop_in: true };
        assert_eq!(choose(Mode::Auto, &facts).unwrap().placement, placement, "{facts:?}");
    }
}

#[test]
fn what_was_asked_for_is_done_whatever_the_facts() {
    let facts =
        Facts { runtime: None, list_takes_drop_ins: Some(false), writable: false, has_drop_in: false };
    for (mode, placement) in [
        (Mode::DropIn, Some(Placement::DropIn)),
        (Mode::Inject, Some(Placement::Inject)),
        (Mode::Managed, Some(Placement::Managed)),
        (Mode::Off, None),
    ] {
        assert_eq!(choose(mode, &facts).map(|choice| choice.placement), placement);
    }
}
