use std::error::Error;

use super::*;

fn refused(errno: nix::errno::Errno) -> libbpf_rs::Error {
    libbpf_rs::Error::from_raw_os_error(errno as i32)
}

#[test]
fn the_capability_is_missed_in_a_default_container_and_not_in_the_agents_own() {
    let agents = "Name:\tx\nCapEff:\t0000000001281000\n";
    for capability in [SYS_ADMIN, SYS_RESOURCE] {
        assert!(lacks(capability, "CapEff:\t00000000a80425fb\n"));
        assert!(!lacks(capability, agents));
        assert!(!lacks(capability, "Name:\tx\nCapEff:\t000001ffffffffff\n"));
    }
    assert!(lacks(SYS_RESOURCE, "Name:\tx\nCapEff:\t0000000000281000\n"));
}

#[test]
fn maps_were_locked_memory_before_5_11() {
    for (release, so) in [
        ("5.10.134-17.3.al8.x86_64", true),
        ("4.19.91-27.al7", true),
        ("5.11.0", false),
        ("6.12.117+deb12-amd64", false),
        ("", false),
    ] {
        assert_eq!(counts_maps_as_locked_memory(release), so, "{release}");
    }
}

#[test]
fn an_unreadable_status_accuses_no_capability() {
    assert!(!lacks(SYS_ADMIN, ""));
    assert!(!lacks(SYS_ADMIN, "CapEff:\tnonsense\n"));
}

#[test]
fn the_verifiers_refusal_is_told_as_a_kernel_without_mptcp() {
    let log = "update_socket_protocol() is not modifiable".to_owned();
    let error = explain("load", log, refused(nix::errno::Errno::EINVAL));
    assert!(matches!(error, BpfError::HookNotAllowed(_)));
    assert!(error.remedy().contains("CONFIG_MPTCP"));
}

#[test]
fn a_verifiers_eacces_keeps_its_log() {
    let error = explain("load", "invalid mem access".into(), refused(nix::errno::Errno::EACCES));
    assert!(
        error.to_string().contains("invalid mem access")
            || matches!(error, BpfError::MissingCapability { .. })
    );
}

#[test]
fn another_refusal_keeps_the_log_and_the_errno() {
    let error = explain("load the program", "R1 type=scalar".into(), refused(nix::errno::Errno::E2BIG));
    assert_eq!(error.to_string(), "cannot load the program; messages: R1 type=scalar");
    assert!(error.source().unwrap().to_string().contains("os error 7"), "{error:?}");
}
