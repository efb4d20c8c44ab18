//! smc-cni: the chained CNI plugin.
#![forbid(unsafe_code)]

fn main() {}
