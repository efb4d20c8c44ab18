//! RDMA devices below SMC.

use smc_model::RdmaNetnsMode;
use smc_model::reasons::{finding, refusal};

use smc_surfaces::facts::{Device, Facts};
use smc_surfaces::smcctl::Check;

/// Ethernet's.
const ORDINARY_MTU: u32 = 1500;

pub(super) fn device(facts: &Facts) -> Check {
    let name = "RDMA device";
    let devices = match &facts.devices {
        Ok(devices) => devices,
        Err(why) => return Check::unknown(name, why),
    };
    if devices.is_empty() {
        return Check::problem(name, &refusal::NO_RDMA_DEVICE, "none");
    }
    let seen = devices.iter().map(told).collect::<Vec<_>>().join(", ");
    let usable = |device: &&Device| facts.family.smc().takes_iwarp || device.protocol != "iw";
    if !devices.iter().any(|device| usable(&device)) {
        let seen = format!("{seen}: mainline's SMC does not take iWARP devices");
        return Check::problem(name, &refusal::NO_RDMA_DEVICE, seen);
    }
    match &facts.ports {
        Ok(ports) if facts.smc && ports.is_empty() => {
            Check::problem(name, &refusal::NO_RDMA_DEVICE, format!("{seen}: SMC knows none of them"))
        }
        _ => Check::fine(name, seen),
    }
}

fn told(device: &Device) -> String {
    let driver = device.driver.as_ref().map(|driver| format!(", driver {driver}")).unwrap_or_default();
    format!("{} ({}{driver})", device.name, device.protocol)
}

pub(super) fn driver_mode(facts: &Facts) -> Option<Check> {
    let compat = facts.erdma_compat.as_deref()?;
    let seen = format!("erdma with compat_mode={compat}");
    Some(if ["N", "0"].contains(&compat) {
        Check::fine("driver mode", seen)
    } else {
        Check::problem("driver mode", &finding::DRIVER_MODE, seen)
    })
}

pub(super) fn namespaces(facts: &Facts) -> Check {
    let name = "RDMA namespaces";
    match &facts.netns_mode {
        Ok(RdmaNetnsMode::Shared) => Check::fine(name, "shared: pods may use the host's RDMA devices"),
        Ok(RdmaNetnsMode::Exclusive) => Check::problem(
            name,
            &refusal::RDMA_NETNS_EXCLUSIVE,
            "exclusive: pods cannot see the RDMA devices",
        ),
        Err(why) => Check::unknown(name, why),
    }
}

pub(super) fn mtu(facts: &Facts) -> Option<Check> {
    let devices = facts.devices.as_ref().ok()?;
    let ports = devices.iter().flat_map(|device| &device.ports);
    let known: Vec<(&str, u32)> =
        ports.filter_map(|port| Some((port.netdev.as_deref()?, port.netdev_mtu?))).collect();
    if known.is_empty() {
        return None;
    }
    let seen = known.iter().map(|(netdev, mtu)| format!("{netdev} {mtu}")).collect::<Vec<_>>().join(", ");
    Some(if known.iter().any(|(_, mtu)| *mtu < ORDINARY_MTU) {
        Check::problem("MTU", &finding::RDMA_MTU, seen)
    } else {
        Check::fine("MTU", seen)
    })
}

/// Only iWARP eRDMA on Alibaba's kernel needs them.
pub(super) fn reserved_ports(facts: &Facts) -> Option<Check> {
    let name = "reserved ports";
    let iwarp =
        facts.devices.as_ref().is_ok_and(|devices| devices.iter().any(|device| device.protocol == "iw"));
    if !(iwarp && facts.family.smc().takes_iwarp) {
        return None;
    }
    // The kernel itself listens on them once smc is loaded.
    if !facts.smc && !facts.reserved_taken.is_empty() {
        let seen = format!("taken: {}", smc_host::reserved_ports::told(&facts.reserved_taken));
        return Some(Check::problem(name, &finding::RESERVED_PORTS_TAKEN, seen));
    }
    let reserved = facts.reserved_sysctl.contains("65500-65515");
    let note = if reserved { "" } else { "; better add them to net.ipv4.ip_local_reserved_ports" };
    Some(Check::fine(name, format!("65500-65515 are SMC's{note}")))
}
