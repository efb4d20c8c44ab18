//! What the end-to-end tests share. They run on a rig that is up already: `hack/test` brings it up before and takes it
//! down after, and names it in [`TWO_NODES`] or [`OLD_NODE`].
//!
//! All tests of a file use the same nodes at the same time. A test that changes a node takes it for itself
//! ([`Cluster::alter`]); pods' names hold the test's own words and are gone with their value.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::missing_panics_doc,
    reason = "helpers of tests fail as tests do"
)]

pub mod agent;
pub mod churn;
mod cluster;
pub mod faults;
mod kernel;
pub mod play;
pub mod plugin;
mod pods;
mod snapshot;
mod traffic;

use std::time::Duration;

pub use cluster::{Cluster, OLD_NODE, TWO_NODES, not_run, old_node, two_nodes};
pub use kernel::{Kernel, kernel_tests, run_kernel_test, shell};
pub use pods::{TestPod, start, start_both};
pub use test_support::eventually;
pub use traffic::{Fetched, client, fetch, lasting_server, running, server, wait_until_served};

/// What is awaited comes within seconds; a busy machine that emulates its nodes may take this long.
pub const PATIENCE: Duration = Duration::from_secs(60);
