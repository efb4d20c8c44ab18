//! The benchmark: what the plugin's calls and the BPF program cost, beside programs that do less or the same.
#![forbid(unsafe_code)]

pub mod agent;
pub mod agent_cri;
pub mod agent_node;
pub mod agent_process;
pub mod call;
pub mod local;
pub mod node;
pub mod pod;
pub mod report;
pub mod samples;
