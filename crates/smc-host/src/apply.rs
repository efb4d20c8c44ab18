//! Apply: one step of a plan, or one step of its release. Nothing is decided here.

use std::collections::BTreeSet;
use std::iter;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use smc_model::{Owned, PodFacts, Release, Step};

use crate::conversion::Mptcp;
use crate::guard::{Guard, OpenedGuard};
use crate::netlink::{Connection, Protocol};
use crate::netns::{Inside, Netns};
use crate::observe::Host;
use crate::sysctl::Sysctl;
use crate::{Cause, HostError, anchor, conversion, guard, pnet};

/// Takes one step. Steps are idempotent: what is there already is fine.
pub fn step(step: &Step, host: &mut Host, netns: &Netns, inside: &mut Inside) -> Result<(), HostError> {
    let family = host.families.pnetid;
    match step {
        Step::HoldRoute { address, towards_pod, source } => {
            anchor::hold(&mut host.route, *address, *towards_pod, *source)
        }
        Step::AnchorAddress { address, anchor } => anchor::add_address(&mut host.route, *address, *anchor),
        Step::DropLocalRoute { address, anchor } => anchor::drop_local(&mut host.route, *address, *anchor),
        Step::ReleaseRoute { address, towards_pod } => {
            anchor::unhold(&mut host.route, *address, Some(*towards_pod))
        }
        // First the program: an address whose SYNs lose their offer, on an interface that takes none out, would be half guarded.
        Step::Guard { address, interface, also, pins, peers } => {
            let guard = opened(&mut host.guard, pins.as_deref())?;
            if let Some(interface) = interface {
                // One that is gone by now brings nothing in.
                if let Some(index) = inside.route.link_index(interface)? {
                    guard.attach(&mut inside.route, index)?;
                }
            }
            both(*address, also).try_for_each(|address| guard.add_pod(address, peers.as_ref()))
        }
        Step::DropPnetid { pnetid } => pnet::delete(&mut inside.generic, family, pnetid),
        Step::SetPnetid { interface, pnetid } => {
            pnet::set_netdev(&mut inside.generic, family, interface, pnetid)
        }
        // First MPTCP: what is asked for as that between the two would stay so.
        Step::ConvertBySysctl { mptcp_off } => netns.run(|| {
            if *mptcp_off {
                host.sysctl.set(conversion::MPTCP_ENABLED, "0")?;
            }
            host.sysctl.set(conversion::TCP2SMC, "1").map(drop)
        })?,
        Step::ConvertByBpf { map, keep_mptcp } => {
            host.map.open(map)?.insert(inside.needed_cookie()?, Mptcp::keep(*keep_mptcp))
        }
    }
}

/// Takes one step back; what is gone already is fine. PNET entries are put back by [`restore_pnetids`].
pub fn undo(step: &Step, host: &mut Host, netns: &Netns, inside: &mut Inside) -> Result<(), HostError> {
    match step {
        Step::HoldRoute { address, towards_pod, .. } => {
            anchor::unhold(&mut host.route, *address, Some(*towards_pod))
        }
        // Takes the local route along.
        Step::AnchorAddress { address, anchor } => anchor::delete_address(&mut host.route, *address, *anchor),
        Step::Guard { address, interface, also, pins, .. } => {
            if let Some(index) = interface.as_ref().map(|name| inside.route.link_index(name)) {
                index?.map_or(Ok(()), |index| guard::detach(&mut inside.route, index))?;
            }
            let Some(pins) = pins else { return Ok(()) };
            both(*address, also).try_for_each(|address| unguard(pins, address))
        }
        Step::SetPnetid { pnetid, .. } => pnet::delete(&mut inside.generic, host.families.pnetid, pnetid),
        Step::ConvertBySysctl { mptcp_off } => undo_sysctl(netns, &host.sysctl, *mptcp_off),
        Step::ConvertByBpf { map, .. } => conversion::remove_from_map(map, inside.needed_cookie()?),
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

/// Ends what of a pod's conversion is ours: its new sockets stay TCP. What is gone already is fine.
pub fn unconvert(owned: &Owned, netns: &Netns, sysctl: &Sysctl) -> Result<(), HostError> {
    if let Some((map, cookie)) = &owned.converted {
        conversion::remove_from_map(map, *cookie)?;
    }
    if owned.sysctl { undo_sysctl(netns, sysctl, owned.mptcp_off) } else { Ok(()) }
}

/// Leaves the address alone; fine where the guard is gone.
fn unguard(pins: &Path, address: IpAddr) -> Result<(), HostError> {
    let Some(guard) = Guard::open_if_there(pins)? else { return Ok(()) };
    guard.remove_pod(address)
}

fn both(address: Ipv4Addr, also: &BTreeSet<Ipv6Addr>) -> impl Iterator<Item = IpAddr> {
    iter::once(IpAddr::V4(address)).chain(also.iter().copied().map(IpAddr::V6))
}

fn opened<'a>(guard: &'a mut OpenedGuard, pins: Option<&Path>) -> Result<&'a Guard, HostError> {
    let no_pins =
        || HostError::new("guard the pod", Cause::Unexpected("nobody says where it is pinned".to_owned()));
    guard.open(pins.ok_or_else(no_pins)?)
}

fn undo_sysctl(netns: &Netns, sysctl: &Sysctl, mptcp_off: bool) -> Result<(), HostError> {
    netns.run(|| {
        // The one also where the other fails: the sysctl that converts goes with its module.
        let ended = sysctl.set(conversion::TCP2SMC, "0").map(drop);
        let mptcp = if mptcp_off { sysctl.set(conversion::MPTCP_ENABLED, "1").map(drop) } else { Ok(()) };
        ended.and(mptcp)
    })?
}

/// Takes one step of a release, from a thread in the host's namespace. What is gone already is fine.
pub fn release(step: &Release) -> Result<(), HostError> {
    match step {
        Release::Unconvert { map, cookie } => conversion::remove_from_map(map, *cookie),
        Release::Unguard { pins, address } => unguard(pins, *address),
        Release::AllowAll { pins, address } => {
            Guard::open_if_there(pins)?.map_or(Ok(()), |guard| guard.allow_all(*address))
        }
        Release::Unanchor { address } => match anchor::link_index() {
            Some(link) => anchor::delete_address(&mut Connection::open(Protocol::Route)?, *address, link),
            None => Ok(()),
        },
        Release::Unhold { address } => {
            anchor::unhold(&mut Connection::open(Protocol::Route)?, *address, None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sysctl_of_a_conversion_is_ended_where_the_callers_proc_is_mounted_and_only_if_it_is_ours() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("net/smc/tcp2smc");
        std::fs::create_dir_all(dir.path().join("net/smc")).unwrap();
        std::fs::write(&file, "1").unwrap();
        let (netns, sysctl) = (Netns::current().unwrap(), Sysctl::at(dir.path()));
        // Entering a namespace, even one's own, needs CAP_SYS_ADMIN.
        unconvert(&Owned::default(), &netns, &sysctl).unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "1");
        let ours = Owned { sysctl: true, ..Owned::default() };
        match unconvert(&ours, &netns, &sysctl) {
            Ok(()) => assert_eq!(std::fs::read_to_string(&file).unwrap(), "0"),
            Err(error) => assert_eq!(error.errno(), Some(libc::EPERM), "{}", error.with_cause()),
        }
    }
}
