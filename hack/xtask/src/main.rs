//! Development tools of this repository: the two-node rig and what runs inside its nodes.
#![forbid(unsafe_code)]

fn main() {}
