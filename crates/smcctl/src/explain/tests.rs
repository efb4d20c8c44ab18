use super::*;
use crate::recorded::golden_outcome;

#[test]
fn a_code_a_name_and_a_constant_are_explained_alike() {
    let told = |named| explain(Some(named), Paint::PLAIN).unwrap().text;
    let text = told("0x03010000");
    assert!(text.starts_with("PeerWithoutSmc  0x03010000  SMC_CLC_DECL_PEERNOSMC\n"), "{text}");
    for named in ["50397184", "PeerWithoutSmc", "SMC_CLC_DECL_PEERNOSMC"] {
        assert_eq!(told(named), text);
    }
}

#[test]
fn what_is_unknown_is_a_problem_with_close_names() {
    let outcome = explain(Some("PeerWithoutSMCs"), Paint::PLAIN).unwrap();
    assert_eq!(outcome.status, Status::Problem);
    assert_eq!(outcome.json["close"][0], "PeerWithoutSmc");
    let outcome = explain(Some("peernosmc"), Paint::PLAIN).unwrap();
    assert_eq!(outcome.json["close"][0], "SMC_CLC_DECL_PEERNOSMC");
    let outcome = explain(Some("0x03010001f"), Paint::PLAIN).unwrap();
    assert_eq!(outcome.status, Status::Problem);
    assert!(explain(Some("0x03030010"), Paint::PLAIN).unwrap().text.contains("NoSmcDevice"));
}

#[test]
fn reasons_of_the_kernel_and_our_own_are_explained_as_committed() {
    for named in ["PeerWithoutSmc", "NoRdmaDevice"] {
        golden_outcome(&format!("explain-{named}"), &explain(Some(named), Paint::PLAIN).unwrap());
    }
}

#[test]
fn everything_is_listed() {
    let outcome = explain(None, Paint::PLAIN).unwrap();
    assert_eq!(outcome.json["reasons"].as_array().unwrap().len(), reasons::all().count());
    assert_eq!(outcome.text.lines().count(), reasons::all().count() + 1);
}

#[test]
fn the_table_has_every_code_that_the_wire_formats_name() {
    use smc_abi::fallback::{NOSMCDEV, NOSMCRDEV, PEERDECL, PEERNOSMC, TIMEOUT_CL};
    let names = [NOSMCDEV, NOSMCRDEV, PEERDECL, PEERNOSMC, TIMEOUT_CL].map(smc_model::fallback_label);
    assert_eq!(names, ["NoSmcDevice", "NoSmcrDevice", "PeerDeclined", "PeerWithoutSmc", "RdmaTimeout"]);
}
