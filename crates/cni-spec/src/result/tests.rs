use proptest::prelude::*;

use super::*;
use crate::config::NetworkConfig;

fn parse(text: &str) -> PrevResult {
    PrevResult::parse(serde_json::from_str(text).unwrap())
}

fn ip_net(address: &str, prefix: u8, interface: Option<usize>) -> IpNet {
    IpNet { address: address.parse().unwrap(), prefix, interface }
}

/// Terway's shape in 0.4.0: the sandbox is a container id, there is no hardware address.
const TERWAY: &str = r#"{
  "cniVersion": "0.4.0",
  "interfaces": [ { "name": "eth0", "sandbox": "c7ad0bb0dbd8" } ],
  "ips": [ { "version": "4", "interface": 0, "address": "10.1.2.3/24", "gateway": "10.1.2.253" },
           { "version": "6", "interface": 0, "address": "fd00::7/64" } ],
  "dns": {}
}"#;

/// The same in 1.0.0, as the bridge plugin has it.
const BRIDGE: &str = r#"{"cniVersion":"1.0.0","interfaces":[{"name":"cni0","mac":"aa:bb:cc:dd:ee:ff"},
  {"name":"veth1","mac":"00:00:00:00:00:01"},{"name":"eth0","mac":"02:00:00:00:00:02","mtu":1500,
  "sandbox":"/run/netns/cni-1"}],"ips":[{"interface":2,"address":"10.88.0.2/16","gateway":"10.88.0.1"}],
  "routes":[{"dst":"0.0.0.0/0"}],"dns":{}}"#;

#[test]
fn a_0_4_0_result_is_read() {
    let result = parse(TERWAY);
    assert_eq!(result.ips(), [ip_net("10.1.2.3", 24, Some(0)), ip_net("fd00::7", 64, Some(0))]);
    assert_eq!(
        result.interfaces(),
        [Interface { name: "eth0".to_owned(), mac: None, sandbox: Some("c7ad0bb0dbd8".to_owned()) }]
    );
}

#[test]
fn a_1_0_0_result_is_read() {
    let result = parse(BRIDGE);
    assert_eq!(result.ips(), [ip_net("10.88.0.2", 16, Some(2))]);
    let names: Vec<_> = result.interfaces().iter().map(|interface| interface.name.as_str()).collect();
    assert_eq!(names, ["cni0", "veth1", "eth0"]);
    assert_eq!(result.interfaces()[0].sandbox, None);
    assert_eq!(result.interfaces()[2].mac.as_deref(), Some("02:00:00:00:00:02"));
}

#[test]
fn what_is_missing_or_of_another_shape_is_empty() {
    for text in ["{}", r#"{"ips":null,"interfaces":null}"#, r#"{"ips":{},"interfaces":7}"#, "[]", "null", "3"]
    {
        assert_eq!(parse(text), PrevResult::default(), "{text}");
    }
}

#[test]
fn an_unreadable_address_is_skipped_and_the_others_are_kept() {
    let result = parse(
        r#"{"ips":[{"address":"10.0.0.1/33"},{"address":"x/8"},{"address":5},7,{},{"address":"10.0.0.2"},
           {"address":"::1/129"},{"address":"10.0.0.3/"},{"address":"10.0.0.4/8","interface":3},
           {"address":"10.0.0.5/8","interface":-1}]}"#,
    );
    assert_eq!(
        result.ips(),
        [ip_net("10.0.0.2", 32, None), ip_net("10.0.0.4", 8, None), ip_net("10.0.0.5", 8, None)]
    );
}

#[test]
fn an_unreadable_interface_keeps_its_place() {
    let result =
        parse(r#"{"interfaces":[7,{"name":"eth0"}],"ips":[{"address":"10.0.0.1/8","interface":1}]}"#);
    assert_eq!(result.interfaces()[0], Interface::default());
    assert_eq!(result.ips()[0].interface.map(|index| result.interfaces()[index].name.as_str()), Some("eth0"));
}

#[test]
fn the_previous_result_is_passed_on_byte_for_byte() {
    let result = "{ \"z\" :1e2,\t\"a\":\"\\u00e9\\/\",\n \"ips\": [ ],\"a\":{} }";
    let stdin =
        format!("{{\"cniVersion\":\"0.4.0\",\"name\":\"n\",\"prevResult\" : {result} ,\"type\":\"t\"}}");
    let config = NetworkConfig::parse(stdin.as_bytes()).unwrap();
    assert_eq!(success(config.prev_result).unwrap(), result.as_bytes());
}

#[test]
fn without_a_previous_result_there_is_no_success() {
    let error = success(None).unwrap_err();
    assert_eq!(error.code, 7);
    assert!(error.msg.contains("chained after another"));
}

proptest! {
    #[test]
    fn any_previous_result_is_passed_on_and_looked_at(value in crate::config::tests::json_object()) {
        let text = serde_json::to_string_pretty(&value).unwrap();
        let stdin = format!(r#"{{"cniVersion":"1.0.0","name":"n","type":"t","prevResult":{text}}}"#);
        let config = NetworkConfig::parse(stdin.as_bytes()).unwrap();
        prop_assert_eq!(success(config.prev_result).unwrap(), text.as_bytes());
        let view = PrevResult::parse(config.prev_result.unwrap());
        prop_assert!(view.ips().iter().all(|ip| ip.interface.is_none_or(|index| index < view.interfaces().len())));
    }
}
