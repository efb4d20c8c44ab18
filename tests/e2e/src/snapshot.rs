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
mod tests;
