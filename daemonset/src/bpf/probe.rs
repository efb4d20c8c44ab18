//! Whether this kernel can convert sockets by BPF, and why not.

use std::fs;

use libbpf_rs::ErrorKind;
use libbpf_rs::btf::Btf;
use libbpf_rs::btf::types::Func;

use super::error::BpfError;
use super::{messages, object};

const HOOK: &str = "update_socket_protocol";

/// Bits of `CapEff` in `/proc/self/status` (`include/uapi/linux/capability.h`). Loading a tracing program takes the
/// first two, finding programs and maps by id the third (kernel/bpf/syscall.c).
const NEEDED_CAPABILITIES: [(u32, &str); 3] = [(39, "CAP_BPF"), (38, "CAP_PERFMON"), (21, "CAP_SYS_ADMIN")];

/// Whether the kernel accepts the conversion program: it is loaded, which takes it through the verifier, and dropped
/// at once. Nothing is attached or pinned, and no socket is made.
pub fn probe() -> Result<(), BpfError> {
    require_hook()?;
    object::load(super::SMC_PROTOCOLS[0], None).map(drop)
}

/// A clear answer for kernels before 6.6, where loading would fail with a mere ESRCH or EINVAL.
pub(super) fn require_hook() -> Result<(), BpfError> {
    let (btf, _) = messages::collect(Btf::from_vmlinux);
    let btf = btf.map_err(BpfError::NoKernelBtf)?;
    match btf.type_by_name::<Func<'_>>(HOOK) {
        Some(_) => Ok(()),
        None => Err(BpfError::HookAbsent),
    }
}

/// Turns a failed BPF operation into the error that tells most.
pub(super) fn explain(operation: &'static str, log: String, source: libbpf_rs::Error) -> BpfError {
    // The verifier's words in check_attach_btf_id (kernel/bpf/verifier.c).
    if log.contains("is not modifiable") {
        return BpfError::HookNotAllowed(source);
    }
    if source.kind() == ErrorKind::PermissionDenied {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let missing = missing_capabilities(&status);
        if !missing.is_empty() {
            return BpfError::MissingCapability { operation, missing: missing.join(", "), source };
        }
        // EACCES is the verifier's; libbpf-rs tells the two apart in its text only.
        if format!("{source:#}").contains("(os error 1)") {
            return BpfError::NotPermitted { operation, source };
        }
    }
    BpfError::Bpf { operation, log, source }
}

/// Names of the needed capabilities that the `CapEff` line of `status` lacks; none when there is no such line.
fn missing_capabilities(status: &str) -> Vec<&'static str> {
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .unwrap_or(u64::MAX);
    NEEDED_CAPABILITIES.iter().filter(|(bit, _)| effective >> bit & 1 == 0).map(|&(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;

    fn refused(errno: nix::errno::Errno) -> libbpf_rs::Error {
        libbpf_rs::Error::from_raw_os_error(errno as i32)
    }

    #[test]
    fn full_capabilities_miss_nothing() {
        assert!(missing_capabilities("Name:\tx\nCapEff:\t000001ffffffffff\n").is_empty());
    }

    #[test]
    fn a_default_container_misses_all_three() {
        let names = missing_capabilities("CapEff:\t00000000a80425fb\n");
        assert_eq!(names, ["CAP_BPF", "CAP_PERFMON", "CAP_SYS_ADMIN"]);
    }

    #[test]
    fn an_unreadable_status_accuses_no_capability() {
        assert!(missing_capabilities("").is_empty());
        assert!(missing_capabilities("CapEff:\tnonsense\n").is_empty());
    }

    #[test]
    fn the_verifiers_refusal_is_told_as_a_kernel_without_mptcp() {
        let log = "update_socket_protocol() is not modifiable".to_owned();
        let error = explain("load", log, refused(nix::errno::Errno::EINVAL));
        assert!(matches!(error, BpfError::HookNotAllowed(_)));
        assert!(error.remedy().contains("CONFIG_MPTCP"));
    }

    #[test]
    fn a_verifiers_eacces_keeps_its_log() {
        let error = explain("load", "invalid mem access".into(), refused(nix::errno::Errno::EACCES));
        assert!(
            error.to_string().contains("invalid mem access")
                || matches!(error, BpfError::MissingCapability { .. })
        );
    }

    #[test]
    fn another_refusal_keeps_the_log_and_the_errno() {
        let error = explain("load the program", "R1 type=scalar".into(), refused(nix::errno::Errno::E2BIG));
        assert_eq!(error.to_string(), "cannot load the program; messages: R1 type=scalar");
        assert!(error.source().unwrap().to_string().contains("os error 7"), "{error:?}");
    }
}
