//! Kernel, modules, conversion, memory.

use smc_model::reasons::{finding, refusal};
use smc_model::{Defect, Defects, KernelFamily, TABLE_DATE, defects};

use smc_surfaces::facts::{Device, Facts};
use smc_surfaces::smcctl::Check;

/// Alibaba Cloud Linux 3: the first kernel that takes mapped IPv6 addresses, which most programs' listeners have.
const OLDEST_ALIBABA: &[u32] = &[5, 10, 134, 17, 3];
/// Mainline: the first kernel with `IPPROTO_SMC`.
const OLDEST_MAINLINE: &[u32] = &[6, 11];
/// Mainline: the first kernel whose SMC takes devices with one receive SGE (27ef6a9981fe), such as eRDMA's in RoCE mode.
const OLDEST_MAINLINE_FOR_ERDMA: &[u32] = &[6, 14];
/// Less than this, in percent and in KiB, is short.
const MEMORY_PERCENT: u64 = 3;
const MEMORY_KIB: u64 = 64 << 10;

pub(super) fn kernel(facts: &Facts) -> Check {
    let alibaba = facts.family == KernelFamily::Alibaba;
    let devices = facts.devices.as_deref().unwrap_or_default();
    let erdma = |device: &Device| device.driver.as_deref() == Some("erdma");
    let (oldest, whose) = if alibaba {
        (OLDEST_ALIBABA, "5.10.134-17.3 is the oldest of Alibaba Cloud Linux 3 that can be used")
    } else if !devices.is_empty() && devices.iter().all(erdma) {
        (OLDEST_MAINLINE_FOR_ERDMA, "6.14 is the oldest of mainline that can be used with eRDMA")
    } else {
        (OLDEST_MAINLINE, "6.11 is the oldest of mainline that can be used")
    };
    let seen = format!("{} ({whose})", facts.kernel);
    if numbers(&facts.kernel).as_slice() >= oldest {
        Check::fine("kernel", seen)
    } else {
        Check::problem("kernel", &finding::KERNEL_TOO_OLD, seen)
    }
}

/// Defects of SMC's code, which strangers reach at the listeners of converted pods.
pub(super) fn known_defects(facts: &Facts) -> Check {
    let name = "known defects";
    let (open, unsaid) = match defects(&facts.kernel, &facts.kernel_version) {
        Defects::OfAVendor => {
            let seen = format!(
                "not known: vendors mend kernels without the release saying so; ask yours for those that records of {TABLE_DATE} name"
            );
            return Check::note(name, finding::KNOWN_KERNEL_DEFECTS.name, seen);
        }
        Defects::Of { open, unsaid } => (open, unsaid),
    };
    let names = |of: &[&Defect]| of.iter().map(|defect| defect.name).collect::<Vec<_>>().join(", ");
    if !open.is_empty() {
        let seen = format!("in SMC of this kernel, by public records of {TABLE_DATE}: {}", names(&open));
        let refused = facts.published.as_ref().is_ok_and(|published| !published.refused_defects.is_empty());
        return if refused {
            Check::problem(name, &refusal::KERNEL_DEFECTS, seen)
        } else {
            Check::note(name, finding::KNOWN_KERNEL_DEFECTS.name, seen)
        };
    }
    if unsaid.is_empty() {
        return Check::fine(name, format!("none in SMC that public records of {TABLE_DATE} name"));
    }
    let seen = format!(
        "none in SMC that public records of {TABLE_DATE} name for this series; they do not say it of {}",
        names(&unsaid)
    );
    Check::fine(name, seen)
}

/// The numbers with which a release begins: 5, 10, 134, 17, 3 of `5.10.134-17.3.al8.x86_64`.
fn numbers(release: &str) -> Vec<u32> {
    release.split(['.', '-', '+']).map_while(|part| part.parse().ok()).collect()
}

pub(super) fn modules(facts: &Facts) -> Check {
    match (facts.smc, facts.smc_diag) {
        (true, true) => Check::fine("modules", "smc and smc_diag are loaded"),
        (true, false) => Check::problem(
            "modules",
            &finding::SMC_DIAG_MISSING,
            "smc is loaded, smc_diag is not: connections cannot be listed",
        ),
        (false, _) if facts.published.as_ref().is_ok_and(|published| published.only_looked_at) => {
            Check::fine("modules", "smc is not loaded: nothing here asks for it")
        }
        (false, _) => {
            let why = facts.published.as_ref().ok().and_then(|published| published.smc_missing.as_ref());
            let why = why.map(|why| format!(": {why}")).unwrap_or_default();
            Check::problem("modules", &refusal::SMC_NOT_AVAILABLE, format!("smc is not loaded{why}"))
        }
    }
}

pub(super) fn conversion(facts: &Facts) -> Check {
    let name = "conversion";
    let conversion = &facts.conversion;
    let how = if conversion.sysctl { "net.smc.tcp2smc" } else { "the pinned BPF program" };
    if !conversion.sysctl {
        let missing = match (conversion.link_pinned, conversion.map_pinned) {
            (true, true) => None,
            (false, true) => Some("the BPF program is not attached (its link is not pinned)"),
            (true, false) => Some("the BPF program's map is not pinned"),
            (false, false) => Some("no net.smc.tcp2smc, and no pinned BPF program"),
        };
        if let Some(missing) = missing {
            return Check::problem(name, &refusal::NO_CONVERSION, missing);
        }
    }
    match &conversion.tried {
        Ok(true) => Check::fine(name, format!("by {how}; tried: a TCP socket became an SMC socket")),
        Ok(false) => Check::problem(
            name,
            &refusal::NO_CONVERSION,
            format!("{how} is there, but a TCP socket that it should have converted is no SMC socket"),
        ),
        Err(why) => Check::unknown(name, format!("{how} is there; it could not be tried: {why}")),
    }
}

/// By what the kernel's SYNs offer SMC. A node that does it otherwise than its peers finds none of them.
pub(super) fn syn_option(facts: &Facts) -> Option<Check> {
    let (name, published) = ("SYN option", facts.published.as_ref().ok()?);
    Some(match &published.syn_option {
        Some(option) if option.is_mainlines() => {
            Check::fine(name, format!("{option}, as mainline kernels have it"))
        }
        Some(option) => Check::unknown(
            name,
            format!(
                "{option}, which is not mainline's: only peers with such a kernel understand it (experiment_syn_smc)"
            ),
        ),
        None => Check::unknown(name, "smc-agent did not see one in a SYN of this kernel"),
    })
}

pub(super) fn memory(facts: &Facts) -> Check {
    match &facts.memory {
        Err(why) => Check::unknown("memory", why),
        Ok(memory) => {
            let seen = format!("{} of {} MiB available", memory.available >> 10, memory.total >> 10);
            if memory.available < MEMORY_KIB || memory.available * 100 < memory.total * MEMORY_PERCENT {
                Check::problem("memory", &finding::MEMORY_LOW, seen)
            } else {
                Check::fine("memory", seen)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_compared_by_its_numbers() {
        assert_eq!(numbers("5.10.134-17.3.al8.x86_64"), [5, 10, 134, 17, 3]);
        assert_eq!(numbers("6.12.117+deb12-amd64"), [6, 12, 117]);
        assert!(numbers("6.11.0-rc3").as_slice() >= OLDEST_MAINLINE);
        assert!(numbers("6.9.12").as_slice() < OLDEST_MAINLINE);
        assert!(numbers("5.10.134-16.1.al8.x86_64").as_slice() < OLDEST_ALIBABA);
        assert!(numbers("5.10.134-18.al8.x86_64").as_slice() >= OLDEST_ALIBABA);
        assert!(numbers("nonsense").is_empty());
    }
}
