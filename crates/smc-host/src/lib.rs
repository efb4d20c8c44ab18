//! The only crate of kube-smc that touches the kernel.
//!
//! Effects are small and dumb: what to do is decided in `smc-model`, how the kernel wants to hear it is written down
//! in `smc-abi`. Everything here is blocking, and every operation has a time limit, because the plugin stands on the
//! path of a pod's start.
//!
//! The plugin, a process with one thread, visits a pod's namespace on that thread and comes back, and ends if it cannot: making a thread for
//! every visit cost a tenth of an ADD. It also starts without Rust's runtime ([`c_main!`]), hands out memory without ever tidying up ([`arena`]),
//! and does its work in a process of its own ([`worker`]): a call into the kernel that waits for a lock there (another program's large nftables
//! transaction, RTNL) cannot be interrupted, not even by a signal. The agent enters a namespace on a thread made for it that ends afterwards;
//! netlink sockets opened inside are used from outside and closed with the operation.

pub mod apply;
mod bpf;
mod error;
pub mod genl;
pub mod kernel;
pub mod listeners;
mod namespace_kind;
pub mod netlink;
pub mod netns;
pub mod observe;
pub mod offer;
pub mod part;
pub mod process;
pub mod rdma;
pub mod reserved_ports;
pub mod route;
pub mod smc;
mod socket_ioctl;
mod sockopt;
pub mod sysctl;
pub mod traffic;
pub mod veth;

pub use error::{Cause, HostError, with_causes};
pub use part::{anchor, conversion, guard, pnet};
pub use process::{arena, memory, worker};
