//! Two nodes with Linux 6.12, on which annotated pods speak SMC-R. All tests use them at the same time.
#![forbid(unsafe_code)]

#[path = "two_nodes/agent.rs"]
mod agent;
#[path = "two_nodes/alibaba.rs"]
mod alibaba;
#[path = "two_nodes/anchor.rs"]
mod anchor;
#[path = "two_nodes/attachments.rs"]
mod attachments;
#[path = "two_nodes/connections.rs"]
mod connections;
#[path = "two_nodes/faults.rs"]
mod faults;
#[path = "two_nodes/guard.rs"]
mod guard;
#[path = "two_nodes/kernel_tests.rs"]
mod kernel_tests;
#[path = "two_nodes/mesh.rs"]
mod mesh;
#[path = "two_nodes/neighbours.rs"]
mod neighbours;
#[path = "two_nodes/nodes.rs"]
mod nodes;
#[path = "two_nodes/peers.rs"]
mod peers;
#[path = "two_nodes/privileges.rs"]
mod privileges;
#[path = "two_nodes/programs.rs"]
mod programs;
#[path = "two_nodes/repair.rs"]
mod repair;
#[path = "two_nodes/smcctl.rs"]
mod smcctl;
#[path = "two_nodes/traffic.rs"]
mod traffic;
