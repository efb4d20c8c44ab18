//! A kernel with SMC, as far as one pod's set-up goes.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::rc::Rc;

use serde_json::json;
use smc_host::{Cause, HostError};
use smc_model::{
    Conversion, InterfaceKind, Listener, NetnsCookie, NodeFacts, Owned, PnetId, PodConversion, PodFacts,
    PodInterface, Release, Step,
};

use super::super::machine::{Entered, Machine};

pub(super) const ADDRESS: std::net::Ipv4Addr = std::net::Ipv4Addr::new(10, 0, 0, 21);
pub(super) const COOKIE: NetnsCookie = NetnsCookie(9);

/// What is in the kernel, and what it does with the next steps.
#[expect(clippy::struct_excessive_bools, reason = "each is a thing of its own in the kernel")]
pub(super) struct Kernel {
    pub(super) node: NodeFacts,
    pub(super) cookie: Option<NetnsCookie>,
    pub(super) sysctl: bool,
    pub(super) mptcp: bool,
    pub(super) in_map: bool,
    pub(super) pnetid: Option<PnetId>,
    pub(super) guarded: BTreeSet<std::net::Ipv4Addr>,
    /// The kernel refuses steps whose words contain this.
    pub(super) refuses: Option<&'static str>,
    /// Runs once, after the conversion was switched on.
    pub(super) then: Option<Box<dyn FnOnce()>>,
    pub(super) entered: usize,
    pub(super) listeners: Vec<Listener>,
    pub(super) pod_runs: bool,
}

#[derive(Clone)]
pub(super) struct Fake(pub(super) Rc<RefCell<Kernel>>);

pub(super) fn facts(family: &str, conversion: &serde_json::Value, guard: &str) -> NodeFacts {
    serde_json::from_value(json!({
        "kernel": {"release": "k", "family": family}, "smc_loaded": true,
        "conversion": conversion, "rdma_netns_mode": "shared",
        "ports": [{"device": "erdma_0", "port": 1, "active": true, "pnetid": "NET1", "pods": 0,
                   "netdev": {"index": 2, "name": "eth1", "addresses": ["10.0.0.2/24"]}}],
        "ueids": ["SMCV2-DEFAULT-UEID"],
        "guard": guard, "guard_pins": (guard == "ready").then_some("/pins"), "anchor": "not-needed", "datapath": "netfilter",
    }))
    .unwrap()
}

impl Fake {
    pub(super) fn of(node: NodeFacts) -> Self {
        let guarded = BTreeSet::new();
        let (refuses, then) = (None, None);
        let kernel = Kernel {
            node,
            cookie: Some(COOKIE),
            sysctl: false,
            mptcp: false,
            in_map: false,
            pnetid: None,
            guarded,
            refuses,
            then,
            entered: 0,
            listeners: Vec::new(),
            pod_runs: false,
        };
        Self(Rc::new(RefCell::new(kernel)))
    }

    pub(super) fn alibaba() -> Self {
        Self::of(facts("alibaba", &json!("tcp2smc"), "not-needed"))
    }

    pub(super) fn mainline() -> Self {
        Self::of(facts("mainline", &json!({"bpf": {"map": "/map", "protocol": 256}}), "ready"))
    }
}

impl Machine for Fake {
    type Entered = Fake;

    fn enter(&self, _published: &NodeFacts) -> Result<Option<Fake>, HostError> {
        self.0.borrow_mut().entered += 1;
        Ok(Some(self.clone()))
    }

    fn pod_runs(&self) -> bool {
        self.0.borrow().pod_runs
    }

    fn old_listeners(&self) -> Result<Vec<Listener>, HostError> {
        Ok(self.0.borrow().listeners.clone())
    }

    fn unconvert(&self, owned: &Owned) -> Result<(), HostError> {
        let mut kernel = self.0.borrow_mut();
        kernel.sysctl &= !owned.sysctl;
        kernel.mptcp |= owned.mptcp_off;
        kernel.in_map &= owned.converted.as_ref().is_none_or(|(_, cookie)| *cookie != COOKIE);
        Ok(())
    }

    fn release(&self, step: &Release) -> Result<(), HostError> {
        let mut kernel = self.0.borrow_mut();
        if kernel.refuses == Some("release") {
            return Err(HostError::new("release it", Cause::Unexpected("it refuses".to_owned())));
        }
        match step {
            Release::Unguard { address, .. } => {
                kernel.guarded.retain(|guarded| IpAddr::V4(*guarded) != *address);
            }
            other => panic!("{other:?} is never owned here"),
        }
        Ok(())
    }
}

impl Entered for Fake {
    fn cookie(&self) -> Option<NetnsCookie> {
        self.0.borrow().cookie
    }

    fn observe(
        &mut self,
        _published: &NodeFacts,
        primary: &str,
        owned: &Owned,
    ) -> Result<(NodeFacts, PodFacts), HostError> {
        let kernel = self.0.borrow();
        let (on, ours) = match kernel.node.conversion {
            Conversion::Tcp2smc => (kernel.sysctl, owned.sysctl),
            _ => (kernel.in_map, true),
        };
        let conversion = match (on, ours) {
            (false, _) => PodConversion::Off,
            (true, true) => PodConversion::Ours,
            (true, false) => PodConversion::Foreign,
        };
        let eth0 = PodInterface {
            name: primary.to_owned(),
            kind: InterfaceKind::Pair,
            addresses: vec!["10.0.0.21/24".parse().unwrap()],
            addresses6: Vec::new(),
            routed: true,
            pnetid: kernel.pnetid.clone(),
            guarded: kernel.guarded.contains(&ADDRESS),
        };
        let pod = PodFacts {
            primary: primary.to_owned(),
            interfaces: vec![eth0],
            conversion,
            anchors: [].into(),
            guarded: match kernel.node.guard_for_pods() {
                Some(_) => kernel.guarded.iter().copied().map(IpAddr::V4).collect(),
                None => BTreeSet::new(),
            },
            peers: owned.peers.clone(),
            mptcp: kernel.mptcp && (kernel.in_map || kernel.node.conversion == Conversion::Tcp2smc),
            keep_mptcp: owned.keep_mptcp,
        };
        Ok((kernel.node.clone(), pod))
    }

    fn observe_again(
        &mut self,
        node: &NodeFacts,
        before: PodFacts,
        owned: &Owned,
    ) -> Result<PodFacts, HostError> {
        self.observe(node, &before.primary, owned).map(|(_, pod)| pod)
    }

    fn step(&mut self, step: &Step) -> Result<(), HostError> {
        let mut kernel = self.0.borrow_mut();
        if kernel.refuses.is_some_and(|words| step.to_string().contains(words)) {
            let cause = Cause::Unexpected("it refuses".to_owned());
            return Err(HostError::new("take the step", cause));
        }
        match step {
            Step::Guard { address, .. } => drop(kernel.guarded.insert(*address)),
            Step::SetPnetid { pnetid, .. } => kernel.pnetid = Some(pnetid.clone()),
            Step::ConvertBySysctl { mptcp_off } => {
                kernel.sysctl = true;
                kernel.mptcp &= !mptcp_off;
            }
            Step::ConvertByBpf { keep_mptcp, .. } => {
                kernel.in_map = true;
                kernel.mptcp = *keep_mptcp;
            }
            other => panic!("{other} is never planned here"),
        }
        let converted = kernel.sysctl || kernel.in_map;
        let then = if converted { kernel.then.take() } else { None };
        drop(kernel);
        if let Some(then) = then {
            then();
        }
        Ok(())
    }

    fn undo(&mut self, step: &Step) -> Result<(), HostError> {
        let mut kernel = self.0.borrow_mut();
        match step {
            Step::Guard { address, .. } => drop(kernel.guarded.remove(address)),
            Step::SetPnetid { .. } => kernel.pnetid = None,
            Step::ConvertBySysctl { mptcp_off } => {
                kernel.sysctl = false;
                kernel.mptcp |= mptcp_off;
            }
            Step::ConvertByBpf { .. } => kernel.in_map = false,
            _ => {}
        }
        Ok(())
    }

    fn restore_pnetids(&mut self, before: &PodFacts) -> Result<(), HostError> {
        self.0.borrow_mut().pnetid = before.interfaces[0].pnetid.clone();
        Ok(())
    }
}
