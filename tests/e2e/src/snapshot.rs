//! What `ip` and `nft` print of a node, without what the kernel changes by itself.
//!
//! Two such texts are compared by tests that nothing changed in between. Duplicate address detection, lifetimes, the state of
//! a carrier, counters and expiry times change all the time; IPv6's link-local addresses come when a link does.

use std::fmt::Write as _;

use serde_json::Value;

/// Begins a line of [`SCRIPT`]'s output that says what follows.
const MARK: &str = "@@";

/// Prints what [`settled`] reads; the rest of what is to be compared may follow after it.
pub(crate) const SCRIPT: &str = "nft --stateless list ruleset
    echo; echo @@address; ip -j address
    echo; echo @@rule; ip -j rule
    echo; echo @@route; ip -j -4 route show table all
    echo; echo @@rest";

/// The script's output as text to be compared: a line for each address, rule and route, the rest as it is.
///
/// # Panics
/// When a part of it is not what `ip` prints.
pub(crate) fn settled(output: &str) -> String {
    let mut text = String::new();
    for (number, part) in output.split(MARK).enumerate() {
        let (name, body) =
            if number == 0 { ("ruleset", part) } else { part.split_once('\n').unwrap_or((part, "")) };
        let lines = match name {
            "address" => addresses(&json(name, body)),
            "rule" | "route" => others(&json(name, body)),
            _ => {
                let lines = body.lines().map(str::trim_end).filter(|line| !line.is_empty());
                lines.map(without_counters).collect()
            }
        };
        for line in lines {
            let _ = writeln!(text, "{name}: {line}");
        }
    }
    text
}

/// Nothing to print is printed as nothing.
fn json(name: &str, body: &str) -> Vec<Value> {
    if body.trim().is_empty() {
        return Vec::new();
    }
    serde_json::from_str(body)
        .unwrap_or_else(|error| panic!("`ip -j {name}` printed no list: {error}: {body}"))
}

fn addresses(links: &[Value]) -> Vec<String> {
    let mut told = Vec::new();
    for link in links {
        for address in link["addr_info"].as_array().into_iter().flatten() {
            let [family, local, peer, scope] = ["family", "local", "address", "scope"]
                .map(|field| address[field].as_str().unwrap_or_default());
            if (family, scope) == ("inet6", "link") {
                continue;
            }
            let name = link["ifname"].as_str().unwrap_or_default();
            let peer = if peer.is_empty() { String::new() } else { format!(" peer {peer}") };
            told.push(format!("{name} {family} {local}/{}{peer} scope {scope}", address["prefixlen"]));
        }
    }
    told.sort();
    told
}

/// Rules and routes with all their fields, but for the state of what they lead to and for what runs off.
fn others(objects: &[Value]) -> Vec<String> {
    let mut lines: Vec<String> = objects
        .iter()
        .map(|object| {
            let mut object = object.clone();
            strip(&mut object);
            object.to_string()
        })
        .collect();
    lines.sort();
    lines
}

fn strip(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for changing in ["flags", "expires", "used", "users", "age", "cache"] {
                fields.remove(changing);
            }
            fields.values_mut().for_each(strip);
        }
        Value::Array(values) => values.iter_mut().for_each(strip),
        _ => {}
    }
}

/// `nft --stateless` leaves them out; older ones leave them in for some statements.
fn without_counters(line: &str) -> String {
    let mut words = Vec::new();
    let mut rest = line.split(' ').peekable();
    while let Some(word) = rest.next() {
        match word {
            "packets" | "bytes" | "expires"
                if rest.peek().is_some_and(|next| next.starts_with(|first: char| first.is_ascii_digit())) =>
            {
                rest.next();
            }
            _ => words.push(word),
        }
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
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
}
