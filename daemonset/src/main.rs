//! smc-agent: the node agent.
#![forbid(unsafe_code)]

fn main() {}
