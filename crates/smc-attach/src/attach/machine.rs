//! What the work on one attachment asks of the kernel. A trait, so that the order of looking, changing and recording
//! can be tested on machines without SMC.

use std::cell::Cell;
use std::path::Path;

use smc_host::genl::SmcFamilies;
use smc_host::netlink::{Connection, Protocol};
use smc_host::netns::{Inside, Netns};
use smc_host::observe::{self, Host, Towards};
use smc_host::sysctl::Sysctl;
use smc_host::{HostError, apply, kernel, listeners, route};
use smc_model::{Listener, NetnsCookie, NodeFacts, Owned, PodFacts, Release, Step};

/// A pod's namespace and the host's, not yet entered.
pub(super) trait Machine {
    /// The two, entered.
    type Entered: Entered;

    /// Enters both; `None` where the kernel has no SMC loaded.
    fn enter(&self, published: &NodeFacts) -> Result<Option<Self::Entered>, HostError>;

    /// Whether the pod may be running programs already.
    fn pod_runs(&self) -> bool;

    /// Listening sockets of the pod that are older than its conversion.
    fn old_listeners(&self) -> Result<Vec<Listener>, HostError>;

    /// Ends what of the pod's conversion is ours.
    fn unconvert(&self, owned: &Owned) -> Result<(), HostError>;

    /// Takes something of the pod's out of the host's kernel.
    fn release(&self, step: &Release) -> Result<(), HostError>;
}

/// See [`apply`] and [`observe`].
pub(super) trait Entered {
    /// `None` on kernels that give namespaces no cookies.
    fn cookie(&self) -> Option<NetnsCookie>;
    fn observe(
        &mut self,
        published: &NodeFacts,
        primary: &str,
        owned: &Owned,
    ) -> Result<(NodeFacts, PodFacts), HostError>;
    /// What steps may have changed since [`Self::observe`] gave `node` and `before`.
    fn observe_again(
        &mut self,
        node: &NodeFacts,
        before: PodFacts,
        owned: &Owned,
    ) -> Result<PodFacts, HostError>;
    fn step(&mut self, step: &Step) -> Result<(), HostError>;
    fn undo(&mut self, step: &Step) -> Result<(), HostError>;
    fn restore_pnetids(&mut self, before: &PodFacts) -> Result<(), HostError>;
}

/// The running kernel.
pub(super) struct Live<'a> {
    pub(super) netns: &'a Netns,
    pub(super) sysctl: &'a Sysctl,
    /// The host's `/proc`, where the pod may be running programs already; `None` while it is being made.
    pub(super) proc: Option<&'a Path>,
    /// A connection of the host's namespace that was needed before.
    pub(super) route: Cell<Option<Connection>>,
}

pub(super) struct LiveEntered<'a> {
    netns: &'a Netns,
    host: Host,
    inside: Inside,
    towards: Towards,
    /// Whether the families' numbers are the published ones, by which nothing was asked yet.
    untried: bool,
}

impl LiveEntered<'_> {
    fn look(
        &mut self,
        published: &NodeFacts,
        primary: &str,
        owned: &Owned,
    ) -> Result<(NodeFacts, PodFacts), HostError> {
        let (host, inside) = (&mut self.host, &mut self.inside);
        let addresses = route::addresses(&mut host.route)?;
        let node = observe::refresh(&mut inside.generic, host, published.clone(), &addresses)?;
        let (pod, towards) = observe::pod(self.netns, inside, host, &addresses, &node, primary, owned)?;
        self.towards = towards;
        Ok((node, pod))
    }
}

impl<'a> Machine for Live<'a> {
    type Entered = LiveEntered<'a>;

    fn enter(&self, published: &NodeFacts) -> Result<Option<LiveEntered<'a>>, HostError> {
        let Some(inode) = kernel::module_inode("smc") else { return Ok(None) };
        let mut inside = self.netns.connect()?;
        let known = published.smc_module.filter(|module| module.inode == inode).map(SmcFamilies::from);
        let Some(families) = known.map_or_else(|| SmcFamilies::find(&mut inside.generic), |f| Ok(Some(f)))?
        else {
            return Ok(None);
        };
        let route = self.route.take().map_or_else(|| Connection::open(Protocol::Route), Ok)?;
        let host = Host::connect(route, families, self.sysctl.clone());
        let untried = known.is_some();
        Ok(Some(LiveEntered { netns: self.netns, host, inside, towards: Towards::default(), untried }))
    }

    fn pod_runs(&self) -> bool {
        self.proc.is_some()
    }

    fn old_listeners(&self) -> Result<Vec<Listener>, HostError> {
        self.proc.map_or(Ok(Vec::new()), |proc| listeners::old(self.netns, proc))
    }

    fn unconvert(&self, owned: &Owned) -> Result<(), HostError> {
        apply::unconvert(owned, self.netns, self.sysctl)
    }

    fn release(&self, step: &Release) -> Result<(), HostError> {
        apply::release(step)
    }
}

impl Entered for LiveEntered<'_> {
    fn cookie(&self) -> Option<NetnsCookie> {
        self.inside.cookie
    }

    fn observe(
        &mut self,
        published: &NodeFacts,
        primary: &str,
        owned: &Owned,
    ) -> Result<(NodeFacts, PodFacts), HostError> {
        match self.look(published, primary, owned) {
            // What is published is a hint: with wrong numbers the first questions fail.
            Err(error) if std::mem::take(&mut self.untried) => {
                self.host.families = SmcFamilies::find(&mut self.inside.generic)?.ok_or(error)?;
                self.look(published, primary, owned)
            }
            looked => looked,
        }
    }

    fn observe_again(
        &mut self,
        node: &NodeFacts,
        before: PodFacts,
        owned: &Owned,
    ) -> Result<PodFacts, HostError> {
        observe::pod_again(self.netns, &mut self.inside, &mut self.host, node, &self.towards, before, owned)
    }

    fn step(&mut self, step: &Step) -> Result<(), HostError> {
        apply::step(step, &mut self.host, self.netns, &mut self.inside)
    }

    fn undo(&mut self, step: &Step) -> Result<(), HostError> {
        apply::undo(step, &mut self.host, self.netns, &mut self.inside)
    }

    fn restore_pnetids(&mut self, before: &PodFacts) -> Result<(), HostError> {
        apply::restore_pnetids(before, &self.host, &mut self.inside)
    }
}
