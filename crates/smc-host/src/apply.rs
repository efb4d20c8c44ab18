//! Apply: one step of a plan, or one step of its release. Nothing is decided here.

use smc_model::{PodFacts, Release, Step};

use crate::netlink::{Connection, Protocol};
use crate::netns::{Inside, Netns};
use crate::observe::Host;
use crate::sysctl::Sysctl;
use crate::{HostError, conversion, guard, pnet, route};

/// Takes one step. Steps are idempotent: what is there already is fine.
pub fn step(step: &Step, host: &mut Host, netns: &Netns, inside: &mut Inside) -> Result<(), HostError> {
    let family = host.families.pnetid;
    match step {
        Step::HoldRoute { address, towards_pod } => route::hold(&mut host.route, *address, *towards_pod),
        Step::AnchorAddress { address, anchor } => route::add_address(&mut host.route, *address, *anchor),
        Step::DropLocalRoute { address, anchor } => route::drop_local(&mut host.route, *address, *anchor),
        Step::ReleaseRoute { address, towards_pod } => route::unhold(&mut host.route, *address, *towards_pod),
        Step::Guard { address } => guard::add(&mut host.netfilter, *address),
        Step::DropPnetid { pnetid } => pnet::delete(&mut inside.generic, family, pnetid),
        Step::SetPnetid { interface, pnetid } => {
            pnet::set_netdev(&mut inside.generic, family, interface, pnetid)
        }
        Step::ConvertBySysctl => netns.run(|| Sysctl::default().set(conversion::TCP2SMC, "1").map(drop))?,
        Step::ConvertByBpf { map } => conversion::add_to_map(map, inside.cookie),
    }
}

/// Takes one step back; what is gone already is fine. PNET entries are put back by [`restore_pnetids`].
pub fn undo(step: &Step, host: &mut Host, netns: &Netns, inside: &mut Inside) -> Result<(), HostError> {
    match step {
        Step::HoldRoute { address, towards_pod } => route::unhold(&mut host.route, *address, *towards_pod),
        // Takes the local route along.
        Step::AnchorAddress { address, anchor } => route::delete_address(&mut host.route, *address, *anchor),
        Step::Guard { address } => guard::remove(&mut host.netfilter, *address),
        Step::SetPnetid { pnetid, .. } => pnet::delete(&mut inside.generic, host.families.pnetid, pnetid),
        Step::ConvertBySysctl => netns.run(|| Sysctl::default().set(conversion::TCP2SMC, "0").map(drop))?,
        Step::ConvertByBpf { map } => conversion::remove_from_map(map, inside.cookie),
        Step::DropLocalRoute { .. } | Step::ReleaseRoute { .. } | Step::DropPnetid { .. } => Ok(()),
    }
}

/// Gives the pod's interfaces the PNETIDs back that they had when `before` was observed.
pub fn restore_pnetids(before: &PodFacts, host: &Host, inside: &mut Inside) -> Result<(), HostError> {
    for interface in &before.interfaces {
        if let Some(pnetid) = &interface.pnetid {
            pnet::set_netdev(&mut inside.generic, host.families.pnetid, &interface.name, pnetid)?;
        }
    }
    Ok(())
}

/// Takes one step of a release, from a thread in the host's namespace. What is gone already is fine.
pub fn release(step: &Release) -> Result<(), HostError> {
    match step {
        Release::Unconvert { map, cookie } => conversion::remove_from_map(map, *cookie),
        Release::Unguard { address } => guard::remove(&mut Connection::open(Protocol::Netfilter)?, *address),
        Release::Unanchor { address } => match route::anchor_link() {
            Some(anchor) => route::delete_address(&mut Connection::open(Protocol::Route)?, *address, anchor),
            None => Ok(()),
        },
    }
}
