//! Apply: one step of a plan, or one step of its release. Nothing is decided here.

use smc_model::{Release, Step};

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
        Step::SetPnetid { interface, pnetid } => pnet::set_netdev(&mut inside.generic, family, interface, pnetid),
        Step::ConvertBySysctl => netns.run(|| Sysctl::default().set(conversion::TCP2SMC, "1").map(drop))?,
        Step::ConvertByBpf { map } => conversion::add_to_map(map, inside.cookie),
    }
}

/// Takes one step of a release. What is gone already is fine. `anchor` is the index of the anchor link.
pub fn release(step: &Release, host: &mut Host, anchor: Option<u32>) -> Result<(), HostError> {
    match step {
        Release::Unconvert { map, cookie } => conversion::remove_from_map(map, *cookie),
        Release::Unguard { address } => guard::remove(&mut host.netfilter, *address),
        Release::Unanchor { address } => match anchor {
            Some(anchor) => route::delete_address(&mut host.route, *address, anchor),
            None => Ok(()),
        },
    }
}
