//! Why a connection is TCP and not SMC: those of the kernel's reason codes (net/smc/smc_clc.h, `SMC_CLC_DECL_*`) that
//! code asks for by name. The table of all of them, with words, is `smc_model::reasons`.

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
