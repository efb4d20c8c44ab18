//! What the work on one attachment asks of the kernel. A trait, so that the order of looking, changing and recording
//! can be tested on machines without SMC.

use smc_host::netns::{Inside, Netns, protocol_of_a_new_tcp_socket};
use smc_host::observe::{self, Host};
use smc_host::sysctl::Sysctl;
use smc_host::{HostError, apply, route};
use smc_model::{NetnsCookie, NodeFacts, Owned, PodFacts, Step};

/// A pod's namespace and the host's, not yet entered.
pub(super) trait Machine {
    /// The two, entered.
    type Entered: Entered;

    /// Enters both; `None` where the kernel has no SMC loaded.
    fn enter(&self) -> Result<Option<Self::Entered>, HostError>;

    /// Ends what of the pod's conversion is ours.
    fn unconvert(&self, owned: &Owned) -> Result<(), HostError>;
}

/// See [`apply`] and [`observe`].
pub(super) trait Entered {
    fn cookie(&self) -> NetnsCookie;
    fn observe(
        &mut self,
        published: &NodeFacts,
        primary: &str,
        owned: &Owned,
    ) -> Result<(NodeFacts, PodFacts), HostError>;
    fn step(&mut self, step: &Step) -> Result<(), HostError>;
    fn undo(&mut self, step: &Step) -> Result<(), HostError>;
    fn restore_pnetids(&mut self, before: &PodFacts) -> Result<(), HostError>;
}

/// The running kernel.
pub(super) struct Live<'a> {
    pub(super) netns: &'a Netns,
    pub(super) sysctl: &'a Sysctl,
}

pub(super) struct LiveEntered<'a> {
    netns: &'a Netns,
    host: Host,
    inside: Inside,
    /// Whether a step was taken since `inside.protocol` was read.
    stepped: bool,
}

impl<'a> Machine for Live<'a> {
    type Entered = LiveEntered<'a>;

    fn enter(&self) -> Result<Option<LiveEntered<'a>>, HostError> {
        let Some(host) = Host::connect_with(self.sysctl.clone())? else { return Ok(None) };
        let inside = self.netns.connect()?;
        Ok(Some(LiveEntered { netns: self.netns, host, inside, stepped: false }))
    }

    fn unconvert(&self, owned: &Owned) -> Result<(), HostError> {
        apply::unconvert(owned, self.netns, self.sysctl)
    }
}

impl Entered for LiveEntered<'_> {
    fn cookie(&self) -> NetnsCookie {
        self.inside.cookie
    }

    fn observe(
        &mut self,
        published: &NodeFacts,
        primary: &str,
        owned: &Owned,
    ) -> Result<(NodeFacts, PodFacts), HostError> {
        if std::mem::take(&mut self.stepped) {
            self.inside.protocol = self.netns.run(protocol_of_a_new_tcp_socket)??;
        }
        let addresses = route::addresses(&mut self.host.route)?;
        let node = observe::refresh(&mut self.host, published.clone(), &addresses)?;
        let (host, inside) = (&mut self.host, &mut self.inside);
        let pod = observe::pod(self.netns, inside, host, &addresses, &node, primary, owned)?;
        Ok((node, pod))
    }

    fn step(&mut self, step: &Step) -> Result<(), HostError> {
        self.stepped = true;
        apply::step(step, &mut self.host, self.netns, &mut self.inside)
    }

    fn undo(&mut self, step: &Step) -> Result<(), HostError> {
        self.stepped = true;
        apply::undo(step, &mut self.host, self.netns, &mut self.inside)
    }

    fn restore_pnetids(&mut self, before: &PodFacts) -> Result<(), HostError> {
        apply::restore_pnetids(before, &self.host, &mut self.inside)
    }
}
