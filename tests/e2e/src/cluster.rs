//! The rig that the tests of a file share.

use std::env;
use std::sync::{OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use rig::host::{Conversion, Node, Rig};
use test_support::cannot_run;

/// Environment variable with the name of a rig of two nodes with Linux 6.12.
pub const TWO_NODES: &str = "KUBE_SMC_TEST_RIG";
/// Environment variable with the name of a rig whose node 1 has Linux 6.1.
pub const OLD_NODE: &str = "KUBE_SMC_TEST_RIG_OLD";

/// A rig, and who may change its nodes.
#[derive(Debug)]
pub struct Cluster {
    rig: Rig,
    nodes: [RwLock<()>; 2],
}

/// The rig of two nodes; `None` when there is none to run on.
pub fn two_nodes() -> Option<&'static Cluster> {
    static CLUSTER: OnceLock<Option<Cluster>> = OnceLock::new();
    CLUSTER.get_or_init(|| Cluster::attach(TWO_NODES)).as_ref()
}

/// The rig whose kernel has no conversion; `None` when there is none to run on.
pub fn old_node() -> Option<&'static Cluster> {
    static CLUSTER: OnceLock<Option<Cluster>> = OnceLock::new();
    CLUSTER.get_or_init(|| Cluster::attach(OLD_NODE)).as_ref()
}

/// Says that a test does not run for want of an environment variable.
#[track_caller]
pub fn not_run(variable: &str) {
    cannot_run(&format!("{variable} is not set; hack/test brings up what the end-to-end tests need"));
}

impl Cluster {
    fn attach(variable: &str) -> Option<Self> {
        let Ok(name) = env::var(variable) else {
            not_run(variable);
            return None;
        };
        let rig = Rig::attach(&name.parse().unwrap()).unwrap_or_else(|error| panic!("rig {name}: {error}"));
        Some(Self { rig, nodes: Default::default() })
    }

    /// The nodes and what they were made with.
    pub fn rig(&self) -> &Rig {
        &self.rig
    }

    /// Node 1 or 2.
    pub fn node(&self, number: u8) -> Node<'_> {
        self.rig.node(number).unwrap()
    }

    /// What converts TCP sockets on the nodes.
    pub fn conversion(&self) -> Conversion {
        self.rig.options().conversion
    }

    /// A node to be used beside other tests, while nobody changes it. Of two nodes the first is taken first.
    pub fn share(&self, number: u8) -> RwLockReadGuard<'_, ()> {
        // A test that failed has put its changes right while it unwound.
        self.nodes[usize::from(number) - 1].read().unwrap_or_else(PoisonError::into_inner)
    }

    /// A node to be changed, while no other test uses it.
    pub fn alter(&self, number: u8) -> RwLockWriteGuard<'_, ()> {
        self.nodes[usize::from(number) - 1].write().unwrap_or_else(PoisonError::into_inner)
    }
}
