//! The parts of smc-agent, the node agent of kube-smc.
//!
//! Each module does one job and knows nothing of the command line; the binary puts them together.
#![forbid(unsafe_code)]

pub mod anchor;
pub mod board;
pub mod bpf;
pub mod chain;
pub mod cri;
pub mod ending;
#[cfg(test)]
mod fake_api;
pub mod http;
pub mod kubernetes;
pub mod log_level;
pub mod logging;
pub mod mesh;
pub mod metrics;
pub mod modules;
pub mod node;
pub mod plugin_binary;
pub mod published;
pub mod records;
pub mod repair;
pub mod replace;
pub mod run;
pub mod settings;
pub mod sole;
pub mod surfaces;
#[cfg(test)]
mod test_values;
pub mod token_bucket;
pub mod traffic;
pub mod uninstall;
