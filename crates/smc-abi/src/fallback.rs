//! Why a connection is TCP and not SMC: the kernel's reason codes (net/smc/smc_clc.h, `SMC_CLC_DECL_*`).
//!
//! The same codes stand in `SMC_DIAG_FALLBACK`, in the fallback statistics, in the tracepoint
//! `smc_switch_to_fallback` and in the CLC DECLINE message. Peers may send codes of their own.

/// The peer, or something in between, does not speak SMC.
pub const PEERNOSMC: u32 = 0x0301_0000;
/// The handshake succeeded, but nothing came over RDMA in time.
pub const TIMEOUT_CL: u32 = 0x0201_0000;
/// No usable SMC-R or SMC-D device for this connection.
pub const NOSMCDEV: u32 = 0x0303_0000;
/// No usable SMC-R device for this connection.
pub const NOSMCRDEV: u32 = 0x0303_0002;
/// The peer declined; its reason is in the peer diagnosis.
pub const PEERDECL: u32 = 0x0500_0000;

/// The constant's name in the kernel source, such as `SMC_CLC_DECL_PEERNOSMC`.
pub fn name(code: u32) -> Option<&'static str> {
    find(code).map(|(_, name, _)| *name)
}

/// What the code says, in a few words; `unknown reason` for codes that are not the kernel's.
pub fn describe(code: u32) -> &'static str {
    find(code).map_or("unknown reason", |(_, _, description)| description)
}

/// All codes, in ascending order.
pub fn codes() -> impl Iterator<Item = u32> {
    REASONS.iter().map(|(code, _, _)| *code)
}

fn find(code: u32) -> Option<&'static (u32, &'static str, &'static str)> {
    REASONS.iter().find(|(known, _, _)| *known == code)
}

#[rustfmt::skip]
const REASONS: [(u32, &str, &str); 36] = [
    (0x0101_0000, "SMC_CLC_DECL_MEM", "not enough memory for the connection's buffers"),
    (TIMEOUT_CL, "SMC_CLC_DECL_TIMEOUT_CL", "no answer over RDMA in time"),
    (0x0202_0000, "SMC_CLC_DECL_TIMEOUT_AL", "timeout while adding an RDMA link"),
    (0x0300_0000, "SMC_CLC_DECL_CNFERR", "the local address has no prefix on the route's device"),
    (PEERNOSMC, "SMC_CLC_DECL_PEERNOSMC", "peer has no SMC"),
    (0x0302_0000, "SMC_CLC_DECL_IPSEC", "the socket has an IPsec policy"),
    (NOSMCDEV, "SMC_CLC_DECL_NOSMCDEV", "no usable SMC device for this connection"),
    (0x0303_0001, "SMC_CLC_DECL_NOSMCDDEV", "no usable SMC-D device for this connection"),
    (NOSMCRDEV, "SMC_CLC_DECL_NOSMCRDEV", "no usable SMC-R device for this connection"),
    (0x0303_0003, "SMC_CLC_DECL_NOISM2SUPP", "no support for ISM version 2"),
    (0x0303_0004, "SMC_CLC_DECL_NOV2EXT", "peer sent no SMC version 2 extension"),
    (0x0303_0005, "SMC_CLC_DECL_NOV2DEXT", "peer sent no SMC-D version 2 extension"),
    (0x0303_0006, "SMC_CLC_DECL_NOSEID", "peer sent no system EID"),
    (0x0303_0007, "SMC_CLC_DECL_NOSMCD2DEV", "no matching SMC-D version 2 device"),
    (0x0303_0008, "SMC_CLC_DECL_NOUEID", "peer sent no user EID"),
    (0x0303_0009, "SMC_CLC_DECL_RELEASEERR", "no common SMC release"),
    (0x0303_000a, "SMC_CLC_DECL_MAXCONNERR", "no agreement on connections per link group"),
    (0x0303_000b, "SMC_CLC_DECL_MAXLINKERR", "no agreement on links per link group"),
    (0x0304_0000, "SMC_CLC_DECL_MODEUNSUPP", "one side speaks SMC-R only, the other SMC-D only"),
    (0x0305_0000, "SMC_CLC_DECL_RMBE_EC", "peer wants eye catchers in the receive buffers"),
    (0x0306_0000, "SMC_CLC_DECL_OPTUNSUPP", "the socket uses TCP fast open"),
    (0x0307_0000, "SMC_CLC_DECL_DIFFPREFIX", "the two addresses are in different subnets"),
    (0x0308_0000, "SMC_CLC_DECL_GETVLANERR", "the connection's VLAN could not be found out"),
    (0x0309_0000, "SMC_CLC_DECL_ISMVLANERR", "the VLAN could not be registered with the ISM device"),
    (0x030a_0000, "SMC_CLC_DECL_NOACTLINK", "no active link in the link group"),
    (0x030b_0000, "SMC_CLC_DECL_NOSRVLINK", "the server's link is unknown here"),
    (0x030c_0000, "SMC_CLC_DECL_VERSMISMAT", "SMC versions do not match"),
    (0x030d_0000, "SMC_CLC_DECL_MAX_DMB", "no SMC-D buffers left"),
    (0x030e_0000, "SMC_CLC_DECL_NOROUTE", "no route to the peer's RDMA address"),
    (0x030f_0000, "SMC_CLC_DECL_NOINDIRECT", "one side sees a gateway between the RDMA devices, the other does not"),
    (0x0400_0000, "SMC_CLC_DECL_SYNCERR", "the two sides' link groups are out of step"),
    (PEERDECL, "SMC_CLC_DECL_PEERDECL", "peer declined"),
    (0x0999_0000, "SMC_CLC_DECL_INTERR", "internal error"),
    (0x0999_0001, "SMC_CLC_DECL_ERR_RTOK", "the peer's RDMA buffer token could not be stored"),
    (0x0999_0002, "SMC_CLC_DECL_ERR_RDYLNK", "the RDMA queue pair could not be made ready"),
    (0x0999_0003, "SMC_CLC_DECL_ERR_REGBUF", "a buffer could not be registered with the RDMA device"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_codes_have_name_and_description() {
        assert_eq!(name(0x0301_0000), Some("SMC_CLC_DECL_PEERNOSMC"));
        assert_eq!(describe(0x0301_0000), "peer has no SMC");
        assert_eq!(name(0x0999_0003), Some("SMC_CLC_DECL_ERR_REGBUF"));
    }

    #[test]
    fn unknown_codes_have_no_name() {
        assert_eq!((name(0x1234), describe(0x1234)), (None, "unknown reason"));
    }

    #[test]
    fn the_table_is_ascending_and_every_name_unique() {
        let all: Vec<u32> = codes().collect();
        assert!(all.is_sorted_by(|a, b| a < b));
        let names: std::collections::BTreeSet<_> = all.iter().filter_map(|&code| name(code)).collect();
        assert_eq!(names.len(), all.len());
    }
}
