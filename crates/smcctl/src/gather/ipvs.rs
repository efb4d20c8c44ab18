//! IPVS' virtual servers, as the kernel lists them (net/netfilter/ipvs/ip_vs_ctl.c, `ip_vs_info_seq_show`).

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::net::Ipv4Addr;

/// Of the thread's network namespace, which is the host's.
const SERVERS: &str = "/proc/thread-self/net/ip_vs";

/// The IPv4 addresses that have virtual servers; none where IPVS is not in use.
pub(super) fn addresses() -> Result<BTreeSet<Ipv4Addr>, String> {
    match fs::read_to_string(SERVERS) {
        Ok(servers) => Ok(addresses_in(&servers)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(BTreeSet::new()),
        Err(error) => Err(format!("cannot read {SERVERS}: {error}")),
    }
}

/// Lines such as `TCP  0A00000B:7530 rr`; those of backends begin with an arrow, IPv6 addresses stand in brackets.
fn addresses_in(servers: &str) -> BTreeSet<Ipv4Addr> {
    let address_in = |line: &str| -> Option<Ipv4Addr> {
        let mut words = line.split_ascii_whitespace();
        let protocol = words.next()?;
        let (address, _port) = words.next()?.split_once(':')?;
        let is_server = matches!(protocol, "TCP" | "UDP" | "SCTP");
        u32::from_str_radix(address, 16).ok().filter(|_| is_server).map(Ipv4Addr::from)
    };
    servers.lines().filter_map(address_in).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_addresses_of_virtual_servers_are_read_and_those_of_backends_are_not() {
        let servers = "IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port Forward Weight ActiveConn InActConn
TCP  0A60000A:0035 rr
  -> 0A000015:0035      Masq    1      0          0
TCP  0A000015:7530 rr
UDP  0A60000A:0035 rr
TCP  [fd00:0000:0000:0000:0000:0000:0000:0001]:0050 rr
FWM  00000007 rr
";
        let expected = [[10, 0, 0, 21], [10, 96, 0, 10]].map(Ipv4Addr::from);
        assert_eq!(addresses_in(servers), expected.into());
        assert_eq!(addresses_in(""), BTreeSet::new());
    }
}
