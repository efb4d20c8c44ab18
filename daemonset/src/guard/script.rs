//! The texts fed to `nft -f -`. Each is one transaction: the kernel takes all of it or nothing.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use super::{CHAIN_NAME, Deviation, SET_NAME, TABLE};

/// The first four bytes of what SMC's option holds, in nft's words: kind, offset and length in bits.
const MAGIC: &str = "@254,16,32";
/// What they become: four times "no operation".
pub(super) const NO_MAGIC: u32 = 0x0101_0101;
/// Shown by `nft list ruleset` to whoever wonders.
pub(super) const RULE_COMMENT: &str =
    "kube-smc: same-node SMC-R cannot work, see ARCHITECTURE.md of kube-smc";

/// Makes the table or puts it right, whatever is there. The set and its elements stay where they are unless a deviation
/// forbids it; then the set is made again with `pods` in it.
pub(super) fn establish(deviations: &[Deviation], pods: &BTreeSet<Ipv4Addr>) -> String {
    let keep_set = deviations.iter().all(|deviation| deviation.leaves_set());
    let mut commands = Vec::new();
    // In nft, `add` of what exists is fine and `delete` of what does not is an error: hence add before delete.
    commands.push(format!("add table {TABLE}"));
    if !keep_set {
        commands.push(format!("delete table {TABLE}"));
        commands.push(format!("add table {TABLE}"));
    }
    commands.push(format!("add set {TABLE} {SET_NAME} {{ type ipv4_addr; }}"));
    if !keep_set {
        commands.extend(pods.iter().map(|pod| format!("add element {TABLE} {SET_NAME} {{ {pod} }}")));
    }
    // A chain's hook cannot be changed, so the chain is made again.
    commands.push(format!("add chain {TABLE} {CHAIN_NAME}"));
    commands.push(format!("flush chain {TABLE} {CHAIN_NAME}"));
    commands.push(format!("delete chain {TABLE} {CHAIN_NAME}"));
    commands.push(format!(
        "add chain {TABLE} {CHAIN_NAME} {{ type filter hook postrouting priority mangle; policy accept; }}"
    ));
    commands.push(format!(
        "add rule {TABLE} {CHAIN_NAME} ip saddr @{SET_NAME} ip daddr @{SET_NAME} tcp flags & (syn|ack) == syn \
         counter tcp option {MAGIC} set {NO_MAGIC:#010x} comment \"{RULE_COMMENT}\""
    ));
    commands.push(String::new());
    commands.join("\n")
}

/// Removes the table, if there is one.
pub(super) fn remove() -> String {
    format!("add table {TABLE}\ndelete table {TABLE}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pods() -> BTreeSet<Ipv4Addr> {
        BTreeSet::from([Ipv4Addr::new(10, 0, 0, 21), Ipv4Addr::new(10, 0, 0, 22)])
    }

    #[test]
    fn a_repair_of_the_chain_does_not_name_the_sets_elements() {
        let script = establish(&[Deviation::RuleMissing, Deviation::ChainAltered], &pods());
        assert!(!script.contains("delete table") && !script.contains("add element"), "{script}");
    }

    #[test]
    fn a_set_that_cannot_stay_is_made_again_with_its_pods() {
        let script = establish(&[Deviation::SetAltered], &pods());
        assert!(script.contains("delete table inet kube-smc\n"));
        assert!(script.contains("add element inet kube-smc local_pods { 10.0.0.21 }\n"));
        assert!(script.contains("add element inet kube-smc local_pods { 10.0.0.22 }\n"));
    }

    #[test]
    fn a_dormant_table_is_made_again() {
        assert!(establish(&[Deviation::TableFlags], &pods()).contains("delete table"));
    }

    #[test]
    fn everything_deleted_was_added_before_so_that_absence_is_no_error() {
        for script in [establish(&[], &pods()), establish(&[Deviation::SetAltered], &pods()), remove()] {
            let mut added = BTreeSet::new();
            for line in script.lines() {
                if let Some(object) = line.strip_prefix("add ") {
                    added.insert(object.split(" {").next().unwrap());
                } else if let Some(object) = line.strip_prefix("delete ") {
                    assert!(added.contains(object), "{object} in {script}");
                }
            }
        }
    }

    #[test]
    fn the_comment_fits_nftables_limit_of_128_bytes() {
        assert!(RULE_COMMENT.len() < 128);
    }
}
