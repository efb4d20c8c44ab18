//! Kernel byte formats of SMC, RDMA and diagnostics netlink: pure, no I/O.
#![forbid(unsafe_code)]
