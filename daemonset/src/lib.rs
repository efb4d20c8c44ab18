//! The parts of smc-agent, the node agent of kube-smc.
//!
//! Each module does one job and knows nothing of the command line; the binary puts them together.
#![forbid(unsafe_code)]

pub mod anchor;
pub mod bpf;
pub mod chain;
pub mod guard;
pub mod logging;
pub mod modules;
pub mod node;
pub mod plugin_binary;
pub mod records;
pub mod replace;
pub mod run;
pub mod terway;
