use smc_model::Side;

use super::*;

fn failures(code: u32, peer_diagnosis: u32, diagnosis: Option<Reason>) -> Failures {
    let failure = Failure::Fallback { code, peer_diagnosis, ipv6_socket: false, side: Some(Side::Client) };
    Failures { count: 3, failure, diagnosis }
}

fn words(failures: Failures) -> String {
    degraded(&LiveVerdict::Degraded { cause: None, failures: vec![failures] })
}

#[test]
fn a_degradation_is_told_by_the_fault_behind_it_with_what_to_do_and_the_kernels_word() {
    let ueids = vec!["MINE".parse().unwrap()];
    let told = words(failures(0x0500_0000, 0x0303_0000, Some(Reason::UeidsDiffer { ueids })));
    for part in ["3 × UeidsDiffer", "(MINE)", "PeerDeclined (0x05000000", "give both nodes a common UEID"] {
        assert!(told.contains(part), "{part}: {told}");
    }
}

#[test]
fn where_no_fault_is_known_the_peers_own_reason_is_to_be_explained() {
    let told = words(failures(0x0500_0000, 0x0303_0002, None));
    assert!(told.contains("run `smcctl explain NoSmcrDevice` on the node"), "{told}");
    let told = words(failures(0x0201_0000, 0, None));
    assert!(told.contains("run `smcctl explain RdmaTimeout` on the node"), "{told}");
}
