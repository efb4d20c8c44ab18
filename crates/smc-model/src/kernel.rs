//! The running kernel, and what its SMC asks of a set-up.

use serde::{Deserialize, Serialize};

/// The running kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kernel {
    /// `uname -r`.
    pub release: String,
    /// Whose SMC code it has.
    pub family: KernelFamily,
}

impl Kernel {
    /// What its SMC asks of a set-up.
    pub fn smc(&self) -> SmcTraits {
        self.family.smc()
    }
}

/// Whose SMC code a kernel has. What follows from that is in [`SmcTraits`], so that nobody else need ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KernelFamily {
    /// Mainline SMC.
    Mainline,
    /// Alibaba's 5.10 kernel, which has `net.smc.tcp2smc`.
    Alibaba,
}

/// In what the SMC code of kernels differs, each for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent of each other")]
pub struct SmcTraits {
    /// The server side of SMC-R v2 looks for a route from the pod's address in the host's netns, and finds none for a veth pod
    /// without the source anchor.
    pub needs_anchor: bool,
    /// An RDMA port serves only interfaces that have an address in a subnet of the port's network device.
    pub needs_same_subnet: bool,
    /// Without a UEID in common two nodes find no device, and say so by codes of their own; else the kernel has an id that is
    /// there whenever its SMC is.
    pub needs_ueid: bool,
    /// AF_INET6 sockets with mapped addresses find no RDMA device.
    pub needs_ipv4_sockets: bool,
    /// iWARP devices are used (mainline's `smc_ib_add_dev` wants RoCE).
    pub takes_iwarp: bool,
    /// The TCP socket inside an SMC socket has no file until the handshake is over, so that netfilter's owner match sees no user. Of
    /// Alibaba's kernel, for which ASM offers SMC to pods with sidecars, that is not known.
    pub hides_owner: bool,
    /// Connections that fit into one link group (net/smc/smc_core.h, `SMC_CONN_PER_LGR_MAX`; Alibaba's kernel has its own).
    pub connections_per_group: u64,
}

impl KernelFamily {
    /// What a kernel of this release is. `net.smc.tcp2smc` tells, but it comes and goes with the smc module; while that is
    /// not there, the release must do.
    pub fn of(release: &str, smc_loaded: bool, has_tcp2smc: bool) -> Self {
        if has_tcp2smc || (!smc_loaded && is_alibabas_5_10(release)) { Self::Alibaba } else { Self::Mainline }
    }

    /// What its SMC asks of a set-up.
    pub const fn smc(self) -> SmcTraits {
        match self {
            Self::Mainline => SmcTraits {
                needs_anchor: true,
                needs_same_subnet: true,
                needs_ueid: true,
                needs_ipv4_sockets: true,
                takes_iwarp: false,
                hides_owner: true,
                connections_per_group: 255,
            },
            Self::Alibaba => SmcTraits {
                needs_anchor: false,
                needs_same_subnet: false,
                needs_ueid: false,
                needs_ipv4_sockets: false,
                takes_iwarp: true,
                hides_owner: false,
                connections_per_group: 32,
            },
        }
    }
}

/// Whether this is a release of Alibaba's 5.10: Alibaba Cloud Linux 3 and 2, Anolis OS, `LifseaOS`. Alibaba Cloud Linux 4
/// (6.6) has a mainline-like SMC without `net.smc.tcp2smc`.
fn is_alibabas_5_10(release: &str) -> bool {
    let marks = [".al8", ".al7", ".an8", ".an7", ".alnx", "lifsea"];
    release.starts_with("5.10.") && marks.iter().any(|mark| release.contains(mark))
}
