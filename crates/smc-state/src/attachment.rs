//! The key of a record: a container id and an interface name.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One attachment of a pod to the network: `CNI_CONTAINERID` and `CNI_IFNAME`. It becomes a file name, so its
/// parts are checked here whoever made them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct AttachmentId {
    container: String,
    ifname: String,
}

/// An attachment as a file names it, before it is checked.
#[derive(Deserialize)]
struct Unchecked {
    container: String,
    ifname: String,
}

impl TryFrom<Unchecked> for AttachmentId {
    type Error = AttachmentIdError;

    fn try_from(unchecked: Unchecked) -> Result<Self, AttachmentIdError> {
        Self::new(&unchecked.container, &unchecked.ifname)
    }
}

/// Why a pair is not an [`AttachmentId`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("container id {container:?} with interface {ifname:?} cannot name a record")]
pub struct AttachmentIdError {
    container: String,
    ifname: String,
}

impl AttachmentId {
    /// Checks that both parts are usable in a file name.
    pub fn new(container: &str, ifname: &str) -> Result<Self, AttachmentIdError> {
        let plain = |text: &str, longest: usize| {
            (1..=longest).contains(&text.len())
                && !text.starts_with('.')
                && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/')
        };
        // 255 bytes is the file system's limit for the whole name with its suffix.
        if plain(container, 200) && plain(ifname, 15) {
            Ok(Self { container: container.to_owned(), ifname: ifname.to_owned() })
        } else {
            Err(AttachmentIdError { container: container.to_owned(), ifname: ifname.to_owned() })
        }
    }

    /// The container (sandbox) id.
    pub fn container(&self) -> &str {
        &self.container
    }

    /// The interface name.
    pub fn ifname(&self) -> &str {
        &self.ifname
    }
}

impl fmt::Display for AttachmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.container, self.ifname)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_can_never_be_an_attachment() {
        for (container, ifname) in [
            ("../x", "eth0"),
            ("a/b", "eth0"),
            ("", "eth0"),
            ("a", ""),
            ("a", "../../e"),
            (".a", "eth0"),
            ("a", "e h"),
        ] {
            assert!(AttachmentId::new(container, ifname).is_err(), "{container:?} {ifname:?}");
        }
        assert_eq!(AttachmentId::new("abc123", "eth0").unwrap().to_string(), "abc123-eth0");
    }

    #[test]
    fn an_attachment_from_a_file_is_checked_like_any_other() {
        let read = |text: &str| serde_json::from_str::<AttachmentId>(text);
        let written = serde_json::to_string(&AttachmentId::new("abc", "eth0").unwrap()).unwrap();
        assert_eq!(read(&written).unwrap().to_string(), "abc-eth0");
        let error = read(r#"{"container":"../../etc/x","ifname":"eth0"}"#).unwrap_err();
        assert!(error.to_string().contains("cannot name a record"), "{error}");
    }
}
