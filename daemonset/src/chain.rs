//! The plugin's entry in the node's CNI chain: put in, kept in, and taken out.
//!
//! The list belongs to another plugin. Terway truncates it and copies it anew at each start of its daemon, which loses
//! whatever was added. So there are two ways to stay, and one to watch ([`Mode`]): a file beside the list where the
//! runtime reads such files, an entry in the list that is put back, or the operator's own entry. Either way only our
//! entry changes; all other bytes stay.
//!
//! What is to be done is decided by functions of values ([`choose`], `decide`, `fight`, `load_check`); `install` does
//! it and [`keep`] repeats it when files change. The plugin's program comes before the entry, since an entry without
//! its program keeps every pod of the node from starting.

mod clean;
mod conf_dir;
mod decide;
mod fight;
mod install;
mod keep;
mod late;
mod load_check;
mod mode;
mod once;
mod place;
pub mod plugin_binary;
mod problem;
mod provenance;
mod remove;
pub mod replace;
mod runtime;
mod status;
mod thread;
mod watch;

use std::path::PathBuf;

use cni_spec::conflist::Entry;

pub use decide::Owner;
pub use fight::FightLimits;
pub use keep::keep;
pub use mode::{Choice, Facts, Mode, Placement, RuntimeVersion, choose};
pub use once::{Installed, install_once};
pub use problem::Problem;
pub use provenance::{DEFAULT_PROVENANCE_DIR, DropIn, Ours, Since};
pub use remove::{Removed, remove};
pub use runtime::{Loaded, LoadedChain, LoadedNetwork, LoadedPlugin, NoRuntime, Runtime, RuntimeError};
pub use status::{Status, StatusProblem};
pub use thread::ChainThread;

/// What to install, and where.
#[derive(Debug, Clone)]
pub struct Options {
    /// How.
    pub mode: Mode,
    /// The plugin's program, as it was delivered.
    pub plugin: PathBuf,
    /// The node's directory of CNI plugins.
    pub bin_dir: PathBuf,
    /// The node's directory of CNI configurations.
    pub conf_dir: PathBuf,
    /// Where the agent remembers what is its own; it must survive a reboot, as the configurations do.
    pub provenance_dir: PathBuf,
    /// What the entry says.
    pub entry: Entry,
    /// The container runtime, if it said what it is.
    pub runtime: Option<RuntimeVersion>,
    /// When to give way to another writer.
    pub fight: FightLimits,
}
