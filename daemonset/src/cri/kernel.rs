//! Whether a pod runs on the node's kernel.

use std::fmt;

/// Types of containerd's runtimes whose containers share the node's kernel: the shims of runc (and crun, by its options) and of
/// youki. What comes after is a version.
const SHARING_TYPES: [&str; 4] =
    ["io.containerd.runc.", "io.containerd.crun.", "io.containerd.youki.", "io.containerd.runtime.v1."];
/// How handlers are called whose containers do not, where the runtime tells no type (CRI-O): those of ordinary containers have
/// names of all kinds (`nvidia-cdi`, `high-performance`).
const OWN_HANDLERS: [&str; 6] = ["kata", "gvisor", "runsc", "runv", "rund", "firecracker"];

/// What runs a pod.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PodRuntime {
    /// The runtime's handler, that of the pod's RuntimeClass; empty for the runtime's default.
    pub handler: String,
    /// Its type, such as `io.containerd.runc.v2`, where the runtime tells it.
    pub kind: Option<String>,
}

impl PodRuntime {
    /// Whether the pod's programs run on another kernel than the node's: in a virtual machine, or in user space. A type that is not
    /// known to share the node's is taken for one.
    pub fn has_own_kernel(&self) -> bool {
        match &self.kind {
            Some(kind) => !SHARING_TYPES.iter().any(|sharing| kind.starts_with(sharing)),
            None => OWN_HANDLERS.iter().any(|own| self.handler.starts_with(own)),
        }
    }
}

impl fmt::Display for PodRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let handler = if self.handler.is_empty() { "the default" } else { &self.handler };
        match &self.kind {
            Some(kind) => write!(f, "{handler} ({kind})"),
            None => f.write_str(handler),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runtime(handler: &str, kind: Option<&str>) -> PodRuntime {
        PodRuntime { handler: handler.to_owned(), kind: kind.map(str::to_owned) }
    }

    #[test]
    fn containers_of_runc_and_its_kin_share_the_nodes_kernel() {
        for (handler, kind) in [
            ("", Some("io.containerd.runc.v2")),
            ("runc", Some("io.containerd.runc.v1")),
            ("nvidia", Some("io.containerd.runc.v2")),
            ("", None),
            ("crun", None),
            ("nvidia-cdi", None),
            ("high-performance", None),
        ] {
            assert!(!runtime(handler, kind).has_own_kernel(), "{handler} {kind:?}");
        }
    }

    #[test]
    fn a_virtual_machine_and_a_kernel_in_user_space_are_the_pods_own() {
        for (handler, kind) in [
            ("kata", Some("io.containerd.kata.v2")),
            ("", Some("io.containerd.kata-qemu.v2")),
            ("gvisor", Some("io.containerd.runsc.v1")),
            ("runv", Some("io.containerd.rund.v2")),
            ("kata", None),
            ("runsc", None),
        ] {
            assert!(runtime(handler, kind).has_own_kernel(), "{handler} {kind:?}");
        }
        assert_eq!(
            runtime("kata", Some("io.containerd.kata.v2")).to_string(),
            "kata (io.containerd.kata.v2)"
        );
        assert_eq!(runtime("", None).to_string(), "the default");
    }
}
