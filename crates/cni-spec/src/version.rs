//! The protocol versions, and the answer to `VERSION`.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde_json::json;

use crate::json::BorrowedStr;

/// A version of the CNI specification this crate speaks; ordered from old to new.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// 0.3.0: chaining and `prevResult`.
    V0_3_0,
    /// 0.3.1: a wording fix.
    V0_3_1,
    /// 0.4.0: `CHECK`, and `prevResult` on `DEL`.
    V0_4_0,
    /// 1.0.0: `ips` without a `version`; single plugins outside a list are gone.
    V1_0_0,
    /// 1.1.0: `GC` and `STATUS`.
    V1_1_0,
}

impl Version {
    /// Every supported version, oldest first.
    pub const ALL: [Self; 5] = [Self::V0_3_0, Self::V0_3_1, Self::V0_4_0, Self::V1_0_0, Self::V1_1_0];

    /// The newest supported version: what to answer in when the caller's version could not be read.
    pub const LATEST: Self = Self::V1_1_0;

    /// The version as it stands in `cniVersion`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V0_3_0 => "0.3.0",
            Self::V0_3_1 => "0.3.1",
            Self::V0_4_0 => "0.4.0",
            Self::V1_0_0 => "1.0.0",
            Self::V1_1_0 => "1.1.0",
        }
    }

    /// Whether a runtime speaking this version may send `CHECK`.
    pub fn supports_check(self) -> bool {
        self >= Self::V0_4_0
    }

    /// Whether a runtime speaking this version may send `GC` and `STATUS`.
    pub fn supports_gc_and_status(self) -> bool {
        self >= Self::V1_1_0
    }

    /// All supported versions in one line, for messages.
    pub(crate) fn list() -> String {
        Self::ALL.map(Self::as_str).join(", ")
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Version {
    type Err = UnsupportedVersion;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|version| version.as_str() == text)
            .ok_or_else(|| UnsupportedVersion(text.to_owned()))
    }
}

/// A `cniVersion` outside [`Version::ALL`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("CNI version {0:?} is not supported")]
pub struct UnsupportedVersion(pub String);

/// The `cniVersion` of a `VERSION` request or of any configuration, or `None` when there is none to be read.
///
/// `VERSION` must answer whatever it is asked, and an error must be printed in some version even when the
/// configuration is unreadable: so this never fails.
pub fn requested_version(stdin: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Request<'a> {
        #[serde(borrow, rename = "cniVersion")]
        cni_version: BorrowedStr<'a>,
    }
    serde_json::from_slice::<Request<'_>>(stdin).ok().map(|request| request.cni_version.0.into_owned())
}

/// The JSON answer to `VERSION`. The specification wants the requested `cniVersion` repeated, even one that
/// is not supported; a request without one is answered in the newest.
pub fn version_result(requested: Option<&str>) -> String {
    json!({
        "cniVersion": requested.unwrap_or(Version::LATEST.as_str()),
        "supportedVersions": Version::ALL.map(Version::as_str),
    })
    .to_string()
}

#[cfg(test)]
mod tests;
