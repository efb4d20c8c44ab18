//! What kube-smc's programs tell each other and their users, as types: whoever tells and whoever reads use the same.
//!
//! | module | is told by | is read by |
//! |---|---|---|
//! | [`status`] | the agent at `/status` | `smcctl`, users |
//! | [`facts`] | `smcctl facts` | `smcctl --facts FILE` |
//! | [`smcctl`] | `smcctl --json` | the rig's tests, users |
//!
//! Files in the state directory (`traffic.json`, records) are [`smc_state`]'s. Fields are only added; readers take what is not
//! there for unknown, and do not mind what they do not know.
#![forbid(unsafe_code)]

pub mod facts;
pub mod smcctl;
pub mod status;
mod subject;

pub use subject::Subject;
