//! The node's pods: what is on record of them, what is missing and is set up or taken back, and what came of it.

pub mod records;
pub mod repair;
pub mod traffic;
