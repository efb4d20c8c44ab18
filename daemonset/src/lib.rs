//! The parts of smc-agent, the node agent of kube-smc.
//!
//! Each module does one job and knows nothing of the command line; the binary puts them together.
#![forbid(unsafe_code)]

pub mod board;
pub mod chain;
pub mod cri;
pub mod mesh;
pub mod node;
pub mod pods;
pub mod process;
pub mod run;
pub mod settings;
pub mod surfaces;
#[cfg(test)]
mod testing;
pub mod uninstall;
