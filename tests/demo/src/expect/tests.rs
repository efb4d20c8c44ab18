use super::*;
use rig::counters::RoleCounters;

fn role(smcr: u64, fallback: &[(u32, u16)]) -> RoleCounters {
    RoleCounters { smcr, errors: 0, fallback: fallback.iter().copied().collect() }
}

fn seen(client: RoleCounters, server: RoleCounters) -> Seen {
    Seen {
        client: Counters { client, server: RoleCounters::default() },
        server: Counters { client: RoleCounters::default(), server },
        traffic: Traffic { requests: 20, failed: 0, files: 5, files_right: 5 },
    }
}

#[test]
fn one_fallback_among_many_connections_fails_an_smcr_pair() {
    assert!(judge(Expected::SmcR, &seen(role(6, &[]), role(6, &[]))).is_ok());
    assert!(judge(Expected::SmcR, &seen(role(6, &[(0x0301_0000, 1)]), role(6, &[]))).is_err());
    assert!(judge(Expected::SmcR, &seen(role(6, &[]), role(5, &[]))).is_err());
    assert!(judge(Expected::SmcR, &seen(role(0, &[]), role(0, &[]))).is_err());
}

#[test]
fn an_smc_socket_where_none_may_be_fails_a_plain_pair() {
    assert!(judge(Expected::Tcp, &seen(role(0, &[]), role(0, &[]))).is_ok());
    assert!(judge(Expected::Tcp, &seen(role(0, &[(0x0301_0000, 1)]), role(0, &[]))).is_err());
}

#[test]
fn another_reason_than_a_peer_without_smc_fails_the_pair() {
    assert!(judge(Expected::PeerWithoutSmc, &seen(role(0, &[(0x0301_0000, 9)]), role(0, &[]))).is_ok());
    assert!(judge(Expected::PeerWithoutSmc, &seen(role(0, &[(0x0303_0000, 9)]), role(0, &[]))).is_err());
}

#[test]
fn a_damaged_file_fails_any_pair() {
    let mut damaged = seen(role(6, &[]), role(6, &[]));
    damaged.traffic.files_right = 4;
    assert!(judge(Expected::SmcR, &damaged).is_err());
}

#[test]
fn a_hop_between_proxies_that_fell_back_shows_in_one_role_only() {
    let mut proxies = seen(role(6, &[(0x0500_0000, 3)]), role(6, &[(0x0303_0002, 2)]));
    proxies.client.server = role(0, &[(0x0303_0002, 3)]);
    proxies.server.client = role(0, &[(0x0500_0000, 2)]);
    assert!(judge(Expected::SmcRBetweenProxies, &proxies).is_ok());
    proxies.client.client.fallback.insert(0x0301_0000, 1);
    assert!(judge(Expected::SmcRBetweenProxies, &proxies).is_err());
}
