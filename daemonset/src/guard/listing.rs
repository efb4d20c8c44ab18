//! Judging `nft -j list table inet kube-smc` (libnftables-json(5)).

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use serde_json::{Value, json};

use super::script::NO_MAGIC;
use super::{CHAIN_NAME, Deviation, GuardState, SET_NAME, TABLE_NAME};

/// Whether the answer to `nft -j list tables inet` has our table; `None` when it is not such an answer.
pub(super) fn has_table(listing: &str) -> Option<bool> {
    Some(objects(listing)?.iter().any(|object| is_ours(&object["table"], TABLE_NAME)))
}

/// What the listing of the table says; `None` when it is not such a listing.
pub(super) fn judge(listing: &str) -> Option<GuardState> {
    let objects = objects(listing)?;
    let find = |kind: &str, name: &str| {
        objects.iter().map(|object| &object[kind]).find(|&found| is_ours(found, name))
    };

    let Some(table) = find("table", TABLE_NAME) else { return Some(GuardState::Absent) };
    let mut deviations = Vec::new();
    if !table["flags"].is_null() {
        deviations.push(Deviation::TableFlags);
    }

    let set = find("set", SET_NAME);
    match set {
        None => deviations.push(Deviation::SetMissing),
        Some(set) if !is_right_set(set) => deviations.push(Deviation::SetAltered),
        Some(_) => {}
    }
    let pods = set.map(pods).unwrap_or_default();

    let mut guarded_connections = 0;
    match find("chain", CHAIN_NAME) {
        None => deviations.push(Deviation::ChainMissing),
        Some(chain) => {
            if !is_right_chain(chain) {
                deviations.push(Deviation::ChainAltered);
            }
            let rules: Vec<_> = objects
                .iter()
                .map(|object| &object["rule"])
                .filter(|rule| rule["chain"] == CHAIN_NAME)
                .collect();
            match rules.iter().find_map(|rule| counted_by_guard(&rule["expr"])) {
                None => deviations.push(Deviation::RuleMissing),
                Some(packets) => guarded_connections = packets,
            }
            if rules.iter().any(|rule| counted_by_guard(&rule["expr"]).is_none()) || rules.len() > 1 {
                deviations.push(Deviation::ForeignRules);
            }
        }
    }

    Some(if deviations.is_empty() {
        GuardState::Present { pods, guarded_connections }
    } else {
        GuardState::Altered { deviations, pods }
    })
}

fn objects(listing: &str) -> Option<Vec<Value>> {
    let mut listing: Value = serde_json::from_str(listing).ok()?;
    match listing.get_mut("nftables")?.take() {
        Value::Array(objects) => Some(objects),
        _ => None,
    }
}

fn is_ours(object: &Value, name: &str) -> bool {
    object["family"] == "inet"
        && object["name"] == name
        && (object["table"].is_null() || object["table"] == TABLE_NAME)
}

fn is_right_set(set: &Value) -> bool {
    set["type"] == "ipv4_addr" && ["flags", "timeout", "size", "stmt"].iter().all(|key| set[*key].is_null())
}

/// Elements are plain strings, or objects when something is attached to them.
fn pods(set: &Value) -> BTreeSet<Ipv4Addr> {
    let elements = set["elem"].as_array().map(Vec::as_slice).unwrap_or_default();
    elements
        .iter()
        .filter_map(|element| element.as_str().or_else(|| element["elem"]["val"].as_str()))
        .filter_map(|address| address.parse().ok())
        .collect()
}

fn is_right_chain(chain: &Value) -> bool {
    chain["type"] == "filter"
        && chain["hook"] == "postrouting"
        && chain["prio"] == -150
        && chain["policy"] == "accept"
}

/// The packet count, if these are the guard's expressions.
fn counted_by_guard(expressions: &Value) -> Option<u64> {
    let [source, destination, syn, counter, overwrite] = expressions.as_array()?.as_slice() else {
        return None;
    };
    let address = |field: &str| {
        json!({"match": {
            "op": "==", "left": {"payload": {"protocol": "ip", "field": field}}, "right": format!("@{SET_NAME}"),
        }})
    };
    let right = *source == address("saddr")
        && *destination == address("daddr")
        && is_first_packet(&syn["match"])
        && overwrite["mangle"]
            == json!({"key": {"tcp option": {"base": 254, "offset": 16, "len": 32}}, "value": NO_MAGIC});
    right.then(|| counter["counter"]["packets"].as_u64()).flatten()
}

/// `tcp flags & (syn|ack) == syn`. nft 1.0.6 lists the mask as an array; the grammar also has `{"|": [...]}`.
fn is_first_packet(comparison: &Value) -> bool {
    let mask = &comparison["left"]["&"][1];
    let mask = if mask.is_array() { mask } else { &mask["|"] };
    comparison["op"] == "=="
        && comparison["right"] == "syn"
        && comparison["left"]["&"][0] == json!({"payload": {"protocol": "tcp", "field": "flags"}})
        && (*mask == json!(["syn", "ack"]) || *mask == json!(["ack", "syn"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From nft 1.0.6, kernel 6.x: `nft -j list table inet kube-smc`.
    fn golden() -> Value {
        json!({"nftables": [
            {"metainfo": {"version": "1.0.6", "release_name": "Lester Gooch #5", "json_schema_version": 1}},
            {"table": {"family": "inet", "name": "kube-smc", "handle": 1}},
            {"set": {"family": "inet", "name": "local_pods", "table": "kube-smc", "type": "ipv4_addr", "handle": 1,
                     "elem": ["10.0.0.1", {"elem": {"val": "10.0.0.2", "comment": "web"}}]}},
            {"chain": {"family": "inet", "table": "kube-smc", "name": "same_node", "handle": 2, "type": "filter",
                       "hook": "postrouting", "prio": -150, "policy": "accept"}},
            {"rule": {"family": "inet", "table": "kube-smc", "chain": "same_node", "handle": 3, "comment": "c", "expr": [
                {"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "saddr"}}, "right": "@local_pods"}},
                {"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "daddr"}}, "right": "@local_pods"}},
                {"match": {"op": "==", "left": {"&": [{"payload": {"protocol": "tcp", "field": "flags"}}, ["syn", "ack"]]},
                           "right": "syn"}},
                {"counter": {"packets": 7, "bytes": 420}},
                {"mangle": {"key": {"tcp option": {"base": 254, "offset": 16, "len": 32}}, "value": 16_843_009}}]}}
        ]})
    }

    fn deviations(listing: &Value) -> Vec<Deviation> {
        match judge(&listing.to_string()) {
            Some(GuardState::Altered { deviations, .. }) => deviations,
            Some(GuardState::Present { .. }) => Vec::new(),
            other => panic!("{other:?}"),
        }
    }

    /// The golden listing with one place changed.
    fn changed(pointer: &str, value: Value) -> Vec<Deviation> {
        let mut listing = golden();
        *listing.pointer_mut(pointer).unwrap() = value;
        deviations(&listing)
    }

    fn without(index: usize) -> Value {
        let mut listing = golden();
        listing["nftables"].as_array_mut().unwrap().remove(index);
        listing
    }

    #[test]
    fn the_guard_as_made_is_present_with_its_pods_and_count() {
        let pods = BTreeSet::from([Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2)]);
        let expected = GuardState::Present { pods, guarded_connections: 7 };
        assert_eq!(judge(&golden().to_string()), Some(expected));
    }

    #[test]
    fn a_mask_in_the_grammars_other_form_is_the_same_rule() {
        assert_eq!(changed("/nftables/4/rule/expr/2/match/left/&/1", json!({"|": ["syn", "ack"]})), []);
    }

    #[test]
    fn every_missing_part_is_named() {
        assert_eq!(deviations(&without(2)), [Deviation::SetMissing]);
        assert_eq!(deviations(&without(3)), [Deviation::ChainMissing]);
        assert_eq!(deviations(&without(4)), [Deviation::RuleMissing]);
    }

    #[test]
    fn every_altered_part_is_named() {
        use Deviation::{ChainAltered, ForeignRules, RuleMissing, SetAltered};
        assert_eq!(changed("/nftables/2/set/type", json!("ipv6_addr")), [SetAltered]);
        for (place, value) in [
            ("hook", json!("forward")),
            ("prio", json!(0)),
            ("policy", json!("drop")),
            ("type", json!("route")),
        ] {
            assert_eq!(changed(&format!("/nftables/3/chain/{place}"), value), [ChainAltered], "{place}");
        }
        for (place, value) in [
            ("0/match/right", json!("10.0.0.1")),
            ("1/match/right", json!("@other")),
            ("2/match/op", json!("!=")),
            ("2/match/right", json!("ack")),
            ("2/match/left/&/1", json!(["syn"])),
            ("4/mangle/key/tcp option/base", json!(30)),
            ("4/mangle/value", json!(1)),
            ("3", json!({"accept": null})),
        ] {
            let place = format!("/nftables/4/rule/expr/{place}");
            assert_eq!(changed(&place, value), [RuleMissing, ForeignRules], "{place}");
        }
    }

    #[test]
    fn properties_that_would_lose_elements_or_switch_the_table_off_are_seen() {
        let mut listing = golden();
        listing["nftables"][1]["table"]["flags"] = json!("dormant");
        listing["nftables"][2]["set"]["timeout"] = json!(60);
        assert_eq!(deviations(&listing), [Deviation::TableFlags, Deviation::SetAltered]);
    }

    #[test]
    fn a_second_copy_of_the_rule_counts_as_foreign() {
        let mut listing = golden();
        let rule = listing["nftables"][4].clone();
        listing["nftables"].as_array_mut().unwrap().push(rule);
        assert_eq!(deviations(&listing), [Deviation::ForeignRules]);
    }

    #[test]
    fn pods_are_still_read_from_an_altered_table() {
        let Some(GuardState::Altered { pods, .. }) = judge(&without(4).to_string()) else { panic!() };
        assert_eq!(pods.len(), 2);
    }

    #[test]
    fn an_empty_listing_is_an_absent_guard_and_no_listing_is_none() {
        assert_eq!(judge(r#"{"nftables": []}"#), Some(GuardState::Absent));
        for nonsense in ["", "[]", "{}", "null", r#"{"nftables": 1}"#, "{"] {
            assert_eq!(judge(nonsense), None, "{nonsense}");
            assert_eq!(has_table(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn a_table_of_the_same_name_in_another_family_is_not_ours() {
        let tables = |family: &str| {
            json!({"nftables": [{"table": {"family": family, "name": "kube-smc"}}]}).to_string()
        };
        assert_eq!(has_table(&tables("ip")), Some(false));
        assert_eq!(has_table(&tables("inet")), Some(true));
    }
}
