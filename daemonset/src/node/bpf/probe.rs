//! What this kernel has for converting sockets by BPF, and why it refused.

use std::fs;

use libbpf_rs::ErrorKind;
use libbpf_rs::btf::Btf;
use libbpf_rs::btf::types::Func;
use smc_host::kernel;

use super::error::BpfError;
use super::messages;

const HOOK: &str = "update_socket_protocol";

/// CAP_SYS_ADMIN's bit of `CapEff` in `/proc/self/status` (`include/uapi/linux/capability.h`). Finding programs and maps
/// by id takes it (kernel/bpf/syscall.c), and with it goes what CAP_BPF and CAP_PERFMON allow: loading a tracing program.
const SYS_ADMIN: u32 = 21;
/// CAP_SYS_RESOURCE's: more locked memory than the limit.
const SYS_RESOURCE: u32 = 24;

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
        if lacks(SYS_ADMIN, &status) {
            return BpfError::MissingCapability { capability: "CAP_SYS_ADMIN", operation, source };
        }
        // EACCES is the verifier's; libbpf-rs tells the two apart in its text only.
        if format!("{source:#}").contains("(os error 1)") {
            let release = kernel::release().unwrap_or_default();
            if counts_maps_as_locked_memory(&release) && lacks(SYS_RESOURCE, &status) {
                return BpfError::MissingCapability { capability: "CAP_SYS_RESOURCE", operation, source };
            }
            return BpfError::NotPermitted { operation, source };
        }
    }
    BpfError::Bpf { operation, log, source }
}

/// Whether the `CapEff` line of `status` says that a process has not this capability; not when there is no such line.
fn lacks(capability: u32, status: &str) -> bool {
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = effective.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok());
    effective.is_some_and(|bits| bits >> capability & 1 == 0)
}

/// Before 5.11 (kernel/bpf/syscall.c, `bpf_map_charge_init`), of which a container may usually have 64 KiB.
fn counts_maps_as_locked_memory(release: &str) -> bool {
    let mut numbers = release.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    numbers.next().zip(numbers.next()).is_some_and(|version| version < (5, 11))
}

#[cfg(test)]
mod tests;
