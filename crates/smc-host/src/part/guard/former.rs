//! The same-node guard of earlier versions: an nftables table in the host's namespace. Only taken away.

use smc_abi::nft;

use crate::netlink::{Connection, Protocol, Sequences};
use crate::{HostError, error};

/// The table, of family inet.
const TABLE: &str = "kube-smc";
/// What a kernel without nf_tables answers.
const NO_SUCH_THING: [i32; 3] = [libc::EOPNOTSUPP, libc::EINVAL, libc::EPROTONOSUPPORT];

/// Removes the table, and says whether it was there.
pub fn remove() -> Result<bool, HostError> {
    let attempt = format_args!("remove the nftables table inet {TABLE}");
    let mut netfilter = match Connection::open(Protocol::Netfilter) {
        Err(error) if error.errno().is_some_and(|errno| NO_SUCH_THING.contains(&errno)) => return Ok(false),
        opened => opened?,
    };
    let batch = nft::delete_table(TABLE);
    let first = netfilter.next_sequence();
    // Begin, change, end.
    let sequences = Sequences { first, count: 3, awaited: batch.change_sequence(first) };
    let removed = netfilter.batch(&attempt, &batch.frames(first), sequences);
    let there = removed.is_ok();
    let absent = [&[libc::ENOENT][..], &NO_SUCH_THING].concat();
    error::tolerate(removed, &absent).map(|()| there)
}
