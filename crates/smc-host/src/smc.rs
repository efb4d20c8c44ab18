//! What SMC itself tells: devices, link groups, enterprise ids, counters.

use smc_abi::smc::{self, FallbackStats, Link, LinkGroup, LinkRecord, SmcDevice, Stats};
use smc_model::Ueid;

use crate::netlink::Connection;
use crate::{HostError, error};

/// Every RDMA device that SMC knows, in the kernel's order; the same in every namespace.
pub fn devices(generic: &mut Connection, family: u16) -> Result<Vec<SmcDevice>, HostError> {
    let attempt = "list SMC's RDMA devices";
    let answers = generic.request(&attempt, &smc::devices(family))?;
    answers
        .iter()
        .map(|answer| smc::parse_device(&answer.body))
        .collect::<Result<_, _>>()
        .map_err(HostError::at(attempt))
}

/// A link group with its links.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkedGroup {
    /// The group.
    pub group: LinkGroup,
    /// Its links; each is a queue pair of its device.
    pub links: Vec<Link>,
}

/// Every SMC-R link group of the host with its links; the same in every namespace.
pub fn link_groups(generic: &mut Connection, family: u16) -> Result<Vec<LinkedGroup>, HostError> {
    let attempt = "list SMC's link groups";
    let mut groups: Vec<LinkedGroup> = Vec::new();
    for answer in generic.request(&attempt, &smc::links(family))? {
        match smc::parse_link_record(&answer.body).map_err(HostError::at(attempt))? {
            LinkRecord::Group(group) => groups.push(LinkedGroup { group, links: Vec::new() }),
            LinkRecord::Link(link) => {
                if let Some(last) = groups.last_mut() {
                    last.links.push(link);
                }
            }
        }
    }
    Ok(groups)
}

/// Whether the kernel offers SMC-D loopback, by which pods of one node can talk without RDMA (CONFIG_SMC_LO,
/// CONFIG_DIBS_LO): off s390 it is the only device that counts as ISM version 2 (net/smc/smc_netlink.c).
pub fn has_loopback(generic: &mut Connection, family: u16) -> Result<bool, HostError> {
    let attempt = "ask SMC for its features";
    let answers = generic.request(&attempt, &smc::sys_info(family))?;
    let infos = answers.iter().map(|answer| smc::parse_sys_info(&answer.body));
    let infos = infos.collect::<Result<Vec<_>, _>>().map_err(HostError::at(attempt))?;
    Ok(infos.iter().any(|info| info.is_ism_v2_capable))
}

/// The node's user-defined enterprise ids.
pub fn ueids(generic: &mut Connection, family: u16) -> Result<Vec<Ueid>, HostError> {
    let attempt = "list the UEIDs";
    let answers = generic.request(&attempt, &smc::ueids(family))?;
    let mut ids = Vec::with_capacity(answers.len());
    for answer in &answers {
        let text = smc::parse_ueid(&answer.body).map_err(HostError::at(attempt))?;
        ids.extend(text.parse::<Ueid>().ok());
    }
    Ok(ids)
}

/// Adds an enterprise id; fine when it is there.
pub fn add_ueid(generic: &mut Connection, family: u16, id: &Ueid) -> Result<(), HostError> {
    let attempt = format_args!("add the UEID {id}");
    error::tolerate(generic.request(&attempt, &smc::add_ueid(family, id.as_str())).map(drop), &[libc::EEXIST])
}

/// Removes an enterprise id; fine when it is not there.
pub fn remove_ueid(generic: &mut Connection, family: u16, id: &Ueid) -> Result<(), HostError> {
    let attempt = format!("remove the UEID {id}");
    let request = smc::remove_ueid(family, id.as_str());
    error::tolerate(generic.request(&attempt, &request).map(drop), &[libc::ENOENT])
}

/// The connection counters of the namespace that `generic` was opened in.
pub fn stats(generic: &mut Connection, family: u16) -> Result<Stats, HostError> {
    let attempt = "read SMC's statistics";
    let answers = generic.request(&attempt, &smc::stats(family))?;
    let first = answers.first().ok_or_else(|| {
        HostError::new(attempt, crate::Cause::Unexpected("the kernel gave none".to_owned()))
    })?;
    smc::parse_stats(&first.body).map_err(HostError::at(attempt))
}

/// The fallback counters of the namespace that `generic` was opened in, one value for each role and reason.
pub fn fallback_stats(generic: &mut Connection, family: u16) -> Result<Vec<FallbackStats>, HostError> {
    let attempt = "read SMC's fallback statistics";
    let answers = generic.request(&attempt, &smc::fallback_stats(family))?;
    answers
        .iter()
        .map(|answer| smc::parse_fallback_stats(&answer.body))
        .collect::<Result<_, _>>()
        .map_err(HostError::at(attempt))
}
