//! The files under `/run/kube-smc` that plugin and agent share.
//!
//! Files are the protocol between the two: no socket stands on the path of a pod's start, an agent that restarts
//! finds everything by listing one directory, and `cat` debugs it. `/run` dies with the reboot, as the state should.
//!
//! ```text
//! /run/kube-smc/node.json                       the node's facts, written by the agent
//! /run/kube-smc/traffic.json                    live verdicts and counters, written by the agent, see [`Traffic`]
//! /run/kube-smc/mesh.json, …                    what the agent keeps for its next start, see [`Document`]
//! /run/kube-smc/pods/<container>-<ifname>.json  one record per attachment of an annotated pod
//! /run/kube-smc/pods/….json.unreadable          a record that could not be read, set aside
//! /run/kube-smc/pods/….deleted                  a DEL that could not wait, left for the agent's sweep
//! /run/kube-smc/locks/…                         flock files, never read
//! /run/kube-smc/agent.sock                      where the agent answers smcctl and its pod's probes; the plugin never asks
//! ```
#![forbid(unsafe_code)]

mod atomic;
mod attachment;
mod deleted;
mod document;
mod error;
mod files;
mod lock;
mod made;
mod node_file;
mod quarantine;
mod reading;
mod record;
mod record_cache;
mod store;
mod text;
mod traffic;

pub use attachment::{AttachmentId, AttachmentIdError};
pub use document::Document;
pub use error::StateError;
pub use lock::Lock;
pub use made::{BoundPort, Made};
pub use node_file::{NODE_FILE_VERSION, NodeFile};
pub use record::{Phase, PodName, RECORD_VERSION, Record, StepTiming};
pub use record_cache::RecordCache;
pub use store::{AGENT_POD_HEADER, DEFAULT_STATE_DIR, Listing, Store};
pub use text::Text;
pub use traffic::{FallbackCount, LivePod, Traffic};
