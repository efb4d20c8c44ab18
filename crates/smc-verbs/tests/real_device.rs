//! Against a real RDMA device, for example a soft-RoCE one (`rdma link add rxe0 type rxe netdev eth0`).

use std::fs;

use smc_verbs::{DeviceLimits, Unknown, device_limits};

/// Names of the RDMA devices of this machine.
fn devices() -> Vec<String> {
    let entries = fs::read_dir("/sys/class/infiniband").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

#[test]
fn every_device_of_this_machine_is_known_or_says_why_not() {
    let devices = devices();
    if devices.is_empty() {
        test_support::kernel_lacks("this machine has no RDMA device");
    }
    for device in devices {
        match device_limits(&device) {
            DeviceLimits::Known(limits) => {
                assert!(
                    limits.max_qp > 0 && limits.max_mr_size > 0 && limits.ports > 0,
                    "{device}: {limits:?}"
                );
            }
            DeviceLimits::Unknown(reason) => {
                assert!(matches!(reason, Unknown::NoDeviceAccess(_)), "{device}: {reason}");
            }
        }
        println!("{device}: {:?}", device_limits(&device));
    }
}
