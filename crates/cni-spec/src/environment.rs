//! The environment a runtime gives its plugins.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::args::CniArgs;
use crate::error::{CniError, code};
use crate::version::Version;

/// What the runtime asks for, in `CNI_COMMAND`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Command {
    /// Attach a container to the network.
    Add,
    /// Detach it; may come twice, without a namespace, without a previous result.
    Del,
    /// Look whether the attachment is as it was made.
    Check,
    /// Tell the supported versions.
    Version,
    /// Tell whether `ADD` would be served.
    Status,
    /// Drop what belongs to none of the listed attachments.
    Gc,
}

impl Command {
    /// All commands.
    pub const ALL: [Self; 6] = [Self::Add, Self::Del, Self::Check, Self::Version, Self::Status, Self::Gc];

    /// The command as it stands in `CNI_COMMAND`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Add => "ADD",
            Self::Del => "DEL",
            Self::Check => "CHECK",
            Self::Version => "VERSION",
            Self::Status => "STATUS",
            Self::Gc => "GC",
        }
    }

    /// Refuses a command that the version in use does not have, with [`code::INCOMPATIBLE_VERSION`].
    pub fn require(self, version: Version) -> Result<(), CniError> {
        let known = match self {
            Self::Add | Self::Del | Self::Version => true,
            Self::Check => version.supports_check(),
            Self::Status | Self::Gc => version.supports_gc_and_status(),
        };
        if known {
            return Ok(());
        }
        Err(CniError::new(code::INCOMPATIBLE_VERSION, format!("CNI {version} does not have {self}")))
    }

    /// Whether the command is about one attachment, a container and an interface.
    fn has_attachment(self) -> bool {
        matches!(self, Self::Add | Self::Del | Self::Check)
    }

    fn needs_netns(self) -> bool {
        matches!(self, Self::Add | Self::Check)
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Command {
    type Err = EnvironmentError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|command| command.as_str() == text)
            .ok_or_else(|| EnvironmentError::UnknownCommand { found: text.to_owned() })
    }
}

/// The variables of one call, validated for its command (CNI specification 1.1.0, section "Parameters").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// `CNI_COMMAND`.
    pub command: Command,
    /// `CNI_CONTAINERID`: an ASCII letter or digit, then letters, digits, `.`, `_`, `-`; so it is safe in a
    /// file name. Empty for `VERSION`, `STATUS` and `GC`, whatever the runtime sent.
    pub container_id: String,
    /// `CNI_NETNS`, the path of the network namespace. Always there for `ADD` and `CHECK`; on `DEL` it is
    /// missing when the namespace is gone. The runtime's empty string is `None`.
    pub netns: Option<PathBuf>,
    /// `CNI_IFNAME`, the interface inside the container: 1 to 15 bytes, safe in a file name. Empty for
    /// `VERSION`, `STATUS` and `GC`, whatever the runtime sent.
    pub ifname: String,
    /// `CNI_ARGS`.
    pub args: CniArgs,
    /// `CNI_PATH`, directories with plugins, separated by `:`. Never required: this plugin calls no other.
    pub path: Option<OsString>,
}

impl Environment {
    /// Reads and validates the variables through `lookup`, e.g. `std::env::var_os`.
    ///
    /// An empty variable counts as missing; all missing ones are named in one error.
    pub fn from_lookup<T: Into<OsString>>(
        lookup: impl Fn(&str) -> Option<T>,
    ) -> Result<Self, EnvironmentError> {
        let get = |name: &str| lookup(name).map(Into::into).filter(|value: &OsString| !value.is_empty());

        let command: Command = match get("CNI_COMMAND") {
            Some(text) => text.to_string_lossy().parse()?,
            None => return Err(EnvironmentError::Missing { variables: vec!["CNI_COMMAND"] }),
        };
        let (container_id, ifname) =
            if command.has_attachment() { (get("CNI_CONTAINERID"), get("CNI_IFNAME")) } else { (None, None) };
        let netns = get("CNI_NETNS");

        let required = [
            ("CNI_CONTAINERID", command.has_attachment(), container_id.is_some()),
            ("CNI_NETNS", command.needs_netns(), netns.is_some()),
            ("CNI_IFNAME", command.has_attachment(), ifname.is_some()),
        ];
        let missing: Vec<_> = required
            .into_iter()
            .filter(|(_, needed, there)| *needed && !there)
            .map(|(name, ..)| name)
            .collect();
        if !missing.is_empty() {
            return Err(EnvironmentError::Missing { variables: missing });
        }

        let container_id = unicode("CNI_CONTAINERID", container_id)?;
        let ifname = unicode("CNI_IFNAME", ifname)?;
        if command.has_attachment() {
            validate_container_id(&container_id)?;
            validate_ifname(&ifname)?;
        }
        let args = get("CNI_ARGS").map(|args| CniArgs::parse(&args.to_string_lossy())).unwrap_or_default();
        Ok(Self {
            command,
            container_id,
            netns: netns.map(PathBuf::from),
            ifname,
            args,
            path: get("CNI_PATH"),
        })
    }
}

fn unicode(variable: &'static str, value: Option<OsString>) -> Result<String, EnvironmentError> {
    value.unwrap_or_default().into_string().map_err(|_| EnvironmentError::NotUnicode { variable })
}

/// Checks the syntax of a container id: an ASCII letter or digit, then letters, digits, `.`, `_` and `-`.
pub fn validate_container_id(id: &str) -> Result<(), EnvironmentError> {
    let mut bytes = id.bytes();
    let valid = bytes.next().is_some_and(|first| first.is_ascii_alphanumeric())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'));
    if valid { Ok(()) } else { Err(EnvironmentError::InvalidContainerId { found: id.to_owned() }) }
}

/// Longest interface name in bytes: the kernel's `IFNAMSIZ` (include/uapi/linux/if.h) less the final NUL.
const IFNAME_MAX: usize = 15;

/// Checks an interface name by the kernel's rules (`dev_valid_name`, net/core/dev.c), which the specification
/// adopts: 1 to 15 bytes, not `.` or `..`, without `/`, `:` and white space. Control characters are refused
/// too, because the name ends up in file names and logs.
pub fn validate_ifname(ifname: &str) -> Result<(), EnvironmentError> {
    let reason = if ifname.is_empty() {
        "it is empty"
    } else if ifname.len() > IFNAME_MAX {
        "it is longer than 15 bytes"
    } else if matches!(ifname, "." | "..") {
        "it is a directory"
    } else if ifname.chars().any(|c| matches!(c, '/' | ':') || c.is_whitespace() || c.is_control()) {
        "it has a slash, a colon, white space or a control character"
    } else {
        return Ok(());
    };
    Err(EnvironmentError::InvalidIfname { found: ifname.to_owned(), reason })
}

/// Why the environment of a call was refused. All become [`code::INVALID_ENVIRONMENT`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvironmentError {
    /// Variables the command needs are not set, or empty.
    #[error("missing environment variables: {}", variables.join(", "))]
    Missing {
        /// Their names, in the specification's order.
        variables: Vec<&'static str>,
    },
    /// `CNI_COMMAND` is none of the specification's.
    #[error("CNI_COMMAND {found:?} is not a command")]
    UnknownCommand {
        /// Its value.
        found: String,
    },
    /// The value is not UTF-8.
    #[error("{variable} is not UTF-8")]
    NotUnicode {
        /// The variable's name.
        variable: &'static str,
    },
    /// See [`validate_container_id`].
    #[error("CNI_CONTAINERID {found:?} is not a container id")]
    InvalidContainerId {
        /// Its value.
        found: String,
    },
    /// See [`validate_ifname`].
    #[error("CNI_IFNAME {found:?} is not an interface name: {reason}")]
    InvalidIfname {
        /// Its value.
        found: String,
        /// The rule it breaks.
        reason: &'static str,
    },
}

#[cfg(test)]
mod tests;
