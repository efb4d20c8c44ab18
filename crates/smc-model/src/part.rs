//! The parts of a set-up, each with what it takes and how it is taken back. [`crate::decide`] and [`crate::release`] give their order.

pub(crate) mod anchor;
pub(crate) mod conversion;
pub(crate) mod guard;
pub(crate) mod pnetid;
