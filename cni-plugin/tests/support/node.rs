//! What an agent publishes about a node.

use std::fs;

use serde_json::{Value, json};

/// The id of this boot.
fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap().trim().to_owned()
}

/// node.json of a node of this boot on which nothing is in the way.
pub(crate) fn node_facts() -> Value {
    json!({
        "version": 1,
        "boot_id": boot_id(),
        "agent": "0.0.0-test",
        "written": 1_760_000_000,
        "facts": {
            "kernel": { "release": "6.12.0-test", "family": "mainline" },
            "smc_loaded": true,
            "conversion": { "bpf": { "map": "/sys/fs/bpf/smctest-not-there", "protocol": 256 } },
            "rdma_netns_mode": "shared",
            "ports": [{
                "device": "erdma_0",
                "port": 1,
                "active": true,
                "pnetid": "00163E0A0B0C",
                "netdev": {
                    "index": 2,
                    "name": "eth0",
                    "addresses": ["10.0.1.2/24"],
                },
                "pods": 0,
            }],
            "ueids": ["SMCV2-DEFAULT-UEID"],
            "guard": "ready",
            "guard_pins": "/sys/fs/bpf/smctest-not-there",
            "anchor": { "ready": { "index": 7 } },
            "datapath": "netfilter",
        },
    })
}

/// The part of a node file that has `key`: the whole, or its facts.
pub(crate) fn part_with<'a>(file: &'a mut Value, key: &str) -> &'a mut Value {
    if file.get(key).is_some() { file } else { &mut file["facts"] }
}
