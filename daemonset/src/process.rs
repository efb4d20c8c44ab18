//! The agent as a process: that it is the only one on its node, how it ends, and what it logs.

pub mod log_level;
pub mod logging;
pub mod shutdown;
pub mod sole;
