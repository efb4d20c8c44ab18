//! The demonstration: pairs of unmodified programs in pods, and what their connections really became.
#![forbid(unsafe_code)]

mod expect;
mod pairs;
mod report;
mod traffic;

pub use expect::{Expected, Seen, judge};
pub use pairs::{Pair, pairs};
pub use report::{Report, table};
pub use traffic::{Traffic, prepare_files, run};
