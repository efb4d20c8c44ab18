//! An entry that somebody else placed.

use super::*;

#[test]
fn the_operators_entry_is_neither_moved_nor_removed() {
    let node = TestNode::new();
    let operators = r#"{"cniVersion":"0.4.0","name":"n","plugins":[{"type":"a"},{"type":"smc-cni","capabilities":{"io.kubernetes.cri.pod-annotations":true}},{"type":"b"}]}"#;
    fs::write(node.list(), operators).unwrap();
    let chain = node.keep(Mode::Auto);
    let status = wait_for_status(&chain, |status| status.present.is_some());
    assert_eq!((status.owner, status.insertions), (Some(Owner::Operator), 0));
    // It is lost: then ours takes its place, and gives way when theirs is back.
    fs::write(node.list(), r#"{"cniVersion":"0.4.0","name":"n","plugins":[{"type":"a"}]}"#).unwrap();
    wait_for_status(&chain, |status| status.owner == Some(Owner::Agent) && status.insertions == 1);
    let mut writer = File::options().write(true).truncate(true).open(node.list()).unwrap();
    wait_for_status(&chain, |status| status.present.is_none());
    writer.write_all(operators.as_bytes()).unwrap();
    wait_for_status(&chain, |status| status.owner == Some(Owner::Operator));
    chain.stop();
    assert_eq!(fs::read_to_string(node.list()).unwrap(), operators);
    assert_eq!(remove(&node.conf_dir(), &node.provenance_dir()).unwrap().files.len(), 0);
    assert_eq!(fs::read_to_string(node.list()).unwrap(), operators);
}

#[test]
fn managed_only_looks_and_says_what_is_missing() {
    let node = TestNode::new();
    fs::write(node.list(), list(1)).unwrap();
    let chain = node.keep(Mode::Managed);
    let status = wait_for_status(&chain, |status| status.problem.is_some());
    assert!(status.problem.unwrap().message.contains("eni-config"));
    assert_eq!(fs::read_to_string(node.list()).unwrap(), list(1));
    fs::write(node.list(), with_entry(&list(1))).unwrap();
    let status = wait_for_status(&chain, |status| status.problem.is_none());
    assert_eq!(status.owner, Some(Owner::Operator));
    assert!(node.bin_dir().join("smc-cni").exists(), "the operator's entry needs the program too");
    chain.stop();
}
