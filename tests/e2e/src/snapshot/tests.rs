use serde_json::json;

use super::*;

fn printed(address: &Value, route: &Value, ruleset: &str) -> String {
    let links = json!([{"ifname": "lo", "addr_info": []}, {"ifname": "eth0", "addr_info": [address]}]);
    let routes = json!([{"dst": "default", "gateway": "10.0.0.1", "dev": "eth0", "flags": []}, route]);
    format!(
        "{ruleset}\n@@address\n{links}\n@@rule\n\n@@route\n{routes}\n@@rest\nnew TCP sockets are SMC: true\n"
    )
}

fn address() -> Value {
    json!({
        "family": "inet6", "local": "fd00::2", "prefixlen": 64, "scope": "global",
        "valid_life_time": 86400, "preferred_life_time": 14400,
    })
}

fn route() -> Value {
    json!({"type": "unicast", "dst": "10.0.0.7", "dev": "kubesmc0", "table": "local", "flags": []})
}

#[test]
fn what_the_kernel_changes_by_itself_makes_no_difference() {
    let before = settled(&printed(&address(), &route(), "counter packets 1 bytes 60 accept"));
    let mut later = address();
    for (field, value) in [
        ("tentative", json!(true)),
        ("dadfailed", json!(true)),
        ("valid_life_time", json!(86399)),
        ("preferred_life_time", json!(14399)),
    ] {
        later[field] = value;
        let mut route = route();
        route["flags"] = json!(["linkdown"]);
        route["expires"] = json!(300);
        let after = settled(&printed(&later, &route, "counter packets 2 bytes 120 accept"));
        assert_eq!(after, before, "{field}");
    }
    let with_link_local = printed(&address(), &route(), "counter packets 1 bytes 60 accept").replace(
        r#""addr_info":[]"#,
        r#""addr_info":[{"family":"inet6","local":"fe80::1","prefixlen":64,"scope":"link","tentative":true}]"#,
    );
    assert!(with_link_local.contains("fe80::1"));
    assert_eq!(settled(&with_link_local), before);
}

#[test]
fn what_somebody_changed_does() {
    let before = settled(&printed(&address(), &route(), "accept"));
    for line in [
        "ruleset: accept",
        "address: eth0 inet6 fd00::2/64 scope global",
        r#""dst":"10.0.0.7""#,
        "rest: new TCP sockets are SMC: true",
    ] {
        assert!(before.contains(line), "{line}: {before}");
    }
    let mut longer = address();
    longer["prefixlen"] = json!(128);
    let mut elsewhere = route();
    elsewhere["dev"] = json!("eth0");
    for after in [
        printed(&longer, &route(), "accept"),
        printed(&address(), &elsewhere, "accept"),
        printed(&address(), &route(), "drop"),
        printed(&address(), &route(), "accept").replace("SMC: true", "SMC: false"),
    ] {
        assert_ne!(settled(&after), before, "{after}");
    }
}

#[test]
fn the_script_prints_what_is_read_here() {
    let output = std::process::Command::new("sh").args(["-c", SCRIPT]).output().unwrap();
    let text = settled(&String::from_utf8(output.stdout).unwrap());
    assert!(text.contains("address: lo inet 127.0.0.1/8 scope host"), "{text}");
    assert!(text.contains("rule: ") && text.contains("route: "), "{text}");
}
