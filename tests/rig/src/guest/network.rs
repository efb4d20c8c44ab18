//! The node's NICs, its RDMA device and its routes.

use std::fmt::Write as _;
use std::fs;

use super::{GuestError, run, write_file};
use crate::layout::{
    BootWords, MANAGEMENT_ADDRESS, MANAGEMENT_NIC, NodeNumber, OUTSIDE_ADDRESS, OUTSIDE_ADDRESS_V6,
    RDMA_DEVICE, RDMA_NIC, RDMA_PREFIX, RDMA_PREFIX_V6, second_family,
};

/// Names and addresses the NICs, routes other nodes' pods through their nodes, and puts the RDMA device on
/// [`RDMA_NIC`]. The SMC modules stay unloaded: loading them is the business of what is tested here.
pub fn set_up(words: &BootWords) -> Result<(), GuestError> {
    let node = words.node;
    let rdma = interface_with(&node.rdma_mac())?;
    let management = interface_with(&node.management_mac())?;
    run("ip", &["-batch", "-"], &batch(node, &rdma, &management))?;
    write_file("/proc/sys/net/ipv4/ip_forward", "1")?;
    if words.kubernetes {
        // Without a default route, packets to Services have nowhere to go before kube-proxy sees them.
        run("ip", &["route", "add", "default", "via", &OUTSIDE_ADDRESS.to_string()], "")?;
    }
    if words.dual_stack {
        run("ip", &["-batch", "-"], &batch_v6(node))?;
        write_file("/proc/sys/net/ipv6/conf/all/forwarding", "1")?;
    }
    run("rdma", &["link", "add", RDMA_DEVICE, "type", "rxe", "netdev", RDMA_NIC], "")?;
    Ok(())
}

/// Input for `ip -batch`.
fn batch(node: NodeNumber, rdma: &str, management: &str) -> String {
    let mut lines = String::from("link set lo up\n");
    for (old, new, address, prefix) in
        [(management, MANAGEMENT_NIC, MANAGEMENT_ADDRESS, 24), (rdma, RDMA_NIC, node.address(), RDMA_PREFIX)]
    {
        // Writing to a String cannot fail.
        let _ = writeln!(lines, "link set {old} name {new}");
        let _ = writeln!(lines, "address add {address}/{prefix} dev {new}");
        let _ = writeln!(lines, "link set {new} up");
    }
    // Also of nodes that are not there: they may be added.
    for other in node.others() {
        let _ = writeln!(lines, "route add {} via {}", other.pod_network(), other.address());
    }
    lines
}

/// The same for the second family. Nobody else can have these addresses, so none of them is asked for first (`nodad`).
fn batch_v6(node: NodeNumber) -> String {
    let own = second_family(node.address());
    let mut lines = format!("address add {own}/{RDMA_PREFIX_V6} dev {RDMA_NIC} nodad\n");
    for other in node.others() {
        // Writing to a String cannot fail.
        let _ =
            writeln!(lines, "route add {} via {}", other.pod_network_v6(), second_family(other.address()));
    }
    let _ = writeln!(lines, "route add default via {OUTSIDE_ADDRESS_V6}");
    lines
}

fn interface_with(mac: &str) -> Result<String, GuestError> {
    let directory = "/sys/class/net";
    let entries = fs::read_dir(directory).map_err(|source| GuestError::File {
        action: "list",
        path: directory.into(),
        source,
    })?;
    for entry in entries.flatten() {
        let address = fs::read_to_string(entry.path().join("address")).unwrap_or_default();
        if address.trim() == mac {
            return Ok(entry.file_name().to_string_lossy().into_owned());
        }
    }
    Err(GuestError::NoInterface(mac.to_owned()))
}

#[cfg(test)]
mod tests;
