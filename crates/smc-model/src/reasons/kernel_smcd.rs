//! The kernel's codes that belong to SMC-D (s390's ISM devices, and the kernel's own loopback device).

use super::{Cause, Entry, KernelCode, Policy};

const fn code(code: u32, constant: &'static str) -> KernelCode {
    KernelCode { code, constant: Some(constant), alibaba_only: false }
}

const OF_SMCD: &[Cause] = &[Cause {
    what: "one end offered SMC-D beside SMC-R, and SMC-R failed too",
    check: "`smcctl doctor` on both nodes",
}];
const REMEDY: &str =
    "nothing about SMC-D: nodes of kube-smc use SMC-R; see `smcctl doctor` on both nodes for that";

const fn entry(name: &'static str, kernel: KernelCode, seen: &'static str, meaning: &'static str) -> Entry {
    Entry {
        name,
        kernel: Some(kernel),
        seen,
        meaning,
        causes: OF_SMCD,
        remedy: REMEDY,
        policy: Policy::ONLY_TOLD,
    }
}

pub(super) static ALL: &[Entry] = &[
    entry(
        "NoSmcdDevice",
        code(0x0303_0001, "SMC_CLC_DECL_NOSMCDDEV"),
        "no usable SMC-D device for this connection",
        "the peer proposed SMC-D, and this side has no device for it",
    ),
    entry(
        "NoIsmVersion2",
        code(0x0303_0003, "SMC_CLC_DECL_NOISM2SUPP"),
        "no support for ISM version 2",
        "the peer proposed SMC-D version 2, which this node's hardware does not have",
    ),
    entry(
        "PeerWithoutSmcdV2",
        code(0x0303_0005, "SMC_CLC_DECL_NOV2DEXT"),
        "peer sent no SMC-D version 2 extension",
        "the peer proposed SMC-D without what version 2 needs",
    ),
    entry(
        "PeerWithoutSystemEid",
        code(0x0303_0006, "SMC_CLC_DECL_NOSEID"),
        "peer sent no system EID",
        "the peer is not on this machine's hardware, so SMC-D cannot reach it",
    ),
    entry(
        "NoSmcdV2Device",
        code(0x0303_0007, "SMC_CLC_DECL_NOSMCD2DEV"),
        "no matching SMC-D version 2 device",
        "no SMC-D device of this side is on the peer's internal network",
    ),
    entry(
        "IsmVlanRefused",
        code(0x0309_0000, "SMC_CLC_DECL_ISMVLANERR"),
        "the VLAN could not be registered with the ISM device",
        "the SMC-D device does not take the connection's VLAN",
    ),
    entry(
        "SmcdBuffersExhausted",
        code(0x030d_0000, "SMC_CLC_DECL_MAX_DMB"),
        "no SMC-D buffers left",
        "the SMC-D device has no room for another connection",
    ),
];
