//! The parts of smc-agent, the node agent of kube-smc.
//!
//! Each module does one job and knows nothing of the command line; the binary puts them together.
#![forbid(unsafe_code)]

pub mod anchor;
pub mod bpf;
pub mod guard;
pub mod install;
pub mod logging;
pub mod modules;
pub mod node;
pub mod records;
pub mod run;
pub mod terway;
