//! What a set-up consists of, a module for each part: how it is seen, made, and taken back. The order is `smc_model`'s.

pub mod anchor;
pub mod conversion;
pub mod guard;
pub mod pnet;
