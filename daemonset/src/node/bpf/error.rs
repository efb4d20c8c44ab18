use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Why the conversion program could not be put in place, looked at or removed.
///
/// `Display` says what was tried on what, `source` is the kernel's answer, [`BpfError::remedy`] says what to do.
#[derive(Debug, Error)]
pub enum BpfError {
    /// The directory for the pins is not on a bpffs.
    #[error("{} is not on a bpffs (file system type {found:#x})", path.display())]
    NotBpffs {
        /// The directory looked at: the pin directory or its parent.
        path: PathBuf,
        /// `statfs` type of what is there instead.
        found: i64,
    },
    /// A file system operation on a pin or its directory failed.
    #[error("cannot {operation} {}", path.display())]
    Pin {
        /// The operation, as a verb.
        operation: &'static str,
        /// The pin or directory.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The kernel's type information cannot be read.
    #[error("cannot read the kernel's BTF from /sys/kernel/btf/vmlinux")]
    NoKernelBtf(#[source] libbpf_rs::Error),
    /// The kernel has no function to hang the program on.
    #[error("this kernel has no update_socket_protocol() to attach the conversion program to")]
    HookAbsent,
    /// The function is there but not open to BPF programs.
    #[error("this kernel does not let BPF programs change update_socket_protocol()")]
    HookNotAllowed(#[source] libbpf_rs::Error),
    /// The process lacks a capability.
    #[error("cannot {operation} without {capability}")]
    MissingCapability {
        /// Which.
        capability: &'static str,
        /// The operation, as a verb and its object.
        operation: &'static str,
        /// The kernel's answer.
        source: libbpf_rs::Error,
    },
    /// The kernel refused with EPERM a process that has the capabilities.
    #[error("cannot {operation}: refused, although the process has the capabilities for it")]
    NotPermitted {
        /// The operation, as a verb and its object.
        operation: &'static str,
        /// The kernel's answer.
        source: libbpf_rs::Error,
    },
    /// A BPF operation failed for another reason.
    #[error("cannot {operation}{}", with_log(log))]
    Bpf {
        /// The operation, as a verb and its object.
        operation: &'static str,
        /// What libbpf and the kernel's verifier wrote meanwhile; may be empty.
        log: String,
        /// The kernel's answer.
        source: libbpf_rs::Error,
    },
    /// The object in this binary is not what this code expects.
    #[error("the embedded BPF object has no {0}")]
    Object(&'static str),
    /// Something else is pinned where the map should be.
    #[error("{} is not a map of namespaces (found {found})", path.display())]
    IncompatibleMap {
        /// The pin.
        path: PathBuf,
        /// Type and sizes of what is there.
        found: String,
    },
    /// Something else is pinned where the link should be.
    #[error("{} is not the link of a tracing program (found {found})", path.display())]
    ForeignLink {
        /// The pin.
        path: PathBuf,
        /// What is there.
        found: String,
    },
    /// The link lost its name and is still attached.
    #[error("the conversion program is still attached (link {link}) although its pin is gone")]
    StillAttached {
        /// Kernel id of the link.
        link: u32,
    },
    /// The pinned link does not hold the program just attached.
    #[error("{} does not hold the program that was just pinned there", path.display())]
    NotReadBack {
        /// The pin.
        path: PathBuf,
    },
}

impl BpfError {
    /// What a person can do about it, in one sentence.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::NotBpffs { .. } => {
                "mount a bpffs at /sys/fs/bpf on the node (mount -t bpf bpf /sys/fs/bpf) and pass that directory into \
                 the agent's container as a hostPath"
            }
            Self::Pin { .. } => {
                "the agent needs to write to the node's /sys/fs/bpf (hostPath, not read-only, with CAP_SYS_ADMIN)"
            }
            Self::NoKernelBtf(_) => "use a kernel built with CONFIG_DEBUG_INFO_BTF=y",
            Self::HookAbsent => {
                "use kernel 6.11 or later (the hook came with 6.6, IPPROTO_SMC with 6.11) or one with \
                 net.smc.tcp2smc (Alibaba Cloud Linux 3)"
            }
            Self::HookNotAllowed(_) => {
                "use a kernel built with CONFIG_MPTCP=y: it is MPTCP that opens this function to BPF (net/mptcp/bpf.c)"
            }
            Self::MissingCapability { .. } => {
                "give the agent's container the capabilities of the manifest (securityContext.capabilities.add): SYS_ADMIN for all \
                 of BPF, SYS_RESOURCE for its maps on kernels before 5.11, which count them as locked memory"
            }
            Self::NotPermitted { .. } => {
                "let the container's seccomp profile allow bpf(2) (seccompProfile: Unconfined), do not run the agent in \
                 a user namespace, and keep kernel lockdown out of mode `confidentiality`"
            }
            Self::Bpf { .. } => {
                "look at the kernel's answer and the verifier's log; report it as a bug of kube-smc"
            }
            Self::Object(_) => "this build of smc-agent is broken; use another",
            Self::IncompatibleMap { .. } | Self::ForeignLink { .. } => {
                "remove the pins of the other version (rm) and start the agent again; pods are converted again then"
            }
            Self::StillAttached { .. } => {
                "some process or another pin holds the link (bpftool link shows it); new sockets are converted until it lets go"
            }
            Self::NotReadBack { .. } => "something else changes the pins; stop it and start the agent again",
        }
    }
}

fn with_log(log: &str) -> String {
    if log.is_empty() { String::new() } else { format!("; messages: {log}") }
}
