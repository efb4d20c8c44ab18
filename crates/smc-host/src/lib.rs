//! The only crate of kube-smc that touches the kernel.
//!
//! Effects are small and dumb: what to do is decided in `smc-model`, how the kernel wants to hear it is written down
//! in `smc-abi`. Everything here is blocking, and every operation has a time limit, because the plugin stands on the
//! path of a pod's start.

pub mod anchor;
pub mod apply;
pub mod arena;
mod bpf;
mod c_main;
pub mod conversion;
mod error;
pub mod former_guard;
pub mod genl;
pub mod guard;
mod ingress;
pub mod kernel;
pub mod listeners;
pub mod memory;
mod namespace_kind;
pub mod netlink;
pub mod netns;
pub mod observe;
pub mod offer;
pub mod peers;
pub mod pnet;
pub mod rdma;
pub mod reserved_ports;
pub mod route;
pub mod smc;
mod socket_ioctl;
mod sockopt;
pub mod sysctl;
pub mod traffic;
pub mod veth;
pub mod worker;

pub use error::{Cause, HostError, with_causes};
