//! What keeps the entry out of the chain.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cni_spec::PLUGIN_TYPE;
use cni_spec::conflist::{ConflistError, NoCommonVersion};
use thiserror::Error;

use crate::chain::plugin_binary::PluginBinaryError;

/// Why the entry is not where it should be, or not in force, and what to do.
#[derive(Debug, Error)]
pub enum Problem {
    /// No configuration directory.
    #[error(
        "waiting for the CNI configuration directory {path}: is --conf-dir the one that the runtime uses?"
    )]
    NoDirectory {
        /// Its path.
        path: PathBuf,
    },
    /// The runtime reads configurations from another directory.
    #[error(
        "the container runtime reads its CNI configuration from {theirs}, and the agent was given {ours}: nothing is written; mount {theirs} into the agent's pod at the same path, and set SMC_AGENT_CONF_DIR to it (--conf-dir)"
    )]
    OtherConfDir {
        /// Ours.
        ours: PathBuf,
        /// The runtime's.
        theirs: PathBuf,
    },
    /// The runtime looks for programs in another directory.
    #[error(
        "the container runtime looks for CNI plugins in {}, and the agent was given {ours}: with an entry whose program it does not find every new pod of this node would fail, so nothing is written; mount that directory into the agent's pod at the same path, and set SMC_AGENT_BIN_DIR to it (--bin-dir)",
        listed(theirs)
    )]
    OtherBinDir {
        /// Ours.
        ours: PathBuf,
        /// The runtime's.
        theirs: Vec<PathBuf>,
    },
    /// Uninstalling looks in one directory, and there is something of ours in others.
    #[error(
        "entries of ours are on record in {} too, where this did not look: uninstall there as well, with that directory mounted at the same path and SMC_AGENT_CONF_DIR set to it (--conf-dir; on k3s: overlays/uninstall-k3s). If it is gone, delete {record}",
        listed(directories)
    )]
    Elsewhere {
        /// Where.
        directories: Vec<PathBuf>,
        /// The record.
        record: PathBuf,
    },
    /// Nothing in it.
    #[error("waiting for the primary CNI plugin: no network configuration in {dir}")]
    NoConfiguration {
        /// Where it was looked for.
        dir: PathBuf,
    },
    /// The list is cut short; its owner may be at it.
    #[error(
        "{path} ends in the middle: its owner is still writing it, or was interrupted; if it stays so, restart the primary CNI plugin"
    )]
    Unfinished {
        /// The list.
        path: PathBuf,
    },
    /// The first configuration cannot hold a chain.
    #[error(
        "cannot chain {PLUGIN_TYPE} in {path}, which the runtime uses because it is the first by name: {source}"
    )]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: ConflistError,
    },
    /// A single plugin's configuration.
    #[error(
        "{path} is a single plugin's configuration, not a list, and the runtime uses it because it is the first by name: nothing can be chained behind it; {}, or remove it",
        into_a_list(path)
    )]
    SinglePlugin {
        /// The file.
        path: PathBuf,
    },
    /// A list in a file that runtimes do not read lists from.
    #[error(
        "{path} holds a list, and runtimes read lists only from files that end in .conflist: nothing is written to it; rename it to {}",
        path.with_extension("conflist").display()
    )]
    NotAListsName {
        /// The file.
        path: PathBuf,
    },
    /// Plugins of the list are called in a version that ours does not speak.
    #[error(
        "cannot chain {PLUGIN_TYPE} in {path}: {source}; give the list a \"cniVersion\" from 0.4.0 on that its plugins speak, too"
    )]
    NoCommonVersion {
        /// The list.
        path: PathBuf,
        /// What it says.
        source: NoCommonVersion,
    },
    /// A symbolic link that leads nowhere from here.
    #[error(
        "{path} is a symbolic link to {to}, which does not exist here; give the agent the directory it leads to"
    )]
    DanglingLink {
        /// The link.
        path: PathBuf,
        /// Where it leads.
        to: PathBuf,
    },
    /// The operator's own entry lacks something.
    #[error(
        "the entry of {PLUGIN_TYPE} in {path} was not made by the agent and cannot work: {why}; correct it, or remove it and the agent makes its own"
    )]
    OperatorsEntry {
        /// Where it stands.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// `managed`, and nobody put the entry there.
    #[error(
        "{path} has no entry of {PLUGIN_TYPE}, and the agent does not write it ({why}): add it to the list's source (with Terway: key 10-terway.conflist of ConfigMap eni-config)"
    )]
    NotManaged {
        /// The list.
        path: PathBuf,
        /// Why the agent does not.
        why: String,
    },
    /// A drop-in was asked for, and the list forbids it.
    #[error("{path} takes no drop-ins (loadOnlyInlinedPlugins, or no usable name): use --chain inject")]
    NoDropIns {
        /// The list.
        path: PathBuf,
    },
    /// A drop-in was asked for, and the runtime does not read it.
    #[error("{runtime} does not read drop-ins (containerd >= 2.1 and CRI-O >= 1.33 do): use --chain inject")]
    RuntimeIgnoresDropIns {
        /// The runtime.
        runtime: String,
    },
    /// An effect on a file failed.
    #[error("cannot {action} {path}: {source}{}", advice(source))]
    Io {
        /// What was attempted.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What came back.
        source: io::Error,
    },
    /// The record of what is ours cannot be understood.
    #[error(
        "cannot read {path}, which tells what the agent made: {source}; nothing is changed until it is repaired or removed (then present entries count as the operator's)"
    )]
    Record {
        /// The record.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// Another process of ours is at work.
    #[error("another smc-agent is installing (it holds {path}): retried")]
    Busy {
        /// The lock.
        path: PathBuf,
    },
    /// The program is not in place.
    #[error(transparent)]
    Binary(#[from] PluginBinaryError),
    /// Somebody takes the entry out again and again.
    #[error(
        "something keeps writing {path} without the entry of {PLUGIN_TYPE}: {times} times in a row right after it was put in; the next attempt is in {}; find the other writer (another CNI installer?) or use --chain managed",
        humantime::format_duration(*.wait)
    )]
    Fought {
        /// The list.
        path: PathBuf,
        /// How often.
        times: u32,
        /// Until the next attempt.
        wait: Duration,
    },
    /// The file is right, and the runtime does not use it.
    #[error(
        "{path} has the entry of {PLUGIN_TYPE}, but the runtime has not loaded it ({why}), not even after a nudge: new pods run without it; restart the container runtime (running pods stay)"
    )]
    NotLoaded {
        /// The file with the entry.
        path: PathBuf,
        /// What the runtime has loaded instead.
        why: String,
    },
    /// No notification of changes.
    #[error(
        "cannot watch {path}: {source}; it is looked at once a second instead (raise fs.inotify.max_user_instances and max_user_watches)"
    )]
    Unwatched {
        /// The directory.
        path: PathBuf,
        /// Why not.
        source: notify::Error,
    },
}

impl Problem {
    /// The name of the kind, for metrics.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::NoDirectory { .. } => "NoDirectory",
            Self::OtherConfDir { .. } => "OtherConfDir",
            Self::OtherBinDir { .. } => "OtherBinDir",
            Self::Elsewhere { .. } => "Elsewhere",
            Self::NoConfiguration { .. } => "NoConfiguration",
            Self::Unfinished { .. } => "Unfinished",
            Self::Unusable { .. } => "Unusable",
            Self::SinglePlugin { .. } => "SinglePlugin",
            Self::NotAListsName { .. } => "NotAListsName",
            Self::NoCommonVersion { .. } => "NoCommonVersion",
            Self::DanglingLink { .. } => "DanglingLink",
            Self::OperatorsEntry { .. } => "OperatorsEntry",
            Self::NotManaged { .. } => "NotManaged",
            Self::NoDropIns { .. } => "NoDropIns",
            Self::RuntimeIgnoresDropIns { .. } => "RuntimeIgnoresDropIns",
            Self::Io { .. } => "Io",
            Self::Record { .. } => "Record",
            Self::Busy { .. } => "Busy",
            Self::Binary(_) => "Binary",
            Self::Fought { .. } => "Fought",
            Self::NotLoaded { .. } => "NotLoaded",
            Self::Unwatched { .. } => "Unwatched",
        }
    }

    /// Whether it is part of a node's or a plugin's normal start, and worth mentioning only when it lasts.
    pub(super) const fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::NoDirectory { .. }
                | Self::NoConfiguration { .. }
                | Self::Unfinished { .. }
                | Self::Unusable { .. }
                | Self::DanglingLink { .. }
                | Self::Busy { .. }
        )
    }

    pub(super) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }
}

fn listed(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" and ")
}

fn into_a_list(path: &Path) -> &'static str {
    if cni_spec::conflist::is_named_as_list(path) {
        "put it into a list (\"plugins\": [ ... ]), as the file's name says"
    } else {
        "make it a list in a file that ends in .conflist"
    }
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::ResourceBusy => {
            ": the file is a mount point of its own, which cannot be replaced: mount the directory it stands in, or use --chain managed and put the entry into the file's source"
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            ": mount the directory writable into the agent's pod, or use --chain managed"
        }
        io::ErrorKind::PermissionDenied => {
            ": the agent needs write access to the directory, or use --chain managed"
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ": free some space; nothing was changed",
        _ => "",
    }
}
