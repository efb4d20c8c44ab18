//! The parts of smc-agent, the node agent of kube-smc.
//!
//! Each module does one job and knows nothing of the command line; the binary puts them together.
#![forbid(unsafe_code)]

pub mod bpf;
pub mod guard;
pub mod logging;
pub mod terway;
