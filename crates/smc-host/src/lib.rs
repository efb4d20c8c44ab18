//! The only crate that touches the kernel: netlink, namespaces, sysctl, RDMA inventory.
