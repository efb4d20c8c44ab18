//! Whether there is anything to prepare a node for. Where there is not, it is only looked at.

use std::path::Path;
use std::sync::Arc;

use smc_abi::rdma::{NodeType, RdmaDevice};
use smc_model::{
    Anchor, Conversion, Datapath, Guard, Inbound, Kernel, KernelFamily, NodeFacts, Owned, RdmaNetnsMode,
    Switch, Verdict,
};
use smc_state::{Made, Record, Store};

use crate::node::bpf::{Pinned, PinnedGuard};

/// Whether acceleration is wanted, and there is a device that SMC of this kernel can use. Mainline's takes no iWARP devices
/// (`smc_ib_add_dev` wants RoCE).
pub(super) fn is_wanted(switch: &Switch, devices: &[RdmaDevice], family: KernelFamily) -> bool {
    let usable = |device: &RdmaDevice| match device.node_type {
        NodeType::ChannelAdapter => true,
        NodeType::Rnic => family == KernelFamily::Alibaba,
        NodeType::Switch | NodeType::Router | NodeType::Other(_) => false,
    };
    *switch == Switch::On && devices.iter().any(usable)
}

/// Whether an earlier agent or the plugin left something of ours. What cannot be read may be ours, and is kept.
pub(super) fn is_standing(store: &Store, pin_dir: &Path) -> bool {
    let made = store.read_document::<Made>();
    let of_pod = |record: &Arc<Record>| {
        let set_up = record.verdict.as_ref().is_some_and(Verdict::is_set_up);
        let nothing = Owned { peers: record.owned.peers.clone(), ..Owned::default() };
        record.is_live() && (set_up || record.owned != nothing)
    };
    made.map_or(true, |made| made.is_some_and(|made| made != Made::default()))
        || Pinned::look(pin_dir).map_or(true, |pinned| pinned.is_some())
        || PinnedGuard::look(pin_dir).map_or(true, |pinned| pinned.is_some())
        || store.list().records.iter().any(of_pod)
}

/// The facts of a node that is only looked at.
pub(super) fn only_looked_at(
    kernel: Kernel,
    smc_loaded: bool,
    rdma_netns_mode: RdmaNetnsMode,
    switch: Switch,
) -> NodeFacts {
    let why = "this node is only looked at".to_owned();
    NodeFacts {
        kernel,
        smc_loaded,
        smc_missing: None,
        smc_module: None,
        conversion: Conversion::None { why: why.clone() },
        syn_option: None,
        rdma_netns_mode,
        ports: Vec::new(),
        ueids: Vec::new(),
        guard: Guard::Missing { why: why.clone() },
        guard_pins: None,
        inbound: Inbound::Any,
        refused_defects: Vec::new(),
        anchor: Anchor::Missing { why },
        datapath: Datapath::default(),
        switch,
        only_looked_at: true,
    }
}

#[cfg(test)]
mod tests {
    use smc_model::Reason;
    use smc_state::BoundPort;

    use super::*;
    use crate::testing::test_values::record;

    fn device(node_type: NodeType) -> RdmaDevice {
        let (index, name) = (0, "rdma0".to_owned());
        RdmaDevice { index, name, node_type, node_guid: 0, port_count: 1, firmware: None, protocol: None }
    }

    #[test]
    fn a_node_is_prepared_for_a_device_that_its_smc_takes_while_the_switch_is_on() {
        let off = Switch::Off { why: "x".to_owned() };
        let (iwarp, roce) = ([device(NodeType::Rnic)], [device(NodeType::ChannelAdapter)]);
        for family in [KernelFamily::Alibaba, KernelFamily::Mainline] {
            assert!(is_wanted(&Switch::On, &roce, family));
            assert!(!is_wanted(&off, &roce, family));
            assert!(!is_wanted(&Switch::On, &[], family));
            assert_eq!(is_wanted(&Switch::On, &iwarp, family), family == KernelFamily::Alibaba);
        }
    }

    #[test]
    fn what_an_earlier_agent_or_the_plugin_left_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let (store, pins) = (Store::new(dir.path().join("state")), dir.path().join("pins"));
        assert!(!is_standing(&store, &pins));
        store.create().unwrap();
        store.write(&record("web-1", Verdict::refused(Reason::NoRdmaDevice))).unwrap();
        assert!(!is_standing(&store, &pins), "nothing was made for a pod that was refused");
        store.write(&record("web-2", Verdict::Configured)).unwrap();
        assert!(is_standing(&store, &pins));

        let store = Store::new(dir.path().join("other"));
        store.create().unwrap();
        let port = BoundPort { device: "rxe0".to_owned(), port: 1, pnetid: "NET1".parse().unwrap() };
        Made { ports: [port].into(), ..Made::default() }.remember(&store).unwrap();
        assert!(is_standing(&store, &pins));
    }
}
