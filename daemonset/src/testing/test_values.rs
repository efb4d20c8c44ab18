//! Values that several tests use.

use std::time::Instant;

use smc_model::{
    Anchor, Conversion, Datapath, Guard, Kernel, KernelFamily, NodeFacts, Owned, Plan, RdmaNetnsMode,
    RdmaPort, Switch, Ueid, Verdict,
};
use smc_state::{AttachmentId, Phase, PodName, RECORD_VERSION, Record};

use crate::board::{Board, Chain, View};
use crate::mesh::{MeshMode, MeshSwitch};
use crate::surfaces::kubernetes::announcement::Announcement;

/// A board on which nothing is known.
pub(crate) fn board() -> Board {
    Board::new(View::new(MeshMode::Watch, MeshSwitch::NOT_KNOWN_YET, Chain::Unknown, Instant::now()))
}

/// A prepared mainline node with these ports.
pub(crate) fn node(ports: Vec<RdmaPort>) -> NodeFacts {
    NodeFacts {
        kernel: Kernel { release: "6.12".to_owned(), family: KernelFamily::Mainline },
        smc_loaded: true,
        smc_missing: None,
        syn_option: None,
        smc_module: None,
        conversion: Conversion::Bpf { map: "/map".into(), protocol: 256 },
        rdma_netns_mode: RdmaNetnsMode::Shared,
        ports,
        ueids: vec![Ueid::DEFAULT.parse().unwrap()],
        guard: Guard::Ready,
        guard_pins: Some("/pins".into()),
        inbound: smc_model::Inbound::Any,
        refused_defects: Vec::new(),
        anchor: Anchor::Ready { index: 3 },
        datapath: Datapath::Netfilter,
        switch: Switch::On,
        only_looked_at: false,
    }
}

/// A settled record of `eth0` of a pod in the namespace `shop`.
pub(crate) fn record(pod: &str, verdict: Verdict) -> Record {
    let container: String = pod.chars().filter(char::is_ascii_alphanumeric).take(90).collect();
    Record {
        version: RECORD_VERSION,
        phase: Phase::Settled,
        id: format!("id-{pod}"),
        network: "terway-chainer".to_owned(),
        attachment: AttachmentId::new(&format!("c{container}"), "eth0").unwrap(),
        pod: PodName { namespace: "shop".to_owned(), name: pod.to_owned(), uid: format!("uid-{pod}") },
        netns: "/run/netns/test".into(),
        netns_id: None,
        cookie: None,
        verdict: Some(verdict),
        seen: String::new(),
        remedy: String::new(),
        plan: Plan::default(),
        owned: Owned::default(),
        timings: Vec::new(),
        started_ms: 0,
        repaired_ms: None,
        unknown: serde_json::Map::default(),
    }
}

/// What is announced of a pod whose verdict this is.
pub(crate) fn announcement(pod: &str, verdict: Verdict) -> Announcement {
    Announcement::of(&record(pod, verdict)).unwrap()
}
