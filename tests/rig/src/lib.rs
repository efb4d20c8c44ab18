//! The rig: one or two emulated Kubernetes nodes with an SMC kernel, RDMA-capable NICs and a real containerd, on one
//! ordinary machine. [`host`] is the side of this machine, [`guest`] what runs inside the nodes.
#![forbid(unsafe_code)]

pub mod api_server;
pub mod cluster;
pub mod counters;
pub mod guest;
pub mod host;
pub mod layout;
pub mod wire;
